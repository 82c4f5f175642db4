// The certificate of an HTTPS listener.
#ifndef BRAID_SERVICES_HTTP_TLS_H_
#define BRAID_SERVICES_HTTP_TLS_H_

#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace braid::services::http {

struct TlsOptions {
  std::string certificate_file;  // PEM, with its chain
  std::string key_file;
  // Client certificates that these have signed are verified; empty: clients
  // are not asked for one.
  std::string client_ca_file;
  bool client_required = true;  // with client_ca_file
  // Told that changed files are used, or are not and why. May be null.
  std::function<void(const absl::Status& status, absl::string_view file)>
      on_reload;
};

// TLS 1.2 and 1.3, HTTP/1.1 by ALPN. Thread-safe.
class Certificate {
 public:
  // INVALID_ARGUMENT naming the file that cannot be used.
  static absl::StatusOr<std::unique_ptr<Certificate>> Load(
      const TlsOptions& options);

  // For new connections.
  std::shared_ptr<SSL_CTX> context() const;
  // Reads the files again; if they have changed and are good, new connections
  // use them. Call it once a second or so, from one thread.
  void ReloadIfChanged();

 private:
  explicit Certificate(const TlsOptions& options) : options_(options) {}

  const TlsOptions options_;
  std::string seen_;  // contents of all files when they were last tried
  mutable std::mutex mutex_;
  std::shared_ptr<SSL_CTX> context_;  // under mutex_
};

}  // namespace braid::services::http

#endif  // BRAID_SERVICES_HTTP_TLS_H_
