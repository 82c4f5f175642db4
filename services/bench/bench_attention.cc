#include <algorithm>
#include <random>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "kernels/attention.h"
#include "kernels/floors.h"
#include "kernels/kv_cache.h"
#include "kernels/thread_pool.h"
#include "services/bench/bench.h"
#include "services/bench/machine.h"

namespace braid::services {
namespace {

struct Shape {
  const char* name;
  size_t heads;
  size_t kv_heads;
  size_t head_dim;
};

// Of the attention layers of these models.
constexpr Shape kShapes[] = {{"granite-4.0-h-350m", 12, 4, 64},
                             {"nemotron-3-nano", 32, 2, 128},
                             {"qwen3-next", 16, 2, 256}};
constexpr kernels::KvType kTypes[] = {
    kernels::KvType::kF32, kernels::KvType::kF16, kernels::KvType::kInt8};
constexpr size_t kPrefill = 512;
// Caches that are read in turn, so that each comes from memory.
constexpr uint64_t kBytesInTurn = uint64_t{128} << 20;
constexpr int kRuns = 5;

std::vector<float> Normal(size_t count, std::mt19937* random) {
  std::normal_distribution<float> draw;
  std::vector<float> values(count);
  for (float& value : values) value = draw(*random);
  return values;
}

// One layer's attention of the newest `queries` tokens of sequences of `tokens`
// tokens: the fastest of a few runs.
class Point {
 public:
  Point(const Shape& shape, kernels::KvType type, size_t tokens, size_t queries)
      : shape_(shape), queries_(queries) {
    const size_t width = shape.kv_heads * shape.head_dim;
    std::mt19937 random(1);
    const std::vector<float> rows = Normal(kPrefill * width, &random);
    kernels::KvCache cache({.kv_heads = shape.kv_heads,
                            .head_dim = shape.head_dim,
                            .value_dim = shape.head_dim,
                            .type = type});
    const uint64_t bytes =
        cache.layout().page_bytes() / kernels::kKvPageTokens * tokens;
    const size_t turns =
        queries == 1 ? std::max<uint64_t>(1, kBytesInTurn / bytes) : 1;
    for (size_t i = 0; i < turns; ++i) {
      caches_.push_back(cache);  // empty: a copy would share its pages
      for (size_t t = 0; t < tokens; t += kPrefill) {
        caches_.back().Append(rows.data(), width, rows.data(), width,
                              std::min(kPrefill, tokens - t));
      }
    }
    q_ = Normal(queries * shape.heads * shape.head_dim, &random);
    out_.resize(q_.size());
  }

  Json Measure(const kernels::Floors& floors, kernels::ThreadPool* pool) {
    double best = 0;
    for (int run = 0; run < kRuns; ++run) {
      const absl::Time start = absl::Now();
      for (const kernels::KvCache& cache : caches_) {
        const size_t ld = shape_.heads * shape_.head_dim;
        kernels::CachedAttention({.q = q_.data(),
                                  .ldq = ld,
                                  .m = queries_,
                                  .cache = &cache,
                                  .heads = shape_.heads,
                                  .scale = 0.05f,
                                  .out = out_.data(),
                                  .ldo = ld},
                                 pool);
      }
      const double seconds = absl::ToDoubleSeconds(absl::Now() - start) /
                             static_cast<double>(caches_.size());
      if (run == 0 || seconds < best) best = seconds;
    }
    const kernels::KvCache& cache = caches_.front();
    const double bytes = static_cast<double>(cache.bytes());
    // Each query and each key or value that it sees: a multiplication and an
    // addition per number.
    const double pairs = static_cast<double>(queries_) *
                         (static_cast<double>(cache.tokens()) -
                          (static_cast<double>(queries_) - 1) / 2);
    const double operations =
        4.0 * static_cast<double>(shape_.heads * shape_.head_dim) * pairs;
    const double read_floor = bytes / (floors.read_gigabytes_per_second * 1e9);
    const double fma_floor = operations / (floors.fma_gflops * 1e9);
    return {{"shape", shape_.name},
            {"kv_cache", kernels::KvTypeName(cache.shape().type)},
            {"tokens", cache.tokens()},
            {"queries", queries_},
            {"microseconds", best * 1e6},
            {"gigabytes_per_second", bytes * 1e-9 / best},
            {"gflops", operations * 1e-9 / best},
            {"read_floor_ratio", read_floor / best},
            {"fma_floor_ratio", fma_floor / best},
            {"floor_ratio", std::max(read_floor, fma_floor) / best}};
  }

 private:
  const Shape& shape_;
  const size_t queries_;
  std::vector<kernels::KvCache> caches_;
  std::vector<float> q_;
  std::vector<float> out_;
};

}  // namespace

absl::StatusOr<Json> BenchAttention(const BenchAttentionOptions& options,
                                    int threads, const JsonSink& row,
                                    std::stop_token stop) {
  if (threads == 0) {
    threads = static_cast<int>(std::thread::hardware_concurrency());
  }
  const Json machine = DescribeMachine(threads);
  const kernels::Floors floors = kernels::MeasureFloors(threads);
  kernels::ThreadPool pool(threads);
  Json rows = Json::array();
  for (const Shape& shape : kShapes) {
    for (const kernels::KvType type : kTypes) {
      const auto measure = [&](size_t tokens, size_t queries) {
        rows.push_back(
            Point(shape, type, tokens, queries).Measure(floors, &pool));
        row(rows.back());
      };
      for (const size_t depth : options.depths) {
        if (stop.stop_requested()) return absl::CancelledError("interrupted");
        measure(depth, 1);
      }
      for (const size_t prompt : options.prompts) {
        if (stop.stop_requested()) return absl::CancelledError("interrupted");
        measure(prompt, std::min(prompt, kPrefill));
      }
    }
  }
  return Json{{"rows", rows},
              {"floor",
               {{"read_gigabytes_per_second", floors.read_gigabytes_per_second},
                {"fma_gflops", floors.fma_gflops}}},
              {"machine", machine}};
}

}  // namespace braid::services
