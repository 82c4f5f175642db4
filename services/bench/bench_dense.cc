#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/elementwise.h"
#include "retrieval/dense/dense_index.h"
#include "retrieval/dense/top_k.h"
#include "services/bench/bench.h"
#include "services/bench/machine.h"
#include "services/eval/statistics.h"
#include "services/eval/temporary_directory.h"

namespace braid::services {
namespace {

using retrieval::ChunkBitmap;
using retrieval::ChunkId;
using retrieval::DenseIndex;
using retrieval::ScoredChunk;

constexpr size_t kBatch = 1024;
constexpr size_t kRowsPerCluster = 1000;
constexpr size_t kResults = 10;
// One row in so many is allowed; 1: no filter.
constexpr uint64_t kFilters[] = {1, 10, 100, 1000};

// Unit vectors in clusters, as embeddings of documents are: a random centre,
// and a deviation as long as it, with a spectrum that falls like that of text
// embeddings (a few strong directions, another few in every cluster).
class Source {
 public:
  Source(size_t dimension, size_t clusters, uint32_t seed)
      : dimension_(dimension), random_(seed), pick_(0, clusters - 1) {
    centres_.resize(clusters * dimension);
    for (float& value : centres_) value = normal_(random_);
    double sum = 0;
    for (size_t i = 0; i < dimension; ++i) {
      spectrum_.push_back(1.0f / std::sqrt(1.0f + static_cast<float>(i) / 8));
      sum += spectrum_[i] * spectrum_[i];
    }
    for (float& value : spectrum_) {
      value *=
          std::sqrt(static_cast<float>(dimension) / static_cast<float>(sum));
    }
  }

  void Next(float* vector) {
    const size_t cluster = pick_(random_);
    const size_t turn = cluster * 67 % dimension_;
    double sum = 0;
    for (size_t i = 0; i < dimension_; ++i) {
      vector[i] = centres_[cluster * dimension_ + i] +
                  spectrum_[(i + turn) % dimension_] * normal_(random_);
      sum += double{vector[i]} * vector[i];
    }
    const auto scale = static_cast<float>(1 / std::sqrt(sum));
    for (size_t i = 0; i < dimension_; ++i) vector[i] *= scale;
  }

 private:
  size_t dimension_;
  std::mt19937 random_;
  std::normal_distribution<float> normal_;
  std::uniform_int_distribution<size_t> pick_;
  std::vector<float> centres_;
  std::vector<float> spectrum_;
};

double Recall(const std::vector<ScoredChunk>& exact,
              const std::vector<ScoredChunk>& found) {
  const auto hits = std::count_if(
      exact.begin(), exact.end(), [&found](const ScoredChunk& wanted) {
        return std::any_of(found.begin(), found.end(),
                           [&wanted](const ScoredChunk& hit) {
                             return hit.chunk == wanted.chunk;
                           });
      });
  return static_cast<double>(hits) / static_cast<double>(exact.size());
}

bool Allowed(ChunkId id, uint64_t one_in) { return id % one_in == 0; }

struct Benchmark {
  const BenchDenseOptions& options;
  const ProgressSink& progress;
  const std::stop_token& stop;
  DenseIndex& index;
  Source source;
  std::vector<float> queries;  // [options.queries, dimension]
  // By definition, per filter and query: as rows are added, and then taken.
  std::vector<retrieval::TopK> best[4];
  std::vector<std::vector<ScoredChunk>> exact[4];
  ChunkId next_id = 1;

  // One batch of new rows.
  absl::Status AddRows(size_t count) {
    std::vector<ChunkId> ids(count);
    std::iota(ids.begin(), ids.end(), next_id);
    std::vector<float> vectors(count * options.dimension);
    for (size_t i = 0; i < count; ++i) {
      source.Next(&vectors[i * options.dimension]);
    }
    next_id += count;
    return AddRows(ids, vectors);
  }

  absl::Status AddRows(const std::vector<ChunkId>& ids,
                       const std::vector<float>& vectors) {
    for (size_t q = 0; q < best[0].size(); ++q) {
      const float* query = &queries[q * options.dimension];
      for (size_t i = 0; i < ids.size(); ++i) {
        const float score = kernels::Dot(query, &vectors[i * options.dimension],
                                         options.dimension);
        for (size_t f = 0; f < std::size(kFilters); ++f) {
          if (Allowed(ids[i], kFilters[f])) best[f][q].Push(ids[i], score);
        }
      }
    }
    absl::Status status = index.Add(ids, vectors);
    if (status.ok()) index.Publish();
    return status;
  }

  // Milliseconds of one search, and its recall where that is known.
  absl::StatusOr<double> Search(size_t q, size_t filter,
                                const ChunkBitmap* allowed, double* recall) {
    const auto snapshot = index.snapshot();
    const absl::Time start = absl::Now();
    const auto found =
        snapshot->Search({&queries[q * options.dimension], options.dimension},
                         kResults, allowed);
    const double elapsed = absl::ToDoubleMilliseconds(absl::Now() - start);
    if (!found.ok()) return found.status();
    if (recall != nullptr) *recall += Recall(exact[filter][q], *found);
    return elapsed;
  }

  absl::StatusOr<Json> SearchAll(size_t filter) {
    ChunkBitmap allowed;
    for (ChunkId id = 1; id < next_id; ++id) {
      if (Allowed(id, kFilters[filter])) allowed.Add(id);
    }
    const ChunkBitmap* bitmap = kFilters[filter] == 1 ? nullptr : &allowed;
    std::vector<double> times;
    double recall = 0;
    for (int round = 0; round < 2; ++round) {  // the first warms up
      times.clear();
      recall = 0;
      for (size_t q = 0; q < options.queries; ++q) {
        if (stop.stop_requested()) return absl::CancelledError("interrupted");
        const auto elapsed = Search(q, filter, bitmap, &recall);
        if (!elapsed.ok()) return elapsed.status();
        times.push_back(*elapsed);
      }
    }
    Json row = ToJson(ComputePercentiles(times));
    row["allowed"] = 1.0 / static_cast<double>(kFilters[filter]);
    row["recall@10"] = recall / static_cast<double>(options.queries);
    return row;
  }

  // Searches while a tenth more rows are added, sealed and merged.
  absl::StatusOr<Json> SearchWhileAdding() {
    std::atomic<bool> done = false;
    absl::Status added;
    std::thread writer([&] {
      const ChunkId end = next_id + options.rows / 10;
      while (added.ok() && next_id < end && !stop.stop_requested()) {
        added = AddRows(std::min<size_t>(kBatch, end - next_id));
      }
      if (added.ok()) added = index.Commit(2);
      if (added.ok()) index.WaitUntilSettled();
      done = true;
    });
    std::vector<double> times;
    absl::Status searched;
    for (size_t q = 0; searched.ok() && !done; q = (q + 1) % options.queries) {
      const auto elapsed = Search(q, 0, nullptr, nullptr);
      searched = elapsed.status();
      if (elapsed.ok()) times.push_back(*elapsed);
    }
    writer.join();
    if (!added.ok()) return added;
    if (!searched.ok()) return searched;
    return ToJson(ComputePercentiles(times));
  }
};

}  // namespace

absl::StatusOr<Json> BenchDense(const BenchDenseOptions& options,
                                const ProgressSink& progress,
                                std::stop_token stop) {
  absl::StatusOr<TemporaryDirectory> directory = TemporaryDirectory::Create();
  if (!directory.ok()) return directory.status();
  retrieval::DenseIndexOptions index_options;
  index_options.dimension = options.dimension;
  const std::string path = absl::StrCat(directory->path(), "/dense");
  auto index = DenseIndex::Open(path, index_options);
  if (!index.ok()) return index.status();

  Benchmark bench{
      options,
      progress,
      stop,
      **index,
      Source(options.dimension, 1 + options.rows / kRowsPerCluster, 1),
      {},
      {}};
  bench.queries.resize(options.queries * options.dimension);
  for (size_t q = 0; q < options.queries; ++q) {
    bench.source.Next(&bench.queries[q * options.dimension]);
  }
  for (auto& queries : bench.best) {
    queries.assign(options.queries, retrieval::TopK(kResults));
  }

  const uint64_t anonymous_before = AnonymousBytes();
  uint64_t anonymous_peak = 0;
  double add_seconds = 0;
  while (bench.next_id <= options.rows) {
    if (stop.stop_requested()) return absl::CancelledError("interrupted");
    const absl::Time start = absl::Now();
    if (absl::Status status = bench.AddRows(
            std::min<size_t>(kBatch, options.rows + 1 - bench.next_id));
        !status.ok()) {
      return status;
    }
    add_seconds += absl::ToDoubleSeconds(absl::Now() - start);
    anonymous_peak = std::max(anonymous_peak, AnonymousBytes());
    progress("Adding", bench.next_id - 1, options.rows);
  }
  const absl::Time settling = absl::Now();
  (*index)->WaitUntilSettled();
  const double settle_seconds = absl::ToDoubleSeconds(absl::Now() - settling);
  if (absl::Status status = (*index)->Commit(1); !status.ok()) return status;
  anonymous_peak = std::max(anonymous_peak, AnonymousBytes());
  const uint64_t anonymous_settled = AnonymousBytes();

  // What is added later is not part of any answer that is checked.
  for (size_t filter = 0; filter < std::size(kFilters); ++filter) {
    for (retrieval::TopK& best : bench.best[filter]) {
      bench.exact[filter].push_back(best.Take());
    }
    bench.best[filter].clear();
  }
  Json filters = Json::array();
  for (size_t filter = 0; filter < std::size(kFilters); ++filter) {
    progress("Searching", filter, std::size(kFilters));
    auto row = bench.SearchAll(filter);
    if (!row.ok()) return row.status();
    filters.push_back(*std::move(row));
  }
  const retrieval::DenseStats stats = (*index)->snapshot()->Stats();
  progress("Searching while adding", 0, 1);
  auto adding = bench.SearchWhileAdding();
  if (!adding.ok()) return adding.status();

  const auto above = [&](uint64_t bytes) {
    return bytes > anonymous_before ? bytes - anonymous_before : 0;
  };
  return Json{{"rows", options.rows},
              {"dimension", options.dimension},
              {"queries", options.queries},
              {"add_seconds", add_seconds},
              {"settle_seconds", settle_seconds},
              {"hnsw_segments", stats.hnsw_segments},
              {"flat_vectors", stats.flat_vectors},
              {"search", filters},
              {"search_while_adding", *adding},
              {"anonymous_bytes", above(anonymous_settled)},
              {"peak_anonymous_bytes", above(anonymous_peak)},
              {"machine", DescribeMachine(1)}};
}

}  // namespace braid::services
