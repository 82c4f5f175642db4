#include <algorithm>
#include <memory>
#include <random>
#include <thread>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "generation/engine/inspect.h"
#include "generation/engine/model.h"
#include "generation/engine/sampling.h"
#include "kernels/floors.h"
#include "kernels/thread_pool.h"
#include "services/bench/bench.h"
#include "services/bench/machine.h"
#include "services/telemetry/process_figures.h"

namespace braid::services {
namespace {

constexpr size_t kPrefillChunk = 512;

using generation::HybridModel;
using generation::LogitsOf;
using generation::SequenceState;

uint64_t BytesOf(const SequenceState& state) {
  const auto bytes = [](const auto& values) {
    return values.size() * sizeof(values[0]);
  };
  uint64_t total = 0;
  for (const model::OperatorState& part : state.operators) {
    if (const auto* cache = std::get_if<kernels::KvCache>(&part)) {
      total += cache->bytes();
    } else if (const auto* past = std::get_if<model::RecurrentState>(&part)) {
      total += bytes(past->conv) + bytes(past->recurrent) + bytes(past->angles);
    }
  }
  return total;
}

class Bench {
 public:
  Bench(const HybridModel& model, int threads) : model_(model), pool_(threads) {
    workspace_.pool = &pool_;
  }

  // Feeds `count` tokens chosen at random: their values do not change the work,
  // except for which experts are visited.
  absl::Status Prefill(size_t count, SequenceState* state,
                       const std::stop_token& stop) {
    std::uniform_int_distribution<int32_t> token(
        0, static_cast<int32_t>(model_.spec().vocab_size) - 1);
    std::vector<int32_t> ids;
    for (size_t done = 0; done < count; done += ids.size()) {
      ids.resize(std::min(kPrefillChunk, count - done));
      for (int32_t& id : ids) id = token(random_);
      const bool last = done + ids.size() == count;
      generation::ForwardOptions options;
      options.logits = last ? LogitsOf::kLastToken : LogitsOf::kNothing;
      options.stop = [&stop] { return stop.stop_requested(); };
      absl::Status status =
          model_.Forward(ids, options, state, &workspace_, &logits_);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Greedy, one token at a time, from the logits of the last call.
  absl::Status Decode(size_t count, SequenceState* state,
                      const std::stop_token& stop) {
    for (size_t i = 0; i < count; ++i) {
      if (stop.stop_requested()) return absl::CancelledError("interrupted");
      const int32_t id =
          logits_.empty() ? 0
                          : generation::SampleToken(
                                logits_, generation::SamplingParams(), unused_);
      absl::Status status = model_.Forward({id}, generation::ForwardOptions(),
                                           state, &workspace_, &logits_);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  const HybridModel& model_;
  kernels::ThreadPool pool_;
  model::Workspace workspace_;
  std::vector<float> logits_;
  std::mt19937 random_{1};
  std::mt19937_64 unused_;  // greedy: nothing is drawn
};

double Seconds(absl::Time start) {
  return absl::ToDoubleSeconds(absl::Now() - start);
}

// `prompt` tokens are prefilled behind `depth` others, and, apart from that,
// `generate` tokens are decoded behind the same `depth`.
absl::StatusOr<Json> MeasurePoint(const HybridModel& model, Bench& bench,
                                  size_t prompt, size_t depth, size_t generate,
                                  kernels::KvType kv,
                                  const std::stop_token& stop) {
  ResetPeakResidentBytes();
  SequenceState state = model.NewState(kv);
  absl::Status status = bench.Prefill(depth, &state, stop);
  if (!status.ok()) return status;
  const double cpu_start = telemetry::CpuSeconds();

  SequenceState prefilled = state;
  absl::Time start = absl::Now();
  status = bench.Prefill(prompt, &prefilled, stop);
  if (!status.ok()) return status;
  const double prefill_seconds = Seconds(start);

  start = absl::Now();
  status = bench.Decode(generate, &state, stop);
  if (!status.ok()) return status;
  const double decode_seconds = Seconds(start);
  return Json{{"prompt", prompt},
              {"depth", depth},
              {"gen", generate},
              {"prefill_tokens_per_second",
               static_cast<double>(prompt) / prefill_seconds},
              {"decode_tokens_per_second",
               static_cast<double>(generate) / decode_seconds},
              {"cpu_seconds", telemetry::CpuSeconds() - cpu_start},
              {"peak_rss_bytes", PeakResidentBytes()},
              {"state_bytes", BytesOf(state)},
              {"predicted_bytes", model.state_bytes(kv).For(depth + generate)}};
}

}  // namespace

absl::StatusOr<Json> BenchGenerate(const BenchGenerateOptions& options,
                                   int threads, const JsonSink& row,
                                   std::stop_token stop) {
  const auto inspected =
      generation::InspectCheckpoint(options.model, options.kv, options.weights);
  if (!inspected.ok()) return inspected.status();
  if (threads == 0) {
    threads = static_cast<int>(std::thread::hardware_concurrency());
  }
  const absl::StatusOr<std::unique_ptr<HybridModel>> model =
      HybridModel::Load(options.model, options.weights, threads);
  if (!model.ok()) return model.status();
  const Json machine = DescribeMachine(threads);
  const kernels::Floors floors = kernels::MeasureFloors(threads);
  Bench bench(**model, threads);
  SequenceState warm_up = (*model)->NewState(options.kv);
  absl::Status status = bench.Prefill(32, &warm_up, stop);
  if (!status.ok()) return status;

  const double head = static_cast<double>(inspected->head_parameters);
  const double layers =
      static_cast<double>(inspected->active_parameters) - head;
  const bool quantized = inspected->weights != "f32";
  Json rows = Json::array();
  for (const size_t prompt : options.prompts) {
    for (const size_t depth : options.depths) {
      absl::StatusOr<Json> point = MeasurePoint(
          **model, bench, prompt, depth, options.generate, options.kv, stop);
      if (!point.ok()) return point.status();
      // Decoding reads every active weight and the keys and values once a
      // token, and reads and writes the recurrent state. Prefill multiplies and
      // adds each weight of the layers once a token, the head's once; what the
      // context costs comes on top.
      const double decode_floor =
          floors.read_gigabytes_per_second * 1e9 /
          (static_cast<double>(inspected->active_weight_bytes +
                               2 * inspected->recurrent_state_bytes) +
           static_cast<double>(inspected->kv_bytes_per_token) *
               (static_cast<double>(depth) +
                static_cast<double>(options.generate) / 2));
      const double prefill_floor =
          (quantized ? floors.int8_gops : floors.fma_gflops) * 1e9 /
          (2 * (layers + head / static_cast<double>(prompt)));
      (*point)["floor_ratio"] =
          (*point)["decode_tokens_per_second"].get<double>() / decode_floor;
      (*point)["prefill_floor_ratio"] =
          (*point)["prefill_tokens_per_second"].get<double>() / prefill_floor;
      row(*point);
      rows.push_back(*std::move(point));
    }
  }
  return Json{{"model", options.model},
              {"weights", inspected->weights},
              {"active_weight_bytes", inspected->active_weight_bytes},
              {"kv_cache", kernels::KvTypeName(options.kv)},
              {"rows", rows},
              {"floor",
               {{"read_gigabytes_per_second", floors.read_gigabytes_per_second},
                {"fma_gflops", floors.fma_gflops},
                {"int8_gops", floors.int8_gops}}},
              {"machine", machine}};
}

}  // namespace braid::services
