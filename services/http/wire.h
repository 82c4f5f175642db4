// The parts of HTTP/1.1 that are written.
#ifndef BRAID_SERVICES_HTTP_WIRE_H_
#define BRAID_SERVICES_HTTP_WIRE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "services/http/message.h"

namespace braid::services::http {

// How the end of a reply's body is known.
enum class Framing { kLength, kChunked, kUntilClose };

// Status line and headers, up to and with the empty line.
std::string WriteHead(const Reply& reply, Framing framing, bool keep_alive);

// One chunk of a chunked body; `bytes` is not empty.
std::string WriteChunk(absl::string_view bytes);
inline constexpr char kLastChunk[] = "0\r\n\r\n";

}  // namespace braid::services::http

#endif  // BRAID_SERVICES_HTTP_WIRE_H_
