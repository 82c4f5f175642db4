// The bounded reading and writing below the HTTP library.
#ifndef BRAID_SERVICES_HTTP_CONNECTION_H_
#define BRAID_SERVICES_HTTP_CONNECTION_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace braid::services::http {

// Reads the request's head from the socket: up to and with the empty line.
// What follows it in the same packet is dropped. RESOURCE_EXHAUSTED past
// `max_bytes`, DEADLINE_EXCEEDED, ABORTED if the client closes before its end.
absl::StatusOr<std::string> ReadHead(int socket, size_t max_bytes,
                                     absl::Time deadline);

// Without its Range lines. A range may be ignored; the library would match it
// with a regular expression that recurses over the header's length, and send as
// many copies of the reply as there are ranges.
std::string WithoutRange(absl::string_view head);

// Sends all of it; false if the client does not take it in time.
bool SendAll(int socket, absl::string_view bytes, absl::Time deadline);

// Ends the connection so that the client gets what was sent: closing with
// unread bytes would take it back.
void Close(int socket);

}  // namespace braid::services::http

#endif  // BRAID_SERVICES_HTTP_CONNECTION_H_
