#include "kernels/floors.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "kernels/cpu/large_memory.h"

#define BRAID_WANT_DOT_PRODUCTS
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/floors.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/quantized_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

constexpr size_t kChains = 12;  // enough to hide the latency everywhere

// Runs `rounds` multiply-adds on each of kChains vectors. Returns the number of
// operations; `sink` keeps the compiler from removing them.
double FmaRounds(size_t rounds, float seed, float* sink) {
  const DF d;
  const VF factor = hn::Set(d, 1.0f - seed);
  const VF addend = hn::Set(d, seed);
  VF chains[kChains];
  BRAID_UNROLL
  for (size_t j = 0; j < kChains; ++j) {
    chains[j] = hn::Set(d, seed * static_cast<float>(j));
  }
  for (size_t i = 0; i < rounds; ++i) {
    BRAID_UNROLL
    for (size_t j = 0; j < kChains; ++j) {
      chains[j] = hn::MulAdd(chains[j], factor, addend);
    }
  }
  VF total = chains[0];
  BRAID_UNROLL
  for (size_t j = 1; j < kChains; ++j) total = hn::Add(total, chains[j]);
  *sink = hn::GetLane(total);
  return 2.0 * static_cast<double>(rounds * kChains * kLanes);
}

// The same with products of 8-bit integers, four to a 32-bit sum.
double Int8Rounds(size_t rounds, int seed, float* sink) {
  const DI32 d;
  int8_t four[4];
  for (int8_t& input : four) input = static_cast<int8_t>(seed);
  const FourInputs inputs(four);
  VU8 weights = hn::Set(DU8(), static_cast<uint8_t>(seed));
  VI32 chains[kChains];
  BRAID_UNROLL
  for (size_t j = 0; j < kChains; ++j) {
    chains[j] = hn::Set(d, seed + static_cast<int>(j));
  }
  for (size_t i = 0; i < rounds; ++i) {
    BRAID_UNROLL
    for (size_t j = 0; j < kChains; ++j) {
      chains[j] = AddProducts(chains[j], weights, inputs);
    }
    // New weights each round, as in a product, so that what is made of them
    // cannot be kept.
    weights = hn::Xor(weights, hn::BitCast(DU8(), chains[0]));
  }
  VI32 total = chains[0];
  BRAID_UNROLL
  for (size_t j = 1; j < kChains; ++j) total = hn::Add(total, chains[j]);
  *sink = static_cast<float>(hn::GetLane(total));
  return 2.0 * static_cast<double>(rounds * kChains * 4 * kLanes);
}

// Reads `count` floats, a multiple of 8 * kGroup. Returns the number of bytes.
double ReadAll(const float* data, size_t count, float* sink) {
  const DF d;
  constexpr size_t kStreams = 8;
  VF sums[kStreams];
  BRAID_UNROLL
  for (size_t j = 0; j < kStreams; ++j) sums[j] = hn::Zero(d);
  for (size_t i = 0; i < count; i += kStreams * kLanes) {
    BRAID_UNROLL
    for (size_t j = 0; j < kStreams; ++j) {
      sums[j] = hn::Add(sums[j], hn::LoadU(d, data + i + j * kLanes));
    }
  }
  VF total = sums[0];
  BRAID_UNROLL
  for (size_t j = 1; j < kStreams; ++j) total = hn::Add(total, sums[j]);
  *sink = hn::GetLane(total);
  return static_cast<double>(count * sizeof(float));
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(FmaRounds);
HWY_EXPORT(Int8Rounds);
HWY_EXPORT(ReadAll);

// A run of arithmetic is cut into pieces of about a millisecond, of which the
// fastest counts: shorter than what a busy machine leaves a thread in one go.
constexpr size_t kRoundsPerPiece = 250'000;
constexpr int kPieces = 8;
constexpr size_t kReadFloats = size_t{16} << 20;  // 64 MB
constexpr int kRuns = 5;

using Clock = std::chrono::steady_clock;

// What one thread found: its best rates, in units per second, per run.
struct ThreadRates {
  double fma[kRuns] = {};
  double int8[kRuns] = {};
  double read[kRuns] = {};
};

double Rate(const std::function<double()>& work) {
  const Clock::time_point start = Clock::now();
  const double units = work();
  return units / std::chrono::duration<double>(Clock::now() - start).count();
}

double BestRate(const std::function<double()>& piece) {
  double best = 0;
  for (int i = 0; i < kPieces; ++i) best = std::max(best, Rate(piece));
  return best;
}

}  // namespace

Floors MeasureFloors(int threads) {
  threads = std::max(1, threads);
  std::vector<ThreadRates> rates(threads);
  std::barrier barrier(threads);
  const auto measure = [&](ThreadRates* mine) {
    const LargeMemory memory = AllocateLarge(kReadFloats * sizeof(float));
    auto* data = reinterpret_cast<float*>(memory.get());
    std::fill_n(data, kReadFloats, 1.0f);
    volatile float keep = 0;
    float sink = 0;
    for (int run = 0; run < kRuns; ++run) {
      barrier.arrive_and_wait();
      mine->fma[run] = BestRate([&] {
        return HWY_DYNAMIC_DISPATCH(FmaRounds)(kRoundsPerPiece, 0.25f, &sink);
      });
      keep = keep + sink;
    }
    for (int run = 0; run < kRuns; ++run) {
      barrier.arrive_and_wait();
      mine->int8[run] = BestRate([&] {
        return HWY_DYNAMIC_DISPATCH(Int8Rounds)(kRoundsPerPiece, 3, &sink);
      });
      keep = keep + sink;
    }
    for (int run = 0; run < kRuns; ++run) {
      barrier.arrive_and_wait();
      mine->read[run] = Rate([&] {
        return HWY_DYNAMIC_DISPATCH(ReadAll)(data, kReadFloats, &sink);
      });
      keep = keep + sink;
    }
  };
  std::vector<std::thread> workers;
  for (int i = 1; i < threads; ++i) workers.emplace_back(measure, &rates[i]);
  measure(&rates[0]);
  for (std::thread& worker : workers) worker.join();

  Floors floors{.threads = threads};
  for (int run = 0; run < kRuns; ++run) {
    double fma = 0;
    double int8 = 0;
    double read = 0;
    for (const ThreadRates& thread : rates) {
      fma += thread.fma[run];
      int8 += thread.int8[run];
      read += thread.read[run];
    }
    floors.fma_gflops = std::max(floors.fma_gflops, fma * 1e-9);
    floors.int8_gops = std::max(floors.int8_gops, int8 * 1e-9);
    floors.read_gigabytes_per_second =
        std::max(floors.read_gigabytes_per_second, read * 1e-9);
  }
  return floors;
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
