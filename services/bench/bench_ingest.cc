#include <algorithm>
#include <atomic>
#include <memory>
#include <stop_token>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/bench/bench.h"
#include "services/bench/hash_encoder.h"
#include "services/bench/machine.h"
#include "services/eval/beir.h"
#include "services/eval/temporary_directory.h"
#include "services/runtime.h"
#include "services/telemetry/process_figures.h"

namespace braid::services {
namespace {

constexpr const char* kCollection = "bench";
constexpr absl::Duration kSamplingInterval = absl::Milliseconds(10);

// One run into a fresh directory.
absl::StatusOr<Json> Measure(const retrieval::Encoder& encoder,
                             const Config& config, const std::string& corpus,
                             const ProgressSink& progress,
                             const std::stop_token& stop) {
  absl::StatusOr<TemporaryDirectory> directory = TemporaryDirectory::Create();
  if (!directory.ok()) return directory.status();
  retrieval::LocalBackendOptions options;
  options.directory = directory->path();
  absl::StatusOr<std::unique_ptr<retrieval::LocalBackend>> backend =
      retrieval::LocalBackend::Open(options, &encoder);
  if (!backend.ok()) return backend.status();
  const absl::Status created = EnsureWholeCollection(**backend, kCollection);
  if (!created.ok()) return created;
  const int threads =
      config.threads > 0
          ? config.threads
          : static_cast<int>(std::thread::hardware_concurrency());
  auto parser = retrieval::ParserPool::Create(ParserOptionsOf(config));
  if (!parser.ok()) return parser.status();
  absl::StatusOr<std::unique_ptr<retrieval::IngestPipeline>> pipeline =
      retrieval::IngestPipeline::Create((*backend)->store(), &encoder,
                                        parser->get(), kCollection,
                                        retrieval::IngestLimits(), threads);
  if (!pipeline.ok()) return pipeline.status();

  const bool reset = ResetPeakResidentBytes();
  std::atomic<uint64_t> anonymous_peak = 0;
  std::jthread sampler([&anonymous_peak](const std::stop_token& done) {
    while (!done.stop_requested()) {
      anonymous_peak = std::max(anonymous_peak.load(), AnonymousBytes());
      absl::SleepFor(kSamplingInterval);
    }
  });
  const double cpu_start = telemetry::CpuSeconds();
  const absl::StatusOr<IndexReport> report =
      IndexCorpus(**backend, **pipeline, kCollection, corpus, progress, stop);
  if (!report.ok()) return report.status();
  const double cpu_seconds = telemetry::CpuSeconds() - cpu_start;
  sampler.request_stop();
  sampler.join();
  const uint64_t peak = PeakResidentBytes();
  pipeline->reset();
  (*backend)->Shutdown();

  const double durable = absl::ToDoubleSeconds(report->durable);
  return Json{
      {"documents", report->written},
      {"failed", report->failed},
      {"seconds", durable},
      {"searchable_seconds", absl::ToDoubleSeconds(report->searchable)},
      {"cpu_seconds", cpu_seconds},
      {"documents_per_second", static_cast<double>(report->written) / durable},
      {"chunks_per_second", static_cast<double>(report->chunks) / durable},
      {"peak_rss_bytes", peak},
      {"peak_anonymous_bytes", anonymous_peak.load()},
      {"peak_is_of_this_run", reset}};
}

}  // namespace

absl::StatusOr<Json> BenchIngest(Config config,
                                 const BenchIngestOptions& options,
                                 const ProgressSink& progress,
                                 std::stop_token stop) {
  const absl::StatusOr<std::string> corpus = FindCorpus(options.dataset);
  if (!corpus.ok()) return corpus.status();
  absl::StatusOr<TemporaryDirectory> directory = TemporaryDirectory::Create();
  if (!directory.ok()) return directory.status();
  config.data_directory = directory->path();
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create(config);
  if (!runtime.ok()) return runtime.status();

  const Json machine = DescribeMachine(config.threads);
  const HashEncoder hash(&(*runtime)->encoder());
  absl::StatusOr<Json> without = Measure(hash, config, *corpus, progress, stop);
  if (!without.ok()) return without.status();
  Json rates = {{"without_embedding", (*without)["documents_per_second"]}};
  Json result = {{"dataset", options.dataset},
                 {"peak_rss_bytes", (*without)["peak_rss_bytes"]},
                 {"without_embedding", *without},
                 {"machine", machine}};
  if (options.embed) {
    const absl::StatusOr<Json> with =
        Measure((*runtime)->encoder(), config, *corpus, progress, stop);
    if (!with.ok()) return with.status();
    rates["with_embedding"] = (*with)["documents_per_second"];
    result["peak_rss_bytes"] = (*with)["peak_rss_bytes"];
    result["with_embedding"] = *with;
  }
  (*runtime)->Shutdown();
  result["documents_per_second"] = std::move(rates);
  return result;
}

}  // namespace braid::services
