#include "services/cli/client_channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/client_interceptor.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/server/credentials.h"
#include "services/text.h"

namespace braid::services::cli {
namespace {

using grpc::experimental::ClientInterceptorFactoryInterface;
using grpc::experimental::ClientRpcInfo;
using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;

absl::StatusOr<std::string> ReadFile(const char* setting,
                                     const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  if (!file || content.empty()) {
    return absl::NotFoundError(
        absl::StrCat("`", setting, "`: cannot read ", path));
  }
  return content;
}

// Shows the key with every call. A call credential would do so only over TLS,
// and a key is of use on a loopback address too.
class KeyInterceptor final : public Interceptor {
 public:
  explicit KeyInterceptor(const std::string& header) : header_(header) {}
  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace("authorization", header_);
    }
    methods->Proceed();
  }

 private:
  const std::string& header_;
};

class KeyInterceptorFactory final : public ClientInterceptorFactoryInterface {
 public:
  explicit KeyInterceptorFactory(const std::string& key)
      : header_(absl::StrCat("Bearer ", key)) {}
  Interceptor* CreateClientInterceptor(ClientRpcInfo*) override {
    return new KeyInterceptor(header_);
  }

 private:
  const std::string header_;
};

absl::StatusOr<std::string> ReadKey(const Config& config) {
  if (!config.client_api_key.empty()) return config.client_api_key;
  auto key = ReadFile("client.api_key_file", config.client_api_key_file);
  if (!key.ok()) return key;
  std::string text(absl::StripAsciiWhitespace(*key));
  if (!config.client_api_key_file.empty() &&
      (text.empty() || HasControlCharacters(text))) {
    return absl::InvalidArgumentError(
        absl::StrCat("`client.api_key_file`: ", config.client_api_key_file,
                     " does not hold a key in one line"));
  }
  return text;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const Config& config) {
  if (config.client_tls == "off") return grpc::InsecureChannelCredentials();
  auto roots = ReadFile("client.ca_file", config.client_ca_file);
  if (!roots.ok()) return roots.status();
  auto certificate =
      ReadFile("client.certificate_file", config.client_certificate_file);
  if (!certificate.ok()) return certificate.status();
  auto key = ReadFile("client.key_file", config.client_key_file);
  if (!key.ok()) return key.status();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = *std::move(roots);
  options.pem_cert_chain = *std::move(certificate);
  options.pem_private_key = *std::move(key);
  return grpc::SslCredentials(options);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeClientChannel(
    const Config& config) {
  const absl::StatusOr<std::string> key = ReadKey(config);
  if (!key.ok()) return key.status();
  if (!key->empty() && config.client_tls == "off" &&
      !IsLocalAddress(config.address)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the key would cross the network to ", config.address,
                     " in the clear: set `client.tls` to \"on\""));
  }
  const auto credentials = MakeCredentials(config);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(config.limits.max_send_message_bytes);
  arguments.SetMaxSendMessageSize(config.limits.max_receive_message_bytes);
  std::vector<std::unique_ptr<ClientInterceptorFactoryInterface>> interceptors;
  if (!key->empty()) {
    interceptors.push_back(std::make_unique<KeyInterceptorFactory>(*key));
  }
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      config.address, *credentials, arguments, std::move(interceptors));
}

}  // namespace braid::services::cli
