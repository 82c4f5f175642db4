#include "kernels/conv1d.h"

#include <cstring>

#include "kernels/cpu/targets.h"
#include "kernels/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/conv1d.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

constexpr size_t kMaxKernel = 16;

// Row i of the state followed by x.
const float* InputRow(const CausalConv1dParams& p, size_t i) {
  const size_t history = p.kernel - 1;
  return i < history ? p.state + i * p.channels : p.x + (i - history) * p.ldx;
}

// One row from its inputs, oldest first. kKernel: the number of taps, or 0 for
// any.
template <size_t kKernel>
HWY_INLINE void ConvRow(const CausalConv1dParams& p, const float* const* in,
                        float* out) {
  const DF d;
  const size_t kernel = kKernel == 0 ? p.kernel : kKernel;
  const bool silu = p.activation == Activation::kSilu;
  size_t c = 0;
  for (; c + kLanes <= p.channels; c += kLanes) {
    VF sum = p.bias == nullptr ? hn::Zero(d) : hn::LoadU(d, p.bias + c);
    for (size_t j = 0; j < kernel; ++j) {
      sum = hn::MulAdd(hn::LoadU(d, in[j] + c),
                       hn::LoadU(d, p.taps + j * p.channels + c), sum);
    }
    hn::StoreU(silu ? Silu(sum) : sum, d, out + c);
  }
  for (; c < p.channels; ++c) {
    HWY_ALIGN float value[kGroup] = {};
    value[0] = p.bias == nullptr ? 0.0f : p.bias[c];
    for (size_t j = 0; j < kernel; ++j) {
      value[0] += in[j][c] * p.taps[j * p.channels + c];
    }
    if (silu) hn::Store(Silu(hn::Load(d, value)), d, value);
    out[c] = value[0];
  }
}

// Rows [begin, end). Whole rows: memory is read and written in its order.
void ConvRows(const CausalConv1dParams& p, size_t begin, size_t end) {
  for (size_t t = begin; t < end; ++t) {
    const float* in[kMaxKernel];
    for (size_t j = 0; j < p.kernel; ++j) in[j] = InputRow(p, t + j);
    float* out = p.out + t * p.ldo;
    switch (p.kernel) {
      case 3:
        ConvRow<3>(p, in, out);
        break;
      case 4:
        ConvRow<4>(p, in, out);
        break;
      default:
        ConvRow<0>(p, in, out);
    }
  }
}

// The state after all rows.
void KeepHistory(const CausalConv1dParams& p) {
  // Ascending order: row i + rows is never overwritten before it is read.
  for (size_t i = 0; i + 1 < p.kernel; ++i) {
    std::memmove(p.state + i * p.channels, InputRow(p, i + p.rows),
                 p.channels * sizeof(float));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(ConvRows);
HWY_EXPORT(KeepHistory);

// Fewer values than this are not worth waking a thread for.
constexpr size_t kMinTaskValues = 32'768;

}  // namespace

void CausalConv1d(const CausalConv1dParams& params, ThreadPool* pool) {
  if (params.rows == 0 || params.channels == 0) return;
  ParallelFor(pool, params.rows, GrainOf(kMinTaskValues, params.channels),
              [&](size_t begin, size_t end) {
                HWY_DYNAMIC_DISPATCH(ConvRows)(params, begin, end);
              });
  HWY_DYNAMIC_DISPATCH(KeepHistory)(params);
}

void ConvTapsFromHf(const float* weight, size_t channels, size_t kernel,
                    float* taps) {
  for (size_t c = 0; c < channels; ++c) {
    for (size_t j = 0; j < kernel; ++j) {
      taps[j * channels + c] = weight[c * kernel + j];
    }
  }
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
