// Keeps web pages of others from using a browser's reach.
#ifndef BRAID_SERVICES_ADAPTERS_ORIGIN_H_
#define BRAID_SERVICES_ADAPTERS_ORIGIN_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/http/message.h"

namespace braid::services::adapters {

// PERMISSION_DENIED for a request of a page that does not come from this
// server:
// - with an `Origin` that is not the server itself, as `Host` names it; there
//   is no CORS;
// - in plain text and without `authorization`, with a `Host` that is neither an
//   address, nor a name of this machine (`localhost`), nor one of `hosts`: a
//   name that somebody else has pointed at this address (DNS rebinding). Over
//   TLS the certificate tells; a key or token no such page has.
absl::Status CheckOrigin(const http::Request& request,
                         const std::vector<std::string>& hosts);

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_ORIGIN_H_
