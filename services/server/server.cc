#include "services/server/server.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/support/channel_arguments.h"
#include "services/auth/authenticator.h"
#include "services/auth/principal.h"
#include "services/config/roles.h"
#include "services/gateway/forwarded_service.h"
#include "services/gateway/upstreams.h"
#include "services/server/call.h"
#include "services/server/credentials.h"
#include "services/server/deadline.h"
#include "services/server/health_service.h"
#include "services/server/http_front.h"
#include "services/server/monitor.h"
#include "services/server/rpc_names.h"
#include "services/server/services.h"

namespace braid::services {
namespace {

// Calls that were told to stop get so long to say why before they are cut off.
constexpr absl::Duration kStopTime = absl::Seconds(2);
constexpr absl::Duration kCloseTime = absl::Seconds(3);
// Spans of the last calls get so long, also when there is no grace left.
constexpr absl::Duration kFlushTime = absl::Seconds(1);

constexpr int kKeepaliveMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr int kMinPingIntervalMs = 10'000;
constexpr int kMaxIdleConnectionMs = 30 * 60'000;

void SetLimits(const Limits& limits, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(limits.max_receive_message_bytes);
  builder->SetMaxSendMessageSize(limits.max_send_message_bytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              limits.max_concurrent_streams_per_connection);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE,
                              limits.max_metadata_bytes);
  // Calls in flight have all their time. gRPC varies the age by a tenth, so
  // that clients do not come back all at once.
  builder->AddChannelArgument(
      GRPC_ARG_MAX_CONNECTION_AGE_MS,
      static_cast<int>(absl::ToInt64Milliseconds(limits.max_connection_age)));
  // Two servers on one port would share its calls without a word.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                              kKeepaliveTimeoutMs);
  builder->AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      kMinPingIntervalMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                              kMaxIdleConnectionMs);
  grpc::ResourceQuota quota("braid");
  quota.Resize(limits.max_transport_bytes);
  quota.SetMaxThreads(limits.max_transport_threads);
  builder->SetResourceQuota(quota);
}

// As the configuration wants it.
absl::StatusOr<std::unique_ptr<auth::Authenticator>> MakeAuthenticator(
    const Config& config) {
  auth::AuthOptions options;
  options.access_file = config.auth_access_file;
  options.jwks = config.auth_jwks;
  options.jwt.issuer = config.auth_jwt_issuer;
  options.jwt.audience = config.auth_jwt_audience;
  options.jwt.groups_claim = config.auth_jwt_groups_claim;
  if (!options.jwks.empty() &&
      (options.jwt.issuer.empty() || options.jwt.audience.empty())) {
    return absl::InvalidArgumentError(
        "`auth.jwks` needs `auth.jwt_issuer` and `auth.jwt_audience`: a token "
        "that was made for somebody else must not do here");
  }
  options.anonymous = auth::ParseRole(config.auth_anonymous);
  if (config.auth_anonymous == "auto" && options.access_file.empty() &&
      options.jwks.empty()) {
    options.anonymous = auth::Role::kAdmin;
  }
  options.on_reload = [log = Logger(ParseLogLevel(config.log_level))](
                          const absl::Status& status, absl::string_view file) {
    if (status.ok()) {
      log.Write(LogLevel::kInfo, "reloaded", {{"file", std::string(file)}});
    } else {
      log.Write(LogLevel::kError, "not_reloaded",
                {{"file", std::string(file)},
                 {"message", std::string(status.message())}});
    }
  };
  return auth::Authenticator::Create(std::move(options));
}

class ServerImpl final : public Server {
 public:
  ServerImpl(Runtime* runtime,
             std::unique_ptr<auth::Authenticator> authenticator,
             const Roles& roles, Upstreams upstreams)
      : core_(runtime, ParseLogLevel(runtime->config().log_level),
              std::move(authenticator), std::move(upstreams)),
        health_(ServiceNames(roles),
                runtime->config().limits.max_health_watchers),
        probes_(ServiceNames(roles),
                runtime->config().limits.max_health_watchers) {
    if (roles.retrieval) {
      services_.push_back(MakeCollectionService(&core_));
      services_.push_back(MakeDocumentService(&core_));
      services_.push_back(MakeRetrievalService(&core_));
      services_.push_back(MakeAdminService(&core_));
      services_.push_back(MakeOperationService(&core_));
    }
    if (roles.generation) services_.push_back(MakeGenerationService(&core_));
    if (!roles.gateway) return;
    services_.push_back(MakeAnswerService(&core_));
    Forward({.generation = false, .gateway = false}, core_.upstreams.retrieval,
            "retrieval");
    Forward({.retrieval = false, .gateway = false}, core_.upstreams.generation,
            "generation");
  }
  ~ServerImpl() override { Shutdown(absl::ZeroDuration()); }

  absl::Status Listen(
      const std::string& address,
      const std::shared_ptr<grpc::ServerCredentials>& credentials,
      const std::string& health_address) {
    if (!address.empty()) {
      absl::Status status = StartTracing(&core_);
      if (!status.ok()) return status;
    }
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    SetLimits(core_.limits, &builder);
    for (const auto& service : services_)
      builder.RegisterService(service.get());
    builder.RegisterService(&health_);
    int port = 0;
    if (!address.empty()) {
      builder.AddListeningPort(address, credentials, &port);
    }
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || (!address.empty() && port == 0)) {
      return absl::UnavailableError(absl::StrCat("cannot listen on ", address));
    }
    address_ = address;
    if (absl::string_view host = address; absl::ConsumeSuffix(&host, ":0")) {
      address_ = absl::StrCat(host, ":", port);
    }
    if (!health_address.empty()) {
      absl::Status status = ListenForProbes(health_address);
      if (!status.ok()) return status;
    }
    if (!address.empty()) {
      absl::Status status = StartMonitor();
      if (!status.ok()) return status;
      auto http = StartHttp(&core_, InProcessChannel());
      if (!http.ok()) return http.status();
      http_ = *std::move(http);
    }
    health_.SetServing(true);
    probes_.SetServing(true);
    if (!address_.empty()) {
      core_.log.Write(LogLevel::kInfo, "listening", {{"address", address_}});
      LogIndexing();
    }
    return absl::OkStatus();
  }

  void LogIndexing() {
    if (!core_.runtime->has_backend()) return;
    core_.runtime->backend().SetIndexListener(
        [this](const std::string& collection, const absl::Status& status) {
          if (status.ok()) {
            core_.log.Write(LogLevel::kInfo, "indexing_works",
                            {{"collection", collection}});
          } else {
            core_.log.Write(LogLevel::kError, "indexing_fails",
                            {{"collection", collection},
                             {"message", std::string(status.message())}});
          }
        });
  }

  // Passes on what the role serves, where another process has it.
  void Forward(const Roles& role,
               const std::shared_ptr<grpc::Channel>& upstream,
               const char* name) {
    if (upstream == nullptr) return;
    for (const std::string& service : ServiceNames(role)) {
      services_.push_back(
          MakeForwardedService(&core_, upstream, service, name));
    }
  }

  absl::Status StartMonitor() {
    const std::string& address = core_.runtime->config().metrics_address;
    if (address.empty()) return absl::OkStatus();
    auto monitor = Monitor::Start(&core_, &health_, address);
    if (!monitor.ok()) return monitor.status();
    monitor_ = *std::move(monitor);
    metrics_address_ = monitor_->address();
    core_.log.Write(LogLevel::kInfo, "listening",
                    {{"metrics_address", metrics_address_}});
    return absl::OkStatus();
  }

  const std::string& address() const override { return address_; }
  const std::string& metrics_address() const override {
    return metrics_address_;
  }
  const std::string& http_address() const override {
    static const std::string& none = *new std::string();
    return http_ == nullptr ? none : http_->address();
  }

  // The plaintext port that has the health service alone.
  absl::Status ListenForProbes(const std::string& address) {
    grpc::ServerBuilder builder;
    SetLimits(core_.limits, &builder);
    builder.RegisterService(&probes_);
    int port = 0;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
    probe_server_ = builder.BuildAndStart();
    if (probe_server_ == nullptr || port == 0) {
      return absl::UnavailableError(absl::StrCat("cannot listen on ", address));
    }
    return absl::OkStatus();
  }

  std::shared_ptr<grpc::Channel> InProcessChannel() override {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(core_.limits.max_send_message_bytes);
    arguments.SetMaxSendMessageSize(core_.limits.max_receive_message_bytes);
    return server_->InProcessChannel(arguments);
  }

  void Shutdown(absl::Duration grace) override {
    absl::MutexLock lock(&shutdown_mutex_);
    if (server_ == nullptr || down_) return;
    down_ = true;
    // The port stays open while calls drain, so that probes see NOT_SERVING and
    // new calls get an error that says why.
    health_.SetServing(false);
    probes_.SetServing(false);
    core_.calls.StartDraining();
    const SteadyTime end_of_grace = After(grace);
    bool idle = core_.calls.WaitUntilIdle(grace);
    if (!idle) {
      core_.calls.StopAll();
      idle = core_.calls.WaitUntilIdle(kStopTime);
    }
    // What the calls have said is still on its way to the clients.
    if (http_ != nullptr) {
      http_->Close(std::max(end_of_grace, After(kCloseTime)));
    }
    health_.CloseWatches();
    probes_.CloseWatches();
    if (probe_server_ != nullptr) {
      probe_server_->Shutdown(ToGrpc(After(kCloseTime)));
    }
    server_->Shutdown(ToGrpc(After(kCloseTime)));
    server_->Wait();
    if (telemetry::SpanExporter* exporter = core_.tracer.exporter()) {
      exporter->Close(std::max(end_of_grace, After(kFlushTime)));
    }
    monitor_.reset();
    if (core_.runtime->has_backend()) {
      core_.runtime->backend().SetIndexListener(nullptr);
    }
    core_.log.Write(LogLevel::kInfo, "shutdown",
                    {{"drained", idle ? "true" : "false"}});
  }

 private:
  std::string address_;
  std::string metrics_address_;
  ServerCore core_;
  HealthService health_;
  HealthService probes_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<grpc::Server> probe_server_;    // or null
  std::unique_ptr<Monitor> monitor_;              // or null
  std::unique_ptr<adapters::HttpAdapters> http_;  // or null
  absl::Mutex shutdown_mutex_;
  bool down_ ABSL_GUARDED_BY(shutdown_mutex_) = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    Runtime* runtime, const std::string& address) {
  const Config& config = runtime->config();
  const absl::StatusOr<Roles> roles = RolesOf(config);
  if (!roles.ok()) return roles.status();
  absl::StatusOr<Upstreams> upstreams = MakeUpstreams(config, *roles);
  if (!upstreams.ok()) return upstreams.status();
  // What has no address is a tool's own.
  if (address.empty()) {
    auto server = std::make_unique<ServerImpl>(runtime, nullptr, *roles,
                                               *std::move(upstreams));
    absl::Status status =
        server->Listen(address, grpc::InsecureServerCredentials(), "");
    if (!status.ok()) return status;
    return server;
  }
  absl::Status exposed = CheckExposure(config, address);
  if (exposed.ok() && !config.http_address.empty()) {
    exposed = CheckExposure(config, config.http_address);
  }
  if (!exposed.ok()) return exposed;
  auto credentials = MakeServerCredentials(config);
  if (!credentials.ok()) return credentials.status();
  auto authenticator = MakeAuthenticator(config);
  if (!authenticator.ok()) return authenticator.status();
  auto server = std::make_unique<ServerImpl>(runtime, *std::move(authenticator),
                                             *roles, *std::move(upstreams));
  absl::Status status =
      server->Listen(address, *credentials, config.health_address);
  if (!status.ok()) return status;
  return server;
}

}  // namespace braid::services
