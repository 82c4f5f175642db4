#include "services/server/monitor.h"

#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/json_file.h"
#include "services/telemetry/otlp_client.h"
#include "services/telemetry/process_figures.h"
#include "services/telemetry/span_exporter.h"

namespace braid::services {
namespace {

using telemetry::Reading;
using Samples = std::vector<std::pair<std::string, double>>;

constexpr uint64_t kMaxHeaderBytes = 64 << 10;
constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";

Reading Gauge(const char* name, const char* help, double value) {
  return {name, help, Reading::Kind::kGauge, "", {{"", value}}};
}
Reading Counter(const char* name, const char* help, double value) {
  return {name, help, Reading::Kind::kCounter, "", {{"", value}}};
}

void AddQueues(const ServerCore& core, std::vector<Reading>* readings) {
  const std::pair<const char*, const WorkPool*> pools[] = {
      {"searches", &core.searches},
      {"answers", &core.answers},
      {"ingests", &core.ingests},
      {"lookups", &core.lookups},
      {"watches", &core.watches}};
  Samples depth;
  Samples running;
  Samples limit;
  Samples rejected;
  for (const auto& [name, pool] : pools) {
    const WorkPool::Load load = pool->load();
    depth.emplace_back(name, load.queued);
    running.emplace_back(name, load.running);
    limit.emplace_back(name, load.limit);
    rejected.emplace_back(name, load.rejected);
  }
  readings->push_back({"braid_queue_depth", "Calls that wait for a thread.",
                       Reading::Kind::kGauge, "pool", std::move(depth)});
  readings->push_back({"braid_queue_running", "Calls that a thread works on.",
                       Reading::Kind::kGauge, "pool", std::move(running)});
  readings->push_back(
      {"braid_queue_limit",
       "Calls that may wait and run together; beyond it they are refused.",
       Reading::Kind::kGauge, "pool", std::move(limit)});
  readings->push_back(
      {"braid_queue_rejected_total",
       "Calls refused with RESOURCE_EXHAUSTED for want of room.",
       Reading::Kind::kCounter, "pool", std::move(rejected)});
}

void AddIndexes(ServerCore* core, std::vector<Reading>* readings) {
  const retrieval::IndexLag lag = core->runtime->backend().MeasureLag();
  readings->push_back(
      {"braid_index_lag_sequences",
       "Sequence numbers that an index is behind the store, in the collection "
       "that is the furthest behind.",
       Reading::Kind::kGauge,
       "leg",
       {{"bm25", static_cast<double>(lag.bm25)},
        {"dense", static_cast<double>(lag.dense)}}});
  readings->push_back(Gauge("braid_collections", "Collections.",
                            static_cast<double>(lag.collections)));
}

void AddProcess(std::vector<Reading>* readings) {
  readings->push_back(Gauge("process_resident_memory_bytes",
                            "Resident memory in bytes.",
                            static_cast<double>(telemetry::ResidentBytes())));
  readings->push_back(Counter("process_cpu_seconds_total",
                              "User and system time in seconds.",
                              telemetry::CpuSeconds()));
  readings->push_back(
      Gauge("process_open_fds", "Open file descriptors.",
            static_cast<double>(telemetry::OpenFileDescriptors())));
  readings->push_back(Gauge("process_start_time_seconds",
                            "Start of the process since the Unix epoch.",
                            telemetry::StartTimeSeconds()));
}

void AddTraces(const ServerCore& core, std::vector<Reading>* readings) {
  const telemetry::SpanExporter* exporter = core.tracer.exporter();
  readings->push_back(Counter(
      "braid_spans_exported_total", "Spans that the collector has taken.",
      exporter == nullptr ? 0 : static_cast<double>(exporter->exported())));
  readings->push_back(Counter(
      "braid_spans_dropped_total",
      "Spans dropped because the queue was full or the collector refused them.",
      exporter == nullptr ? 0 : static_cast<double>(exporter->dropped())));
}

http::Reply Metrics(ServerCore* core, const HealthService* health) {
  std::vector<Reading> readings;
  AddQueues(*core, &readings);
  if (core->runtime->has_backend()) AddIndexes(core, &readings);
  AddProcess(&readings);
  AddTraces(*core, &readings);
  readings.push_back({"braid_build_info",
                      "1, with the version.",
                      Reading::Kind::kGauge,
                      "version",
                      {{BRAID_VERSION, 1}}});
  readings.push_back(Gauge("braid_ready", "1 while the server takes calls.",
                           health->serving() ? 1 : 0));
  return {.content_type = kMetricsType,
          .body = core->metrics.Serialize(readings)};
}

http::Reply Ready(const HealthService* health) {
  if (health->serving()) return {.body = "ready\n"};
  return {.status = 503, .body = "not ready\n"};
}

// Secrets of the collector's: no error says what the file holds.
absl::StatusOr<std::vector<std::string>> ReadHeaders(const std::string& path) {
  if (path.empty()) return std::vector<std::string>();
  const absl::StatusOr<std::string> text =
      model::ReadSmallFile(path, kMaxHeaderBytes);
  if (!text.ok()) return text.status();
  auto headers = telemetry::ParseHeaders(*text);
  if (headers.ok()) return headers;
  return absl::Status(headers.status().code(),
                      absl::StrCat(path, ": ", headers.status().message()));
}

std::string HostName() {
  char name[256] = "";
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

}  // namespace

absl::Status StartTracing(ServerCore* core) {
  const Config& config = core->runtime->config();
  if (config.otlp_endpoint.empty()) return absl::OkStatus();
  auto headers = ReadHeaders(config.otlp_headers_file);
  if (!headers.ok()) {
    return absl::Status(
        headers.status().code(),
        absl::StrCat("`otlp_headers_file`: ", headers.status().message()));
  }
  auto client =
      telemetry::OtlpClient::Create(config.otlp_endpoint, *std::move(headers),
                                    {"braid", BRAID_VERSION, HostName()});
  if (!client.ok()) {
    return absl::Status(
        client.status().code(),
        absl::StrCat("`otlp_endpoint` ", client.status().message()));
  }
  telemetry::SpanExporterOptions options;
  options.max_queued = core->limits.max_queued_spans;
  options.on_change = [core](const absl::Status& status) {
    if (status.ok()) {
      core->log.Write(LogLevel::kInfo, "traces_exported", {});
    } else {
      core->log.Write(LogLevel::kWarning, "traces_not_exported",
                      {{"message", std::string(status.message())}});
    }
  };
  core->tracer.Start(
      config.trace_sample_ratio,
      std::make_unique<telemetry::SpanExporter>(
          options, [client = std::shared_ptr<telemetry::OtlpClient>(*std::move(
                        client))](absl::Span<const telemetry::Span> spans,
                                  const std::function<bool()>& give_up) {
            return client->Send(spans, give_up);
          }));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Monitor>> Monitor::Start(
    ServerCore* core, const HealthService* health, const std::string& address) {
  http::ServerOptions options;
  options.address = address;
  options.max_connections = core->limits.max_http_requests;
  options.max_head_bytes = core->limits.max_http_head_bytes;
  options.head_timeout = core->limits.max_http_read_time;
  options.write_timeout = core->limits.max_http_write_time;
  auto listener = http::Server::Start(
      options, http::ServeRoutes(
                   {{"/metrics", [=] { return Metrics(core, health); }},
                    {"/healthz", [] { return http::Reply{.body = "ok\n"}; }},
                    {"/readyz", [=] { return Ready(health); }}}));
  if (!listener.ok()) {
    return absl::Status(
        listener.status().code(),
        absl::StrCat("`metrics_address`: ", listener.status().message()));
  }
  std::unique_ptr<Monitor> monitor(new Monitor());
  monitor->listener_ = *std::move(listener);
  return monitor;
}

}  // namespace braid::services
