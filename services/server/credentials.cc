#include "services/server/credentials.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace braid::services {
namespace {

// How often gRPC looks at the files.
constexpr unsigned int kReloadSeconds = 1;

struct ContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// gRPC says nothing about files it cannot use, so they are read here first.
absl::Status CheckFiles(const Config& config) {
  ERR_clear_error();
  const std::unique_ptr<SSL_CTX, ContextDeleter> context(
      SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return absl::InternalError("OpenSSL has no TLS");
  const auto fail = [](const char* setting, const std::string& file,
                       const char* what) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", setting, "`: ", file, " ", what));
  };
  if (SSL_CTX_use_certificate_chain_file(
          context.get(), config.tls_certificate_file.c_str()) != 1) {
    return fail("tls.certificate_file", config.tls_certificate_file,
                "cannot be read as a PEM certificate");
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), config.tls_key_file.c_str(),
                                  SSL_FILETYPE_PEM) != 1) {
    return fail("tls.key_file", config.tls_key_file,
                "cannot be read as the PEM key of the certificate");
  }
  if (!config.tls_client_ca_file.empty() &&
      SSL_CTX_load_verify_file(context.get(),
                               config.tls_client_ca_file.c_str()) != 1) {
    return fail("tls.client_ca_file", config.tls_client_ca_file,
                "cannot be read as PEM certificates");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const Config& config) {
  if (config.tls_certificate_file.empty()) {
    if (!config.tls_key_file.empty() || !config.tls_client_ca_file.empty()) {
      return absl::InvalidArgumentError(
          "`tls.certificate_file` is missing beside the other settings of "
          "[tls]");
    }
    return grpc::InsecureServerCredentials();
  }
  if (config.tls_key_file.empty()) {
    return absl::InvalidArgumentError(
        "`tls.key_file` is missing beside `tls.certificate_file`");
  }
  const absl::Status checked = CheckFiles(config);
  if (!checked.ok()) return checked;
  using grpc::experimental::FileWatcherCertificateProvider;
  std::shared_ptr<FileWatcherCertificateProvider> provider;
  const bool clients = !config.tls_client_ca_file.empty();
  if (clients) {
    provider = std::make_shared<FileWatcherCertificateProvider>(
        config.tls_key_file, config.tls_certificate_file,
        config.tls_client_ca_file, kReloadSeconds);
  } else {
    provider = std::make_shared<FileWatcherCertificateProvider>(
        config.tls_key_file, config.tls_certificate_file, kReloadSeconds);
  }
  grpc::experimental::TlsServerCredentialsOptions options(provider);
  options.watch_identity_key_cert_pairs();
  if (clients) {
    options.watch_root_certs();
    options.set_cert_request_type(
        config.tls_client_certificates == "required"
            ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
            : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

bool IsLocalAddress(const std::string& address) {
  for (const char* local : {"unix:", "127.", "localhost:", "[::1]:"}) {
    if (absl::StartsWith(address, local)) return true;
  }
  return false;
}

absl::Status CheckExposure(const Config& config, const std::string& address) {
  const bool authenticates = !config.auth_access_file.empty() ||
                             !config.auth_jwks.empty() ||
                             config.auth_anonymous != "auto";
  if (authenticates || IsLocalAddress(address)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "everybody who reaches ", address,
      " could read and delete everything: set `auth.access_file` (see `braid "
      "keys`) or `auth.jwks`, or `auth.anonymous` if that is meant"));
}

}  // namespace braid::services
