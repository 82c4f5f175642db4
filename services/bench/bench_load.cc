#include <algorithm>
#include <atomic>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/bench/bench.h"
#include "services/bench/bench_queries.h"
#include "services/bench/call_storm.h"
#include "services/bench/machine.h"
#include "services/bench/reset_flood.h"
#include "services/bench/search_load.h"
#include "services/bench/served_process.h"
#include "services/eval/beir.h"
#include "services/eval/temporary_directory.h"

namespace braid::services {
namespace {

constexpr int kCallers = 16;  // that find the peak
constexpr double kSteadyShare = 0.7;
constexpr double kOverload = 10;
constexpr double kFloodRate = 50'000;
constexpr double kFloodProbeShare = 0.2;  // of the peak, asked meanwhile
constexpr absl::Duration kDeadline = absl::Seconds(2);
constexpr absl::Duration kMaxRecovery = absl::Seconds(30);
constexpr char kSearchPath[] = "/braid.v1.RetrievalService/Search";

// The largest resident set of the server while it lives.
class PeakMemory {
 public:
  explicit PeakMemory(const ServedProcess& server)
      : before_(server.ResidentBytes()),
        thread_([this, &server](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            peak_ = std::max<uint64_t>(peak_, server.ResidentBytes());
            absl::SleepFor(absl::Milliseconds(50));
          }
        }) {}

  // Bytes above those of the beginning.
  int64_t growth() const {
    return static_cast<int64_t>(peak_) - static_cast<int64_t>(before_);
  }

 private:
  const uint64_t before_;
  std::atomic<uint64_t> peak_ = 0;
  std::jthread thread_;
};

class LoadBench {
 public:
  LoadBench(const BenchLoadOptions& options, const ServedProcess& server,
            const std::string& collection, std::vector<std::string> queries,
            const ProgressSink& progress, std::stop_token stop)
      : options_(options),
        server_(server),
        collection_(collection),
        queries_(std::move(queries)),
        load_(server.address(), Requests()),
        progress_(progress),
        stop_(std::move(stop)) {}

  absl::StatusOr<Json> Run() {
    using Step = absl::StatusOr<Json> (LoadBench::*)();
    const std::pair<const char*, Step> steps[] = {
        {"peak", &LoadBench::Peak},         {"steady", &LoadBench::Steady},
        {"overload", &LoadBench::Overload}, {"cancel", &LoadBench::Cancel},
        {"reset", &LoadBench::Reset},
    };
    // Warm: caches, connections, lazily made pools.
    (void)load_.RunClosed(kCallers, absl::Seconds(1), stop_);
    Json report = Json::object();
    uint64_t done = 0;
    for (const auto& [name, step] : steps) {
      progress_(name, done++, std::size(steps));
      absl::StatusOr<Json> result = (this->*step)();
      if (!result.ok()) return result.status();
      if (stop_.stop_requested()) return absl::CancelledError("interrupted");
      report[name] = *std::move(result);
    }
    return report;
  }

 private:
  std::vector<v1::SearchRequest> Requests() const {
    std::vector<v1::SearchRequest> requests;
    for (const std::string& query : queries_) {
      v1::SearchRequest& request = requests.emplace_back();
      request.set_collection(absl::StrCat("collections/", collection_));
      request.set_query(query);
    }
    return requests;
  }

  absl::StatusOr<Json> Peak() {
    const LoadResult result =
        load_.RunClosed(kCallers, absl::Seconds(options_.seconds), stop_);
    peak_ = result.answered_per_second();
    return ToJson(result);
  }

  absl::StatusOr<Json> Steady() {
    const double rate =
        options_.rate > 0 ? options_.rate : peak_ * kSteadyShare;
    const LoadResult result =
        load_.RunOpen(rate, absl::Seconds(options_.seconds), kDeadline, stop_);
    baseline_p95_ = ComputePercentiles(result.answered).p95;
    Json json = {{"offered_per_second", rate}};
    json.update(ToJson(result));
    return json;
  }

  absl::StatusOr<Json> Overload() {
    const double rate = peak_ * kOverload;
    Json json = {{"offered_per_second", rate}};
    const PeakMemory memory(server_);
    const LoadResult result = load_.RunOpen(
        rate, absl::Seconds(options_.overload_seconds), kDeadline, stop_);
    json["recovery_seconds"] = absl::ToDoubleSeconds(Recovery());
    json.update(ToJson(result));
    json["goodput_to_peak"] = result.answered_per_second() / peak_;
    json["rss_growth_bytes"] = memory.growth();
    return json;
  }

  // Until ten searches in a row are answered as fast as 95 of 100 were before.
  absl::Duration Recovery() {
    const absl::Time start = absl::Now();
    int good = 0;
    while (good < 10 && absl::Now() - start < kMaxRecovery &&
           !stop_.stop_requested()) {
      const LoadResult one = load_.RunClosed(1, absl::ZeroDuration(), stop_);
      const bool fast =
          one.answered.size() == 1 && one.answered[0] <= 2 * baseline_p95_;
      good = fast ? good + 1 : 0;
    }
    return absl::Now() - start;
  }

  absl::StatusOr<Json> Cancel() {
    StormOptions storm;
    storm.address = server_.address();
    storm.collection = collection_;
    storm.questions = queries_;
    storm.calls = options_.cancelled_calls;
    storm.generate = !options_.model.empty();
    const PeakMemory memory(server_);
    Json json = ToJson(RunCallStorm(storm, stop_));
    absl::StatusOr<absl::Duration> idle = WaitUntilIdle();
    if (!idle.ok()) return idle.status();
    json["idle_after_ms"] = absl::ToDoubleMilliseconds(*idle);
    // Of that, what looking took.
    idle = WaitUntilIdle();
    if (!idle.ok()) return idle.status();
    json["look_ms"] = absl::ToDoubleMilliseconds(*idle);
    json["rss_growth_bytes"] = memory.growth();
    return json;
  }

  // Until no call is in flight and no thread of a pool works, by the server's
  // own count.
  absl::StatusOr<absl::Duration> WaitUntilIdle() {
    const absl::Time start = absl::Now();
    while (absl::Now() - start < kMaxRecovery) {
      const auto metrics = server_.ReadMetrics();
      if (!metrics.ok()) return metrics.status();
      double busy = 0;
      for (const auto& [name, value] : *metrics) {
        if (absl::StartsWith(name, "braid_rpc_in_flight{") ||
            absl::StartsWith(name, "braid_queue_running{")) {
          busy += value;
        }
      }
      if (busy == 0) return absl::Now() - start;
    }
    return absl::InternalError("calls that have ended are still in flight");
  }

  absl::StatusOr<Json> Reset() {
    const double rate = peak_ * kFloodProbeShare;
    const absl::Duration length = absl::Seconds(options_.reset_seconds);
    const LoadResult before = load_.RunOpen(rate, length, kDeadline, stop_);
    const PeakMemory memory(server_);
    absl::StatusOr<FloodResult> flood = absl::InternalError("not run");
    double in_flight = 0;
    LoadResult during;
    {
      std::jthread flooding([&] {
        flood = FloodWithResets(server_.address(), kSearchPath, kFloodRate,
                                length, stop_);
      });
      std::jthread watching([&](const std::stop_token& watched) {
        while (!watched.stop_requested()) {
          const auto metrics = server_.ReadMetrics();
          if (metrics.ok()) {
            const auto found =
                metrics->find("braid_queue_running{pool=\"searches\"}");
            if (found != metrics->end()) {
              in_flight = std::max(in_flight, found->second);
            }
          }
          absl::SleepFor(absl::Milliseconds(200));
        }
      });
      during = load_.RunOpen(rate, length, kDeadline, stop_);
    }
    if (!flood.ok()) return flood.status();
    const double quiet_p99 = ComputePercentiles(before.answered).p99;
    return Json{
        {"streams", flood->streams},
        {"streams_per_second",
         static_cast<double>(flood->streams) / flood->seconds},
        {"connections", flood->connections},
        {"max_running_searches", in_flight},
        {"before", ToJson(before)},
        {"during", ToJson(during)},
        {"p99_to_quiet", ComputePercentiles(during.answered).p99 / quiet_p99},
        {"rss_growth_bytes", memory.growth()}};
  }

  const BenchLoadOptions& options_;
  const ServedProcess& server_;
  const std::string collection_;
  const std::vector<std::string> queries_;
  SearchLoad load_;
  const ProgressSink& progress_;
  const std::stop_token stop_;
  double peak_ = 0;          // searches per second
  double baseline_p95_ = 0;  // ms, of the steady load
};

// The server's configuration: what this process was given, on loopback.
absl::Status WriteConfig(const Config& config, const std::string& model,
                         const std::string& path) {
  const auto text = [](const std::string& value) { return Json(value).dump(); };
  std::ofstream file(path);
  file << "log_level = \"off\"\nmetrics_address = \"127.0.0.1:0\"\n"
       << "data_directory = " << text(config.data_directory) << "\n"
       << "encoder_directory = " << text(config.encoder_directory) << "\n"
       << "reranker_directory = " << text(config.reranker_directory) << "\n"
       << "model_directory = " << text(model) << "\n"
       << "threads = " << config.threads << "\n";
  file.close();
  return file.good() ? absl::OkStatus()
                     : absl::InternalError(absl::StrCat("cannot write ", path));
}

}  // namespace

absl::StatusOr<Json> BenchLoad(Config config, const BenchLoadOptions& options,
                               const ProgressSink& progress,
                               std::stop_token stop) {
  const absl::StatusOr<DatasetFiles> files =
      FindDataset(options.dataset, "", "");
  if (!files.ok()) return files.status();
  auto queries =
      ReadQueryTexts(files->queries, std::numeric_limits<size_t>::max());
  if (!queries.ok()) return queries.status();
  absl::StatusOr<TemporaryDirectory> temporary = TemporaryDirectory::Create();
  if (!temporary.ok()) return temporary.status();
  if (config.data_directory.empty()) {
    config.data_directory = absl::StrCat(temporary->path(), "/data");
  }
  const std::string collection = EvalCollection(options.dataset);
  uint64_t documents = 0;
  {
    absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create(config);
    if (!runtime.ok()) return runtime.status();
    const auto index =
        IndexDataset(**runtime, collection, files->corpus, progress, stop);
    if (!index.ok()) return index.status();
    documents = index->rows;
    (*runtime)->Shutdown();
  }
  const std::string settings = absl::StrCat(temporary->path(), "/braid.toml");
  absl::Status status = WriteConfig(config, options.model, settings);
  if (!status.ok()) return status;
  const Json machine = DescribeMachine(config.threads);
  auto server = ServedProcess::Start(settings);
  if (!server.ok()) return server.status();
  absl::StatusOr<Json> measured = LoadBench(options, **server, collection,
                                            *std::move(queries), progress, stop)
                                      .Run();
  if (!measured.ok()) return measured.status();
  Json report = {{"dataset", options.dataset}, {"documents", documents}};
  report.update(*measured);
  report["server_exit_code"] = (*server)->Stop();
  report["machine"] = machine;
  return report;
}

}  // namespace braid::services
