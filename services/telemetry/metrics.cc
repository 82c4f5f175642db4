#include "services/telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace braid::services::telemetry {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

constexpr char kOther[] = "other";

// StageTime's, and `search`, which an answer that found nothing in time names.
const std::vector<std::string>& Stages() {
  static const std::vector<std::string>& stages = *new std::vector<std::string>{
      "filter", "embed", "bm25",   "dense", "complete", "fuse",  "hop",
      "fetch",  "merge", "rerank", "plan",  "generate", "search"};
  return stages;
}

// In seconds. Streams of answers last minutes; a stage is a part of a search,
// or the generation.
const Histogram::BucketBoundaries& CallBuckets() {
  static const Histogram::BucketBoundaries& buckets =
      *new Histogram::BucketBoundaries{.001, .0025, .005, .01, .025, .05,
                                       .1,   .25,   .5,   1,   2.5,  5,
                                       10,   30,    60,   300};
  return buckets;
}
const Histogram::BucketBoundaries& StageBuckets() {
  static const Histogram::BucketBoundaries& buckets =
      *new Histogram::BucketBoundaries{.0001, .00025, .0005, .001, .0025, .005,
                                       .01,   .025,   .05,   .1,   .25,   .5,
                                       1,     2.5,    5,     10,   30};
  return buckets;
}

// One metric for each value of a label, looked up without a lock.
template <typename Metric>
class Children {
 public:
  // Makes all of them. `arguments` go to each metric.
  template <typename... Arguments>
  Children(Family<Metric>& family, const std::string& label,
           const std::vector<std::string>& values,
           const Arguments&... arguments)
      : Children(prometheus::Labels(), family, label, values, arguments...) {}
  // With further labels, the same for each.
  template <typename... Arguments>
  Children(prometheus::Labels labels, Family<Metric>& family,
           const std::string& label, const std::vector<std::string>& values,
           const Arguments&... arguments) {
    for (const std::string& value : values) {
      labels[label] = value;
      children_[value] = &family.Add(labels, arguments...);
    }
    labels[label] = kOther;
    other_ = &family.Add(labels, arguments...);
  }
  Metric& At(absl::string_view value) const {
    const auto found = children_.find(value);
    return found == children_.end() ? *other_ : *found->second;
  }

 private:
  absl::flat_hash_map<std::string, Metric*> children_;
  Metric* other_;
};

prometheus::MetricFamily ToFamily(const Reading& reading) {
  const bool counter = reading.kind == Reading::Kind::kCounter;
  prometheus::MetricFamily family;
  family.name = reading.name;
  family.help = reading.help;
  family.type =
      counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
  for (const auto& [label, value] : reading.samples) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    if (!reading.label.empty()) metric.label.push_back({reading.label, label});
    (counter ? metric.counter.value : metric.gauge.value) = value;
  }
  return family;
}

}  // namespace

struct Metrics::Rpc {
  static constexpr size_t kCodes = 17;  // OK to UNAUTHENTICATED

  std::string name;
  Gauge* in_flight;
  Histogram* duration;
  // By code; null until one has ended so, but OK is there from the start.
  std::array<std::atomic<Counter*>, kCodes> ended = {};
};

struct Metrics::Families {
  explicit Families(absl::Span<const std::string> names) {
    for (const std::string& name : names) AddRpc(name);
    AddRpc(kOther);
  }

  void AddRpc(const std::string& name) {
    auto rpc = std::make_unique<Rpc>();
    rpc->name = name;
    rpc->in_flight = &in_flight.Add({{"rpc", name}});
    rpc->duration = &duration.Add({{"rpc", name}}, CallBuckets());
    Ended(*rpc, absl::StatusCode::kOk);
    rpcs[name] = std::move(rpc);
  }

  Counter& Ended(Rpc& rpc, absl::StatusCode code) {
    size_t index = static_cast<size_t>(code);
    if (index >= Rpc::kCodes) {
      index = static_cast<size_t>(absl::StatusCode::kUnknown);
    }
    Counter* counter = rpc.ended[index].load(std::memory_order_acquire);
    if (counter == nullptr) {
      // The family returns the one that is there: two threads get the same.
      counter = &requests.Add(
          {{"rpc", rpc.name},
           {"code",
            absl::StatusCodeToString(static_cast<absl::StatusCode>(index))}});
      rpc.ended[index].store(counter, std::memory_order_release);
    }
    return *counter;
  }

  prometheus::Registry registry;
  Family<Counter>& requests =
      prometheus::BuildCounter()
          .Name("braid_rpc_requests_total")
          .Help("Calls that have ended, by status code.")
          .Register(registry);
  Family<Histogram>& duration =
      prometheus::BuildHistogram()
          .Name("braid_rpc_duration_seconds")
          .Help("From a call's arrival until its status is known.")
          .Register(registry);
  Family<Gauge>& in_flight = prometheus::BuildGauge()
                                 .Name("braid_rpc_in_flight")
                                 .Help("Calls that have not ended.")
                                 .Register(registry);
  const Children<Histogram> stages{prometheus::BuildHistogram()
                                       .Name("braid_stage_duration_seconds")
                                       .Help("Stages of searches and answers.")
                                       .Register(registry),
                                   "stage", Stages(), StageBuckets()};
  const Children<Counter> degraded{
      prometheus::BuildCounter()
          .Name("braid_degraded_total")
          .Help("Responses for which a leg or stage was late, failed or was "
                "left out.")
          .Register(registry),
      "stage", Stages()};
  const Children<Counter> answers{
      prometheus::BuildCounter()
          .Name("braid_answers_total")
          .Help("Answers, by how they ended.")
          .Register(registry),
      "finish_reason",
      {"stop", "length", "abstained", "cancelled", "deadline"}};
  const Children<Counter> ingested{
      prometheus::BuildCounter()
          .Name("braid_ingested_documents_total")
          .Help("Documents of ingest streams, by what became of them.")
          .Register(registry),
      "outcome",
      {"created", "replaced", "unchanged", "failed"}};
  // By class of the status.
  Family<Counter>& http_requests =
      prometheus::BuildCounter()
          .Name("braid_http_requests_total")
          .Help("Requests over HTTP that were answered, by class of status.")
          .Register(registry);
  const std::array<Children<Counter>, 5> http{
      HttpChildren("1xx"), HttpChildren("2xx"), HttpChildren("3xx"),
      HttpChildren("4xx"), HttpChildren("5xx")};
  Children<Counter> HttpChildren(const char* status) {
    return Children<Counter>(
        {{"status", status}}, http_requests, "surface",
        std::vector<std::string>{"api", "openai", "mcp", "console"});
  }
  Counter& tokens = prometheus::BuildCounter()
                        .Name("braid_generated_tokens_total")
                        .Help("Tokens of answers and completions.")
                        .Register(registry)
                        .Add({});
  absl::flat_hash_map<std::string, std::unique_ptr<Rpc>> rpcs;
};

Metrics::Metrics(absl::Span<const std::string> rpcs)
    : families_(std::make_unique<Families>(rpcs)) {}

Metrics::~Metrics() = default;

Metrics::Rpc* Metrics::FindRpc(absl::string_view rpc) const {
  const auto found = families_->rpcs.find(rpc);
  return found != families_->rpcs.end() ? found->second.get()
                                        : families_->rpcs.at(kOther).get();
}

void Metrics::BeginCall(Rpc* rpc) { rpc->in_flight->Increment(); }

void Metrics::EndCall(Rpc* rpc, absl::StatusCode code, absl::Duration elapsed) {
  families_->Ended(*rpc, code).Increment();
  rpc->duration->Observe(absl::ToDoubleSeconds(elapsed));
  rpc->in_flight->Decrement();
}

void Metrics::RecordStage(absl::string_view stage, absl::Duration elapsed) {
  families_->stages.At(stage).Observe(absl::ToDoubleSeconds(elapsed));
}

void Metrics::CountDegraded(absl::string_view stage) {
  families_->degraded.At(stage).Increment();
}

void Metrics::CountAnswer(absl::string_view finish_reason) {
  families_->answers.At(finish_reason).Increment();
}

void Metrics::CountGeneratedTokens(uint64_t tokens) {
  families_->tokens.Increment(static_cast<double>(tokens));
}

void Metrics::CountIngested(absl::string_view outcome) {
  families_->ingested.At(outcome).Increment();
}

void Metrics::CountHttp(absl::string_view surface, int status) {
  const int code = std::clamp(status / 100, 1, 5);
  families_->http[static_cast<size_t>(code) - 1].At(surface).Increment();
}

std::string Metrics::Serialize(absl::Span<const Reading> readings) const {
  std::vector<prometheus::MetricFamily> families =
      families_->registry.Collect();
  for (const Reading& reading : readings) {
    families.push_back(ToFamily(reading));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace braid::services::telemetry
