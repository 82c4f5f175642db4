// The service's metrics, in Prometheus' text format.
#ifndef BRAID_SERVICES_TELEMETRY_METRICS_H_
#define BRAID_SERVICES_TELEMETRY_METRICS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace braid::services::telemetry {

// Something that is read when it is asked for, and has no history here.
struct Reading {
  enum class Kind { kGauge, kCounter };

  std::string name;
  std::string help;
  Kind kind = Kind::kGauge;
  std::string label;  // empty: one sample, without a label
  // Value of the label, and of the metric.
  std::vector<std::pair<std::string, double>> samples;
};

// Every label has few values, all named in this process: one that is not known
// counts as `other`, so nothing a client sends can add a time series. Recording
// takes no lock that is held for longer than a few additions. Thread-safe.
class Metrics {
 public:
  // Of one RPC; lives as long as the metrics.
  struct Rpc;

  // `rpcs` as `RetrievalService/Search`.
  explicit Metrics(absl::Span<const std::string> rpcs);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  Rpc* FindRpc(absl::string_view rpc) const;
  // Each call begins and ends once.
  static void BeginCall(Rpc* rpc);
  void EndCall(Rpc* rpc, absl::StatusCode code, absl::Duration elapsed);

  // `stage` is one of StageTime's.
  void RecordStage(absl::string_view stage, absl::Duration elapsed);
  // A leg or stage was late, failed, or was left out.
  void CountDegraded(absl::string_view stage);
  // stop, length, abstained, cancelled, deadline.
  void CountAnswer(absl::string_view finish_reason);
  void CountGeneratedTokens(uint64_t tokens);
  // created, replaced, unchanged, failed.
  void CountIngested(absl::string_view outcome);

  // A request over HTTP was answered: api, openai, mcp, console, other, and the
  // status.
  void CountHttp(absl::string_view surface, int status);

  // Everything recorded, and `readings`, in the text format (version 0.0.4).
  std::string Serialize(absl::Span<const Reading> readings) const;

 private:
  struct Families;
  const std::unique_ptr<Families> families_;
};

}  // namespace braid::services::telemetry

#endif  // BRAID_SERVICES_TELEMETRY_METRICS_H_
