#include "kernels/conv1d.h"

#include <algorithm>
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

// One vector of channels of one row: in[0] to in[kernel - 1] are the inputs,
// oldest first, then come the taps and, if `biased`, the bias.
struct ConvOp {
  size_t kernel;
  bool biased;
  Activation activation;
  HWY_INLINE void Run(const float* const* in, float* out) const {
    const DF d;
    VF sum = biased ? hn::LoadU(d, in[2 * kernel]) : hn::Zero(d);
    for (size_t j = 0; j < kernel; ++j) {
      sum = hn::MulAdd(hn::LoadU(d, in[j]), hn::LoadU(d, in[kernel + j]), sum);
    }
    if (activation == Activation::kSilu) sum = Silu(sum);
    hn::StoreU(sum, d, out);
  }
};

// Channels [begin, end), which this call alone reads and writes the state of.
void ConvChannels(const CausalConv1dParams& p, size_t begin, size_t end) {
  const size_t width = end - begin;
  const size_t history = p.kernel - 1;
  const ConvOp op{p.kernel, p.bias != nullptr, p.activation};
  const float* in[2 * kMaxKernel + 1];
  for (size_t j = 0; j < 2 * kMaxKernel + 1; ++j) in[j] = p.taps + begin;
  for (size_t j = 0; j < p.kernel; ++j) {
    in[p.kernel + j] = p.taps + j * p.channels + begin;
  }
  if (p.bias != nullptr) in[2 * p.kernel] = p.bias + begin;
  // Row i of the state followed by x.
  const auto row = [&](size_t i) {
    return i < history ? p.state + i * p.channels + begin
                       : p.x + (i - history) * p.ldx + begin;
  };
  for (size_t t = 0; t < p.rows; ++t) {
    for (size_t j = 0; j < p.kernel; ++j) in[j] = row(t + j);
    size_t c = 0;
    float* out = p.out + t * p.ldo + begin;
    for (; c + kLanes <= width; c += kLanes) {
      const float* at[2 * kMaxKernel + 1];
      for (size_t j = 0; j < 2 * p.kernel + 1; ++j) at[j] = in[j] + c;
      op.Run(at, out + c);
    }
    for (; c < width; ++c) {
      HWY_ALIGN float value[kGroup] = {};
      float sum = op.biased ? in[2 * p.kernel][c] : 0.0f;
      for (size_t j = 0; j < p.kernel; ++j) {
        sum += in[j][c] * in[p.kernel + j][c];
      }
      value[0] = sum;
      if (p.activation == Activation::kSilu) {
        const DF d;
        hn::Store(Silu(hn::Load(d, value)), d, value);
      }
      out[c] = value[0];
    }
  }
  // Ascending order: row i + rows is never overwritten before it is read.
  for (size_t i = 0; i < history; ++i) {
    std::memmove(p.state + i * p.channels + begin, row(i + p.rows),
                 width * sizeof(float));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(ConvChannels);

constexpr size_t kChannelsPerTask = 64;
// Fewer values than this are not worth waking a thread for.
constexpr size_t kMinTaskValues = 32'768;

}  // namespace

void CausalConv1d(const CausalConv1dParams& params, ThreadPool* pool) {
  if (params.rows == 0 || params.channels == 0) return;
  const size_t tasks =
      (params.channels + kChannelsPerTask - 1) / kChannelsPerTask;
  const auto run = [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(ConvChannels)
    (params, begin * kChannelsPerTask,
     std::min(params.channels, end * kChannelsPerTask));
  };
  ParallelFor(pool, tasks,
              GrainOf(kMinTaskValues, kChannelsPerTask * params.rows), run);
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
