#include "services/gateway/upstreams.h"

#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "grpcpp/support/channel_arguments.h"
#include "services/server/credentials.h"
#include "services/server/errors.h"

namespace braid::services {
namespace {

using grpc::experimental::FileWatcherCertificateProvider;

// How often gRPC looks at the files.
constexpr unsigned int kReloadSeconds = 1;
constexpr int kKeepaliveMs = 30'000;
constexpr int kMaxReconnectMs = 5'000;
// A process that comes back may have another address.
constexpr int kMinResolveMs = 5'000;

// gRPC says nothing about files it cannot use.
absl::Status CheckFile(const char* setting, const std::string& path) {
  if (path.empty() || std::ifstream(path).good()) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("`upstream.", setting, "`: cannot read ", path));
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const Config& config) {
  if (config.upstream_tls == "off") return grpc::InsecureChannelCredentials();
  if (config.upstream_certificate_file.empty() !=
      config.upstream_key_file.empty()) {
    return absl::InvalidArgumentError(
        "`upstream.certificate_file` and `upstream.key_file` go together");
  }
  for (const absl::Status& status :
       {CheckFile("ca_file", config.upstream_ca_file),
        CheckFile("certificate_file", config.upstream_certificate_file),
        CheckFile("key_file", config.upstream_key_file)}) {
    if (!status.ok()) return status;
  }
  grpc::experimental::TlsChannelCredentialsOptions options;
  const bool roots = !config.upstream_ca_file.empty();
  const bool identity = !config.upstream_key_file.empty();
  if (identity && roots) {
    options.set_certificate_provider(
        std::make_shared<FileWatcherCertificateProvider>(
            config.upstream_key_file, config.upstream_certificate_file,
            config.upstream_ca_file, kReloadSeconds));
  } else if (identity) {
    options.set_certificate_provider(
        std::make_shared<FileWatcherCertificateProvider>(
            config.upstream_key_file, config.upstream_certificate_file,
            kReloadSeconds));
  } else if (roots) {
    options.set_certificate_provider(
        std::make_shared<FileWatcherCertificateProvider>(
            config.upstream_ca_file, kReloadSeconds));
  }
  if (identity) options.watch_identity_key_cert_pairs();
  if (roots) options.watch_root_certs();
  return grpc::experimental::TlsCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(
    const Config& config, const std::string& address) {
  const bool keys =
      !config.auth_access_file.empty() || !config.auth_jwks.empty();
  if (keys && config.upstream_tls == "off" && !IsLocalAddress(address)) {
    return absl::FailedPreconditionError(
        absl::StrCat("callers' keys would cross the network to ", address,
                     " in the clear: set `upstream.tls` to \"on\""));
  }
  auto credentials = MakeCredentials(config);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(config.limits.max_send_message_bytes);
  arguments.SetMaxSendMessageSize(config.limits.max_receive_message_bytes);
  arguments.SetLoadBalancingPolicyName("round_robin");
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kMinResolveMs);
  // Retrying is the caller's decision: the answer that it gets says when.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  return grpc::CreateCustomChannel(address, *credentials, arguments);
}

}  // namespace

absl::StatusOr<Upstreams> MakeUpstreams(const Config& config,
                                        const Roles& roles) {
  Upstreams upstreams;
  if (!roles.gateway) return upstreams;
  if (!roles.retrieval) {
    auto channel = MakeChannel(config, config.upstream_retrieval);
    if (!channel.ok()) return channel.status();
    upstreams.retrieval = *std::move(channel);
  }
  if (!roles.generation) {
    auto channel = MakeChannel(config, config.upstream_generation);
    if (!channel.ok()) return channel.status();
    upstreams.generation = *std::move(channel);
  }
  return upstreams;
}

absl::Status UpstreamError(const grpc::Status& status, absl::string_view role) {
  if (status.ok()) return absl::OkStatus();
  google::rpc::Status details;
  const bool ours = !status.error_details().empty() &&
                    details.ParseFromString(status.error_details());
  if (!ours) {
    switch (status.error_code()) {
      // What this process did, or the deadline: no word of addresses.
      case grpc::StatusCode::CANCELLED:
        return absl::CancelledError("the call was cancelled");
      case grpc::StatusCode::DEADLINE_EXCEEDED:
        return absl::DeadlineExceededError("the deadline passed");
      // Limits of the transport, such as the size of a message.
      case grpc::StatusCode::RESOURCE_EXHAUSTED:
        return absl::ResourceExhaustedError(status.error_message());
      default:
        return WithReason(
            absl::UnavailableError(absl::StrCat(role, " cannot be reached")),
            "UPSTREAM_UNREACHABLE");
    }
  }
  absl::Status error(static_cast<absl::StatusCode>(status.error_code()),
                     status.error_message());
  for (const auto& detail : details.details()) {
    error.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return error;
}

}  // namespace braid::services
