// The certificate of the server, and what it asks of its clients'.
#ifndef BRAID_SERVICES_SERVER_CREDENTIALS_H_
#define BRAID_SERVICES_SERVER_CREDENTIALS_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/security/server_credentials.h"
#include "services/config/config.h"

namespace braid::services {

// TLS when `tls.certificate_file` is set, otherwise plaintext. The files are
// read again as they change, so certificates can be renewed while the server
// runs; connections that are open keep theirs. INVALID_ARGUMENT naming the
// setting or the file if one is missing or not PEM, or the key does not belong
// to the certificate.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const Config& config);

// Whether `address` can be reached from this machine alone: a loopback
// address, `localhost` or a Unix socket.
bool IsLocalAddress(const std::string& address);

// FAILED_PRECONDITION if `config` would open the server to the network without
// any way to authenticate, and does not say that this is meant.
absl::Status CheckExposure(const Config& config, const std::string& address);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_CREDENTIALS_H_
