#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/targets.h"
#include "kernels/half.h"
#include "kernels/quantized_weights.h"
#include "kernels/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/quantize.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

// Where a search for a scale looks: at this many fractions of the one that
// reaches the group's largest weight.
constexpr int kScaleSteps = 16;
constexpr float kSmallestFraction = 0.75f;

// Rounds v to the nearest whole number, ties to even, and into [low, high].
HWY_INLINE VF RoundInto(VF v, float low, float high) {
  const DF d;
  return hn::Min(hn::Max(hn::Round(v), hn::Set(d, low)), hn::Set(d, high));
}

// What the weights of one group become. `w` holds `size` of them, a multiple of
// 16, zeros in the padding.
class GroupSearch {
 public:
  GroupSearch(const float* w, size_t size, int bits)
      : w_(w), size_(size), last_(static_cast<float>((1 << bits) - 1)) {}

  void Consider(float scale, int zero) {
    scale = HalfToFloat(FloatToHalf(scale));
    const float error = Error(scale, zero);
    if (error >= error_) return;
    error_ = error;
    scale_ = scale;
    zero_ = zero;
  }
  float scale() const { return scale_; }
  int zero() const { return zero_; }

  // The code of each weight.
  void Codes(uint8_t* codes) const {
    const DF d;
    const hn::Rebind<int32_t, DF> di;
    const VF inverse = Inverse(scale_);
    const auto zero = static_cast<float>(zero_);
    HWY_ALIGN int32_t numbers[kLanes];
    for (size_t i = 0; i < size_; i += kLanes) {
      const VF code = hn::Add(RoundInto(hn::Mul(hn::LoadU(d, w_ + i), inverse),
                                        -zero, last_ - zero),
                              hn::Set(d, zero));
      hn::Store(hn::ConvertTo(di, code), di, numbers);
      for (size_t j = 0; j < kLanes; ++j) {
        codes[i + j] = static_cast<uint8_t>(numbers[j]);
      }
    }
  }

 private:
  static VF Inverse(float scale) {
    return hn::Set(DF(), scale == 0 ? 0 : 1 / scale);
  }
  float Error(float scale, int zero) const {
    const DF d;
    const VF inverse = Inverse(scale);
    const VF negative_scale = hn::Set(d, -scale);
    const float low = -static_cast<float>(zero);
    const float high = last_ - static_cast<float>(zero);
    VF sum = hn::Zero(d);
    for (size_t i = 0; i < size_; i += kLanes) {
      const VF value = hn::LoadU(d, w_ + i);
      const VF difference = hn::MulAdd(
          RoundInto(hn::Mul(value, inverse), low, high), negative_scale, value);
      sum = hn::MulAdd(difference, difference, sum);
    }
    return hn::GetLane(hn::SumOfLanes(d, sum));
  }

  const float* const w_;
  const size_t size_;
  const float last_;
  float error_ = std::numeric_limits<float>::infinity();
  float scale_ = 0;
  int zero_ = 0;
};

// One group: its codes, one in a byte, and its scale and zero.
void QuantizeGroup(const float* w, const QuantizedFormat& format,
                   uint8_t* codes, float* scale, int* zero) {
  const size_t size = format.group_size;
  GroupSearch search(w, size, format.bits);
  const float low = *std::min_element(w, w + size);
  const float high = *std::max_element(w, w + size);
  search.Consider(0.0f, format.zero());
  // With 8 bits, the steps are so fine that a cut costs more than it brings.
  const int steps = format.bits == 8 ? 1 : kScaleSteps;
  for (int step = 0; step < steps; ++step) {
    const float fraction =
        1 - (1 - kSmallestFraction) * static_cast<float>(step) / kScaleSteps;
    if (format.zero_points) {
      // The range always holds 0, so that zero is a code.
      const float bottom = std::min(low, 0.0f) * fraction;
      const float top = std::max(high, 0.0f) * fraction;
      const auto last = static_cast<float>((1 << format.bits) - 1);
      const float wanted = (top - bottom) / last;
      if (!(wanted > 0)) break;
      search.Consider(
          wanted, static_cast<int>(std::clamp(std::nearbyint(-bottom / wanted),
                                              0.0f, last)));
    } else {
      // One more code lies below zero than above: the scale's sign decides
      // which side of the group gets it.
      const auto below = static_cast<float>(format.zero());
      const float most = std::max(-low, high) * fraction;
      search.Consider(most / below, format.zero());
      search.Consider(-most / below, format.zero());
      search.Consider(most / (below - 1), format.zero());
    }
  }
  search.Codes(codes);
  *scale = search.scale();
  *zero = search.zero();
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {

namespace {

HWY_EXPORT(QuantizeGroup);

// Rows that are worth waking a thread for have this many weights.
constexpr size_t kMinTaskWeights = 8192;

void QuantizeRow(const float* row, size_t r, QuantizedMatrix* matrix) {
  const QuantizedFormat& format = matrix->format;
  const size_t k = matrix->k;
  const size_t groups = format.GroupsOf(k);
  uint8_t* codes = matrix->codes.data() + r * format.RowBytes(k);
  float padded[kMaxGroupSize];
  uint8_t group_codes[kMaxGroupSize];
  for (size_t g = 0; g < groups; ++g) {
    const size_t begin = g * format.group_size;
    const size_t end = std::min(k, begin + format.group_size);
    std::fill_n(padded, format.group_size, 0.0f);
    std::copy(row + begin, row + end, padded);
    float scale = 0;
    int zero = 0;
    HWY_DYNAMIC_DISPATCH(QuantizeGroup)
    (padded, format, group_codes, &scale, &zero);
    matrix->scales[r * groups + g] = FloatToHalf(scale);
    if (format.zero_points) {
      matrix->zeros[r * groups + g] = static_cast<uint8_t>(zero);
    }
    for (size_t i = begin; i < end; ++i) {
      const uint8_t code = group_codes[i - begin];
      if (format.bits == 8) {
        codes[i] = code;
      } else {
        codes[i / 2] |= static_cast<uint8_t>(code << (i % 2 * 4));
      }
    }
  }
}

}  // namespace

QuantizedMatrix Quantize(const float* weights, size_t n, size_t k,
                         const QuantizedFormat& format, ThreadPool* pool) {
  QuantizedMatrix matrix = QuantizedMatrix::OfSize(format, n, k);
  const auto run = [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      QuantizeRow(weights + r * k, r, &matrix);
    }
  };
  ParallelFor(pool, n, GrainOf(kMinTaskWeights, k), run);
  return matrix;
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
