#include "services/server/http_front.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/config/roles.h"
#include "services/server/rpc_names.h"

namespace braid::services {

absl::StatusOr<std::unique_ptr<adapters::HttpAdapters>> StartHttp(
    ServerCore* core, std::shared_ptr<grpc::Channel> channel) {
  const Config& config = core->runtime->config();
  const Limits& limits = core->limits;
  if (config.http_address.empty()) return nullptr;
  adapters::AdapterOptions options;
  http::ServerOptions& listener = options.listener;
  listener.address = config.http_address;
  if (!config.tls_certificate_file.empty()) {
    listener.tls.emplace();
    listener.tls->certificate_file = config.tls_certificate_file;
    listener.tls->key_file = config.tls_key_file;
    listener.tls->client_ca_file = config.tls_client_ca_file;
    listener.tls->client_required =
        config.tls_client_certificates == "required";
    listener.tls->on_reload = [core](const absl::Status& status,
                                     absl::string_view file) {
      core->log.Write(status.ok() ? LogLevel::kInfo : LogLevel::kError,
                      status.ok() ? "reloaded" : "not_reloaded",
                      {{"file", std::string(file)},
                       {"message", std::string(status.message())}});
    };
  }
  listener.max_connections = limits.max_http_connections;
  listener.max_head_bytes = limits.max_http_head_bytes;
  listener.max_body_bytes = limits.max_http_body_bytes;
  listener.max_total_body_bytes = limits.max_http_total_body_bytes;
  listener.head_timeout = limits.max_http_read_time;
  listener.body_timeout = limits.max_http_body_time;
  listener.write_timeout = limits.max_write_stall;
  listener.keep_alive = limits.max_http_idle;
  // Checked when the server began.
  options.services = ServiceNames(*RolesOf(config));
  options.hosts = absl::StrSplit(config.http_hosts, absl::ByAnyChar(", "),
                                 absl::SkipEmpty());
  options.version = BRAID_VERSION;
  options.on_reply = [core](absl::string_view surface, int status) {
    core->metrics.CountHttp(surface, status);
  };
  auto started =
      adapters::HttpAdapters::Start(std::move(channel), std::move(options));
  if (!started.ok()) {
    return absl::Status(
        started.status().code(),
        absl::StrCat("`http_address`: ", started.status().message()));
  }
  core->log.Write(LogLevel::kInfo, "listening",
                  {{"http_address", (*started)->address()}});
  return started;
}

}  // namespace braid::services
