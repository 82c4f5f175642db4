#include "services/http/tls.h"

#include <openssl/err.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace braid::services::http {
namespace {

constexpr unsigned char kProtocol[] = "\x08http/1.1";

// Files of certificates are small; a device or a pipe has no end.
constexpr std::streamsize kMaxFileBytes = 1 << 20;

std::string Content(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream in(path, std::ios::binary);
  std::string content(static_cast<size_t>(kMaxFileBytes), '\0');
  in.read(content.data(), kMaxFileBytes);
  content.resize(static_cast<size_t>(in.gcount()));
  return content;
}

std::string Contents(const TlsOptions& options) {
  std::string all;
  for (const std::string* path : {&options.certificate_file, &options.key_file,
                                  &options.client_ca_file}) {
    const std::string content = Content(*path);
    absl::StrAppend(&all, content.size(), ":", content);
  }
  return all;
}

int SelectProtocol(SSL* /*ssl*/, const unsigned char** out,
                   unsigned char* out_size, const unsigned char* in,
                   unsigned int in_size, void* /*argument*/) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kProtocol, sizeof(kProtocol) - 1,
                            in, in_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> MakeContext(
    const TlsOptions& options) {
  ERR_clear_error();
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()),
                                         SSL_CTX_free);
  if (context == nullptr) return absl::InternalError("OpenSSL has no TLS");
  const auto fail = [](const std::string& file, const char* what) {
    ERR_clear_error();
    return absl::InvalidArgumentError(absl::StrCat(file, " ", what));
  };
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // A resumed session would outlive the certificates it was made with.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET |
                                         SSL_OP_NO_RENEGOTIATION |
                                         SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(context.get(), SelectProtocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(
          context.get(), options.certificate_file.c_str()) != 1) {
    return fail(options.certificate_file,
                "cannot be read as a PEM certificate");
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), options.key_file.c_str(),
                                  SSL_FILETYPE_PEM) != 1) {
    return fail(options.key_file,
                "cannot be read as the PEM key of the certificate");
  }
  if (!options.client_ca_file.empty()) {
    if (SSL_CTX_load_verify_file(context.get(),
                                 options.client_ca_file.c_str()) != 1) {
      return fail(options.client_ca_file, "cannot be read as PEM certificates");
    }
    SSL_CTX_set_verify(context.get(),
                       options.client_required
                           ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                           : SSL_VERIFY_PEER,
                       nullptr);
  }
  return context;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Certificate>> Certificate::Load(
    const TlsOptions& options) {
  std::unique_ptr<Certificate> certificate(new Certificate(options));
  certificate->seen_ = Contents(options);
  auto context = MakeContext(options);
  if (!context.ok()) return context.status();
  certificate->context_ = *std::move(context);
  return certificate;
}

std::shared_ptr<SSL_CTX> Certificate::context() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return context_;
}

void Certificate::ReloadIfChanged() {
  std::string seen = Contents(options_);
  if (seen == seen_) return;
  seen_ = std::move(seen);
  auto context = MakeContext(options_);
  if (context.ok()) {
    const std::lock_guard<std::mutex> lock(mutex_);
    context_ = *std::move(context);
  }
  if (options_.on_reload) {
    options_.on_reload(context.status(), options_.certificate_file);
  }
}

}  // namespace braid::services::http
