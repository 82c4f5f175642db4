// `braid bench`: measurements of the whole machine's work, each beside the best
// it could be.
#ifndef BRAID_SERVICES_BENCH_BENCH_H_
#define BRAID_SERVICES_BENCH_BENCH_H_

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/checkpoint/weight_type.h"
#include "kernels/kv_type.h"
#include "services/config/config.h"
#include "services/eval/index_corpus.h"
#include "services/eval/json.h"

namespace braid::services {

struct BenchSearchOptions {
  std::string dataset;       // BEIR layout
  size_t max_queries = 300;  // of the set's queries, from the front
  double seconds = 3;        // of each throughput measurement
};

// Latency of RetrievalService.Search through the in-process channel, question
// embedding included, warm: both legs, each leg alone, both with the question
// embedded beforehand and, where there is a reranker, both and reranked (all
// interleaved, query by query); throughput with 1 and 2 callers; and the
// floors: Tantivy, FAISS (flat and HNSW) and the encoder called alone on the
// same queries. Keeps its index in the data directory of `config`, a temporary
// one if it is empty.
absl::StatusOr<Json> BenchSearch(Config config,
                                 const BenchSearchOptions& options,
                                 const ProgressSink& progress,
                                 std::stop_token stop);

struct BenchDenseOptions {
  size_t rows = 1'000'000;
  size_t dimension = 384;
  size_t queries = 200;
};

// A dense index of synthetic unit vectors in clusters, one thread: seconds to
// add and to settle; for each of no filter, 10 %, 1 % and 0.1 % of the rows
// allowed the percentiles of a search for ten in ms and its recall against all
// inner products; the percentiles while a tenth more rows are added, sealed and
// merged; and the memory that is not backed by the index's files.
absl::StatusOr<Json> BenchDense(const BenchDenseOptions& options,
                                const ProgressSink& progress,
                                std::stop_token stop);

struct BenchEncodeOptions {
  size_t texts = 64;   // per batch
  double seconds = 3;  // measured after a warm-up
};

// Texts of 128 tokens per second and core, the time of one question, and
// `floor_ratio`: the share of the machine's peak of f32 multiply-adds (measured
// in the same run) that the encoder's arithmetic reaches.
absl::StatusOr<Json> BenchEncode(Config config,
                                 const BenchEncodeOptions& options,
                                 std::stop_token stop);

struct BenchIngestOptions {
  std::string dataset;  // BEIR layout: only its corpus is read
  bool embed = true;    // measure with the encoder, too
};

// Documents per second into an empty directory until durable, with embedding
// and with vectors that cost nothing; peak memory of each: all that is
// resident, and what of it no file backs.
absl::StatusOr<Json> BenchIngest(Config config,
                                 const BenchIngestOptions& options,
                                 const ProgressSink& progress,
                                 std::stop_token stop);

struct BenchLoadOptions {
  std::string dataset;  // BEIR layout
  std::string model;    // HF checkpoint directory; empty: extracted answers
  double seconds = 10;  // of the search for the peak, and of the steady load
  double rate = 0;      // of the steady load, per second; 0: 70 % of the peak
  double overload_seconds = 60;
  double reset_seconds = 20;
  uint64_t cancelled_calls = 10'000;
};

// What a server of its own (another process, over loopback, which this one
// shares the cores with) does under load: `peak`, searches per second by
// callers who wait; `steady`, percentiles at a rate below it; `overload`, ten
// times the peak: what is still answered, how soon the rest is refused, memory,
// and the time until all is as before; `cancel`, calls that end at any moment:
// how soon nothing of them runs; `reset`, 50,000 streams a second opened and
// reset, and what well-behaved callers feel of it.
absl::StatusOr<Json> BenchLoad(Config config, const BenchLoadOptions& options,
                               const ProgressSink& progress,
                               std::stop_token stop);

struct BenchGenerateOptions {
  std::string model;  // HF checkpoint directory; runs on the CPU in f32
  std::vector<size_t> prompts = {512};
  std::vector<size_t> depths = {0};
  size_t generate = 32;
  kernels::KvType kv = kernels::KvType::kF16;
  model::WeightType weights = model::WeightType::kStored;
};

using JsonSink = std::function<void(const Json&)>;

// One point for each prompt length and depth: `prompt` tokens are prefilled
// behind `depth` others, and `generate` tokens are decoded behind the same
// `depth`. `row` gets each point as it is done; the report holds them all in
// `rows`. `floor_ratio` is the share of the decode rate that reading each
// active weight once a token would allow; `prefill_floor_ratio` that of the
// peak of multiply-adds. `predicted_bytes` is the state known before the
// sequence starts, `state_bytes` what it really took.
absl::StatusOr<Json> BenchGenerate(const BenchGenerateOptions& options,
                                   int threads, const JsonSink& row,
                                   std::stop_token stop);

struct BenchAttentionOptions {
  std::vector<size_t> depths = {4096, 16384, 32768, 131072};
  std::vector<size_t> prompts = {512, 4096, 16384};
};

// One layer's attention alone, in the shapes of some models and with each type
// of cache: one query behind each of `depths` tokens, read from memory, and the
// last 512 queries of each of `prompts`. Beside the time, the shares of the
// machine's bandwidth and of its multiply-adds; `floor_ratio` is the larger,
// the one that bounds.
absl::StatusOr<Json> BenchAttention(const BenchAttentionOptions& options,
                                    int threads, const JsonSink& row,
                                    std::stop_token stop);

// Every other kernel of the generator and the encoder alone, on a shape of a
// model: time, rate, and the share of what memory or arithmetic allows,
// whichever bounds.
absl::StatusOr<Json> BenchKernels(int threads, const JsonSink& row,
                                  std::stop_token stop);

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_BENCH_H_
