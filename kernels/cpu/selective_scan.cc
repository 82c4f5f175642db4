#include "kernels/selective_scan.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/scratch.h"
#include "kernels/cpu/targets.h"
#include "kernels/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/selective_scan.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

// One token of 16 channels; `a` and `state` are [state_dim][16]. `out` may be
// `x`.
HWY_INLINE void ScanGroup(const float* x, const float* dt, const float* b,
                          const float* c, const float* a, const float* skip,
                          size_t state_dim, float* state, float* out) {
  const DF d;
  VF step[kVecs];  // dt / log(2)
  VF input[kVecs];
  VF sum[kVecs];
  BRAID_UNROLL
  for (size_t j = 0; j < kVecs; ++j) {
    const VF value = hn::LoadU(d, x + j * kLanes);
    const VF delta = hn::LoadU(d, dt + j * kLanes);
    step[j] = hn::Mul(delta, hn::Set(d, 1.4426950408889634f));
    input[j] = hn::Mul(delta, value);
    sum[j] = hn::Mul(hn::LoadU(d, skip + j * kLanes), value);
  }
  for (size_t n = 0; n < state_dim; ++n) {
    const VF vb = hn::Set(d, b[n]);
    const VF vc = hn::Set(d, c[n]);
    BRAID_UNROLL
    for (size_t j = 0; j < kVecs; ++j) {
      const size_t at = n * kGroup + j * kLanes;
      const VF decay = Exp2NonPositive(hn::Mul(step[j], hn::LoadU(d, a + at)));
      const VF s =
          hn::MulAdd(decay, hn::LoadU(d, state + at), hn::Mul(input[j], vb));
      hn::StoreU(s, d, state + at);
      sum[j] = hn::MulAdd(s, vc, sum[j]);
    }
  }
  BRAID_UNROLL
  for (size_t j = 0; j < kVecs; ++j) {
    hn::StoreU(sum[j], d, out + j * kLanes);
  }
}

// Channels [begin, end) over all tokens: their states stay in the level-1 cache
// meanwhile. `begin` is a multiple of 16.
void ScanChannels(const SelectiveScanParams& p, size_t begin, size_t end) {
  const size_t group_floats = p.state_dim * kGroup;
  const size_t groups = (end - begin + kGroup - 1) / kGroup;
  float* skip = ThreadScratch(groups * kGroup);
  std::memset(skip, 0, groups * kGroup * sizeof(float));
  if (p.d != nullptr) {
    std::memcpy(skip, p.d + begin, (end - begin) * sizeof(float));
  }
  for (size_t t = 0; t < p.tokens; ++t) {
    const float* b = p.b + t * p.ldb;
    const float* c = p.c + t * p.ldc;
    for (size_t g = 0; g < groups; ++g) {
      const size_t channel = begin + g * kGroup;
      const float* x = p.x + t * p.ldx + channel;
      const float* dt = p.dt + t * p.lddt + channel;
      float* y = p.y + t * p.ldy + channel;
      const float* a = p.a + channel / kGroup * group_floats;
      float* state = p.state + channel / kGroup * group_floats;
      const size_t width = std::min(kGroup, end - channel);
      if (width == kGroup) {
        ScanGroup(x, dt, b, c, a, skip + g * kGroup, p.state_dim, state, y);
        continue;
      }
      HWY_ALIGN float padded_x[kGroup] = {};
      HWY_ALIGN float padded_dt[kGroup] = {};
      std::memcpy(padded_x, x, width * sizeof(float));
      std::memcpy(padded_dt, dt, width * sizeof(float));
      ScanGroup(padded_x, padded_dt, b, c, a, skip + g * kGroup, p.state_dim,
                state, padded_x);
      std::memcpy(y, padded_x, width * sizeof(float));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(ScanChannels);

// A task's states (4 KB for 16 each) and its decays share the level-1 cache.
constexpr size_t kChannelsPerGroup = 16;
constexpr size_t kChannelsPerTask = 4 * kChannelsPerGroup;
// Fewer exponentials than this are not worth waking a thread for.
constexpr size_t kMinTaskWork = 20'000;

}  // namespace

size_t SelectiveScanFloats(size_t channels, size_t state_dim) {
  return (channels + kChannelsPerGroup - 1) / kChannelsPerGroup *
         kChannelsPerGroup * state_dim;
}

void ToScanGroups(const float* rows, size_t channels, size_t state_dim,
                  float* groups) {
  std::fill_n(groups, SelectiveScanFloats(channels, state_dim), 0.0f);
  for (size_t c = 0; c < channels; ++c) {
    float* group =
        groups + c / kChannelsPerGroup * kChannelsPerGroup * state_dim;
    for (size_t n = 0; n < state_dim; ++n) {
      group[n * kChannelsPerGroup + c % kChannelsPerGroup] =
          rows[c * state_dim + n];
    }
  }
}

void SelectiveScan(const SelectiveScanParams& params, ThreadPool* pool) {
  if (params.tokens == 0 || params.channels == 0) return;
  const size_t tasks =
      (params.channels + kChannelsPerTask - 1) / kChannelsPerTask;
  const auto run = [&](size_t begin, size_t end) {
    for (size_t task = begin; task < end; ++task) {
      HWY_DYNAMIC_DISPATCH(ScanChannels)
      (params, task * kChannelsPerTask,
       std::min(params.channels, (task + 1) * kChannelsPerTask));
    }
  };
  const size_t work =
      kChannelsPerTask * params.tokens * std::max<size_t>(1, params.state_dim);
  ParallelFor(pool, tasks, GrainOf(kMinTaskWork, work), run);
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
