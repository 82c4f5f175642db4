#include "kernels/selective_scan.h"

#include <algorithm>
#include <cmath>
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

// out [states][16] = in [channels, states] transposed, `channels` at most 16,
// zeros in the padding.
HWY_INLINE void Transpose(const float* in, size_t channels, size_t states,
                          float* out) {
  std::memset(out, 0, states * kGroup * sizeof(float));
  for (size_t i = 0; i < channels; ++i) {
    for (size_t n = 0; n < states; ++n) {
      out[n * kGroup + i] = in[i * states + n];
    }
  }
}

// One token of 16 channels; `a` and `state` are [state_dim][16]. `out` may be
// `x`.
HWY_INLINE void ScanGroup(const float* x, const float* dt, const float* b,
                          const float* c, const float* a, const float* skip,
                          size_t state_dim, float* state, float* out) {
  const DF d;
  VF step[kVecs];
  VF input[kVecs];
  VF sum[kVecs];
  BRAID_UNROLL
  for (size_t j = 0; j < kVecs; ++j) {
    const VF value = hn::LoadU(d, x + j * kLanes);
    step[j] = hn::LoadU(d, dt + j * kLanes);
    input[j] = hn::Mul(step[j], value);
    sum[j] = hn::Mul(hn::LoadU(d, skip + j * kLanes), value);
  }
  for (size_t n = 0; n < state_dim; ++n) {
    const VF vb = hn::Set(d, b[n]);
    const VF vc = hn::Set(d, c[n]);
    BRAID_UNROLL
    for (size_t j = 0; j < kVecs; ++j) {
      const size_t at = n * kGroup + j * kLanes;
      const VF decay = hn::Exp(d, hn::Mul(step[j], hn::LoadU(d, a + at)));
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

// Channels [begin, end) over all tokens: their states lie transposed in the
// level-1 cache meanwhile, and vectors run over channels.
void ScanChannels(const SelectiveScanParams& p, size_t begin, size_t end) {
  const size_t groups = (end - begin + kGroup - 1) / kGroup;
  const size_t group_floats = p.state_dim * kGroup;
  float* states = ThreadScratch(groups * (2 * group_floats + kGroup));
  float* a = states + groups * group_floats;
  float* skip = a + groups * group_floats;
  std::memset(skip, 0, groups * kGroup * sizeof(float));
  if (p.d != nullptr) {
    std::memcpy(skip, p.d + begin, (end - begin) * sizeof(float));
  }
  for (size_t g = 0; g < groups; ++g) {
    const size_t channel = begin + g * kGroup;
    const size_t width = std::min(kGroup, end - channel);
    Transpose(p.state + channel * p.state_dim, width, p.state_dim,
              states + g * group_floats);
    Transpose(p.a + channel * p.state_dim, width, p.state_dim,
              a + g * group_floats);
  }
  for (size_t t = 0; t < p.tokens; ++t) {
    const float* b = p.b + t * p.ldb;
    const float* c = p.c + t * p.ldc;
    for (size_t g = 0; g < groups; ++g) {
      const size_t channel = begin + g * kGroup;
      const float* x = p.x + t * p.ldx + channel;
      const float* dt = p.dt + t * p.lddt + channel;
      float* y = p.y + t * p.ldy + channel;
      const size_t at = g * group_floats;
      const size_t width = std::min(kGroup, end - channel);
      if (width == kGroup) {
        ScanGroup(x, dt, b, c, a + at, skip + g * kGroup, p.state_dim,
                  states + at, y);
        continue;
      }
      HWY_ALIGN float padded_x[kGroup] = {};
      HWY_ALIGN float padded_dt[kGroup] = {};
      std::memcpy(padded_x, x, width * sizeof(float));
      std::memcpy(padded_dt, dt, width * sizeof(float));
      ScanGroup(padded_x, padded_dt, b, c, a + at, skip + g * kGroup,
                p.state_dim, states + at, padded_x);
      std::memcpy(y, padded_x, width * sizeof(float));
    }
  }
  for (size_t channel = begin; channel < end; ++channel) {
    const size_t i = channel - begin;
    const float* from = states + i / kGroup * group_floats + i % kGroup;
    float* to = p.state + channel * p.state_dim;
    for (size_t n = 0; n < p.state_dim; ++n) to[n] = from[n * kGroup];
  }
}

// The same for few tokens, where transposing costs more than adding up across
// lanes: vectors run over states.
void ScanStates(const SelectiveScanParams& p, size_t begin, size_t end) {
  const DF d;
  for (size_t t = 0; t < p.tokens; ++t) {
    const float* b = p.b + t * p.ldb;
    const float* c = p.c + t * p.ldc;
    for (size_t channel = begin; channel < end; ++channel) {
      const float x = p.x[t * p.ldx + channel];
      const float dt = p.dt[t * p.lddt + channel];
      const float* a = p.a + channel * p.state_dim;
      float* state = p.state + channel * p.state_dim;
      const VF step = hn::Set(d, dt);
      const VF input = hn::Set(d, dt * x);
      VF sum = hn::Zero(d);
      for (size_t n = 0; n < p.state_dim; n += kLanes) {
        const VF decay = hn::Exp(d, hn::Mul(step, hn::LoadU(d, a + n)));
        const VF s = hn::MulAdd(decay, hn::LoadU(d, state + n),
                                hn::Mul(input, hn::LoadU(d, b + n)));
        hn::StoreU(s, d, state + n);
        sum = hn::MulAdd(s, hn::LoadU(d, c + n), sum);
      }
      const float skip = p.d == nullptr ? 0.0f : p.d[channel];
      p.y[t * p.ldy + channel] = hn::GetLane(hn::SumOfLanes(d, sum)) + skip * x;
    }
  }
}

void Scan(const SelectiveScanParams& p, size_t begin, size_t end) {
  constexpr size_t kMinTokensToTranspose = 4;
  if (p.tokens < kMinTokensToTranspose && p.state_dim % kLanes == 0) {
    ScanStates(p, begin, end);
  } else {
    ScanChannels(p, begin, end);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(Scan);

// A task's states (4 KB for 16 each) and its decays share the level-1 cache.
constexpr size_t kChannelsPerTask = 64;
// Fewer exponentials than this are not worth waking a thread for.
constexpr size_t kMinTaskWork = 20'000;

}  // namespace

void SelectiveScan(const SelectiveScanParams& params, ThreadPool* pool) {
  if (params.tokens == 0 || params.channels == 0) return;
  const size_t tasks =
      (params.channels + kChannelsPerTask - 1) / kChannelsPerTask;
  const auto run = [&](size_t begin, size_t end) {
    for (size_t task = begin; task < end; ++task) {
      HWY_DYNAMIC_DISPATCH(Scan)
      (params, task * kChannelsPerTask,
       std::min(params.channels, (task + 1) * kChannelsPerTask));
    }
  };
  if (pool == nullptr) {
    run(0, tasks);
  } else {
    const size_t work = kChannelsPerTask * params.tokens *
                        std::max<size_t>(1, params.state_dim);
    pool->ParallelFor(tasks, kMinTaskWork / work + 1, run);
  }
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
