#include <braid/v1/retrieval_service.grpc.pb.h>
#include <google/protobuf/util/time_util.h>
#include <grpcpp/channel.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/bench/bench.h"
#include "services/bench/bench_queries.h"
#include "services/bench/machine.h"
#include "services/bench/remembering_encoder.h"
#include "services/bench/search_floors.h"
#include "services/eval/beir.h"
#include "services/eval/temporary_directory.h"
#include "services/server/server.h"

namespace braid::services {
namespace {

constexpr size_t kWarmUpQueries = 20;
constexpr size_t kCandidates = 100;  // the service's default

using google::protobuf::util::TimeUtil;
using Stub = v1::RetrievalService::Stub;

// The ways each query is asked.
enum Way { kBoth, kBm25Alone, kDenseAlone, kEmbedded, kReranked, kWays };

v1::SearchRequest Request(const std::string& collection,
                          const std::string& query, Way way,
                          int32_t rerank_depth = 0) {
  v1::SearchRequest request;
  request.set_collection(absl::StrCat("collections/", collection));
  request.set_query(query);
  request.mutable_fusion()->set_rerank_depth(way == kReranked ? rerank_depth
                                                              : 0);
  if (way == kReranked) request.set_multi_hop(true);  // as for an answer
  if (way == kBm25Alone) request.add_legs(v1::LEG_BM25);
  if (way == kDenseAlone) request.add_legs(v1::LEG_DENSE);
  return request;
}

// Milliseconds: of single calls, and of the stages of the embedded way's.
struct Times {
  std::vector<std::vector<double>> ways{kWays};
  std::map<RawEngine, std::vector<double>> floors;
  std::map<std::string, std::vector<double>> stages;
};

double MillisecondsSince(absl::Time start) {
  return absl::ToDoubleMilliseconds(absl::Now() - start);
}

// Milliseconds of one search.
absl::StatusOr<double> Search(Stub& stub, const v1::SearchRequest& request,
                              v1::SearchResponse* response) {
  grpc::ClientContext call;
  const absl::Time start = absl::Now();
  const grpc::Status status = stub.Search(&call, request, response);
  const double elapsed = MillisecondsSince(start);
  if (!status.ok()) {
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                        absl::StrCat("query `", request.query(),
                                     "`: ", status.error_message()));
  }
  if (response->degraded_size() > 0) {
    return absl::InternalError(absl::StrCat("query `", request.query(),
                                            "`: ", response->degraded(0),
                                            " was left out"));
  }
  return elapsed;
}

// The ways and the raw engines interleaved query by query, their order rotated,
// so that whatever else the machine does, and what each leaves in its caches,
// meets all of them alike.
absl::StatusOr<Times> MeasureLatency(Stub& stub, const std::string& collection,
                                     const std::vector<std::string>& queries,
                                     int32_t rerank_depth,
                                     RememberingEncoder* encoder,
                                     SearchFloors& floors,
                                     const ProgressSink& progress,
                                     const std::stop_token& stop) {
  Times times;
  constexpr size_t kTurns = kWays + std::size(kRawEngines);
  const size_t warm_up = std::min(queries.size(), kWarmUpQueries);
  for (size_t i = 0; i < warm_up + queries.size(); ++i) {
    if (stop.stop_requested()) return absl::CancelledError("interrupted");
    const size_t query = i < warm_up ? i : i - warm_up;
    for (size_t turn = 0; turn < kTurns; ++turn) {
      const size_t which = (i + turn) % kTurns;
      if (which >= kWays) {
        const RawEngine engine = kRawEngines[which - kWays];
        const absl::Time start = absl::Now();
        if (absl::Status status = floors.Run(engine, query); !status.ok()) {
          return status;
        }
        if (i >= warm_up) {
          times.floors[engine].push_back(MillisecondsSince(start));
        }
        continue;
      }
      const Way way = static_cast<Way>(which);
      if (way == kReranked && rerank_depth == 0) continue;
      encoder->set_recalls(way == kEmbedded);
      v1::SearchResponse response;
      const absl::StatusOr<double> elapsed =
          Search(stub, Request(collection, queries[query], way, rerank_depth),
                 &response);
      encoder->set_recalls(false);
      if (!elapsed.ok()) return elapsed.status();
      if (i < warm_up) continue;
      times.ways[way].push_back(*elapsed);
      if (way != kEmbedded) continue;
      for (const v1::StageTiming& stage : response.stages()) {
        times.stages[stage.stage()].push_back(
            static_cast<double>(
                TimeUtil::DurationToNanoseconds(stage.elapsed())) /
            1e6);
      }
    }
    progress("Searching", i + 1, warm_up + queries.size());
  }
  return times;
}

// Searches per second with `callers` threads that each wait for their answers.
absl::StatusOr<double> MeasureThroughput(
    Stub& stub, const std::string& collection,
    const std::vector<std::string>& queries, int callers, double seconds) {
  std::atomic<uint64_t> done = 0;
  std::vector<absl::Status> statuses(static_cast<size_t>(callers));
  const absl::Time start = absl::Now();
  const absl::Time end = start + absl::Seconds(seconds);
  std::vector<std::thread> threads;
  for (int caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&, caller] {
      size_t i = static_cast<size_t>(caller) * queries.size() /
                 static_cast<size_t>(callers);
      while (absl::Now() < end) {
        v1::SearchResponse response;
        const auto elapsed = Search(
            stub, Request(collection, queries[i++ % queries.size()], kBoth),
            &response);
        if (!elapsed.ok()) {
          statuses[static_cast<size_t>(caller)] = elapsed.status();
          return;
        }
        ++done;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return static_cast<double>(done) / absl::ToDoubleSeconds(absl::Now() - start);
}

// Median over the queries of (both legs / the slower leg alone).
double MedianRatio(const std::vector<std::vector<double>>& times) {
  std::vector<double> ratios;
  for (size_t i = 0; i < times[kBoth].size(); ++i) {
    ratios.push_back(times[kBoth][i] /
                     std::max(times[kBm25Alone][i], times[kDenseAlone][i]));
  }
  return ComputePercentiles(std::move(ratios)).p50;
}

}  // namespace

absl::StatusOr<Json> BenchSearch(Config config,
                                 const BenchSearchOptions& options,
                                 const ProgressSink& progress,
                                 std::stop_token stop) {
  const absl::StatusOr<DatasetFiles> files =
      FindDataset(options.dataset, "", "");
  if (!files.ok()) return files.status();
  const auto texts = ReadQueryTexts(files->queries, options.max_queries);
  if (!texts.ok()) return texts.status();
  const std::vector<std::string>& queries = *texts;

  std::optional<TemporaryDirectory> temporary;
  if (config.data_directory.empty()) {
    absl::StatusOr<TemporaryDirectory> created = TemporaryDirectory::Create();
    if (!created.ok()) return created.status();
    temporary.emplace(*std::move(created));
    config.data_directory = temporary->path();
  }
  RememberingEncoder* encoder = nullptr;  // the runtime's
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create(
      config, [&encoder](std::unique_ptr<retrieval::Encoder> real) {
        auto wrapped = std::make_unique<RememberingEncoder>(std::move(real));
        encoder = wrapped.get();
        return wrapped;
      });
  if (!runtime.ok()) return runtime.status();
  const std::string collection = EvalCollection(options.dataset);
  const absl::StatusOr<IndexReport> index =
      IndexDataset(**runtime, collection, files->corpus, progress, stop);
  if (!index.ok()) return index.status();
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(runtime->get(), /*address=*/"");
  if (!server.ok()) return server.status();
  const auto stub =
      v1::RetrievalService::NewStub((*server)->InProcessChannel());

  const Json machine = DescribeMachine(config.threads);
  if (absl::Status status = encoder->Remember(queries); !status.ok()) {
    return status;
  }
  const int32_t rerank_depth = (*runtime)->reranker() == nullptr
                                   ? 0
                                   : config.limits.default_answer_rerank_depth;
  const auto floors = BuildSearchFloors(**runtime, collection, queries,
                                        kCandidates, progress, stop);
  if (!floors.ok()) return floors.status();
  const auto times = MeasureLatency(*stub, collection, queries, rerank_depth,
                                    encoder, **floors, progress, stop);
  if (!times.ok()) return times.status();
  Json per_second = Json::object();
  for (const int callers : {1, 2}) {
    if (stop.stop_requested()) return absl::CancelledError("interrupted");
    const absl::StatusOr<double> rate =
        MeasureThroughput(*stub, collection, queries, callers, options.seconds);
    if (!rate.ok()) return rate.status();
    per_second[absl::StrCat(callers)] = *rate;
  }
  (*server)->Shutdown(absl::Seconds(1));
  (*runtime)->Shutdown();

  const auto leg = [&times](Way way) {
    const Percentiles p = ComputePercentiles(times->ways[way]);
    return Json{{"p50_ms", p.p50}, {"p95_ms", p.p95}, {"p99_ms", p.p99}};
  };
  Json floor = Json::object();
  for (const auto& [engine, milliseconds] : times->floors) {
    floor[NameOf(engine)] = ToJson(ComputePercentiles(milliseconds));
  }
  Json report = {{"dataset", options.dataset},
                 {"documents", index->rows},
                 {"queries", queries.size()}};
  report.update(leg(kBoth));
  report["legs"] = {{"bm25", leg(kBm25Alone)}, {"dense", leg(kDenseAlone)}};
  report["embedded_before"] = leg(kEmbedded);
  for (const auto& [stage, milliseconds] : times->stages) {
    report["embedded_before"]["stages_p50_ms"][stage] =
        ComputePercentiles(milliseconds).p50;
  }
  report["embedded_before_to_raw"] =
      report["embedded_before"]["p50_ms"].get<double>() /
      (floor["tantivy"]["p50"].get<double>() +
       floor["faiss_hnsw"]["p50"].get<double>());
  if (rerank_depth > 0) {
    report["reranked"] = leg(kReranked);
    report["reranked"]["depth"] = rerank_depth;
  }
  const double slower =
      std::max(report["legs"]["bm25"]["p50_ms"].get<double>(),
               report["legs"]["dense"]["p50_ms"].get<double>());
  report["both_to_slower_leg"] = report["p50_ms"].get<double>() / slower;
  report["both_to_slower_leg_median"] = MedianRatio(times->ways);
  report["floor"] = floor;
  report["queries_per_second"] = per_second;
  report["machine"] = machine;
  return report;
}

}  // namespace braid::services
