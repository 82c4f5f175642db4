#include <algorithm>
#include <thread>

#include "absl/time/clock.h"
#include "kernels/floors.h"
#include "kernels/thread_pool.h"
#include "services/bench/bench.h"
#include "services/bench/kernel_cases.h"
#include "services/bench/machine.h"

namespace braid::services {
namespace {

constexpr int kRounds = 5;
// Of one round, at least.
constexpr absl::Duration kRoundTime = absl::Milliseconds(30);

// Of the fastest round: a busy machine only ever makes one slower.
double SecondsPerCall(const KernelCase& kernel, kernels::ThreadPool* pool) {
  for (size_t turn = 0; turn < kernel.turns; ++turn) kernel.run(turn, pool);
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    size_t calls = 0;
    absl::Duration elapsed;
    const absl::Time start = absl::Now();
    do {
      for (size_t turn = 0; turn < kernel.turns; ++turn, ++calls) {
        kernel.run(turn, pool);
      }
      elapsed = absl::Now() - start;
    } while (elapsed < kRoundTime);
    const double seconds =
        absl::ToDoubleSeconds(elapsed) / static_cast<double>(calls);
    if (round == 0 || seconds < best) best = seconds;
  }
  return best;
}

Json Measure(const KernelCase& kernel, const kernels::Floors& floors,
             kernels::ThreadPool* pool) {
  const double seconds = SecondsPerCall(kernel, pool);
  const double read_floor =
      kernel.bytes / (floors.read_gigabytes_per_second * 1e9);
  const double rate = kernel.int8 ? floors.int8_gops : floors.fma_gflops;
  const double arithmetic_floor = kernel.operations / (rate * 1e9);
  return {{"kernel", kernel.kernel},
          {"shape", kernel.shape},
          {"tokens", kernel.tokens},
          {"microseconds", seconds * 1e6},
          {"gigabytes_per_second", kernel.bytes * 1e-9 / seconds},
          {"gops", kernel.operations * 1e-9 / seconds},
          {"bound", read_floor > arithmetic_floor ? "memory" : "arithmetic"},
          {"floor_ratio", std::max(read_floor, arithmetic_floor) / seconds}};
}

}  // namespace

absl::StatusOr<Json> BenchKernels(int threads, const JsonSink& row,
                                  std::stop_token stop) {
  if (threads == 0) {
    threads = static_cast<int>(std::thread::hardware_concurrency());
  }
  const Json machine = DescribeMachine(threads);
  const kernels::Floors floors = kernels::MeasureFloors(threads);
  kernels::ThreadPool pool(threads);
  Json rows = Json::array();
  for (const KernelCaseMaker& make : KernelCases()) {
    if (stop.stop_requested()) return absl::CancelledError("interrupted");
    rows.push_back(Measure(make(), floors, &pool));
    row(rows.back());
  }
  return Json{{"rows", rows},
              {"floor",
               {{"read_gigabytes_per_second", floors.read_gigabytes_per_second},
                {"fma_gflops", floors.fma_gflops},
                {"int8_gops", floors.int8_gops}}},
              {"machine", machine}};
}

}  // namespace braid::services
