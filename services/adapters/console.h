// The console in the browser: static files, built into the program.
#ifndef BRAID_SERVICES_ADAPTERS_CONSOLE_H_
#define BRAID_SERVICES_ADAPTERS_CONSOLE_H_

#include "absl/strings/string_view.h"
#include "services/http/message.h"

namespace braid::services::adapters {

// A file of services/adapters/console.
struct ConsoleFile {
  absl::string_view path;  // `/`, or `/console/NAME`
  absl::string_view content_type;
  absl::string_view content;
};

bool IsConsolePath(absl::string_view path);

// The reply to a request for it, with a Content-Security-Policy that allows
// nothing but the console's own files and the API beside them. They hold
// nothing secret, and are served without a key.
http::Reply ConsoleReply(const http::Request& request);

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_CONSOLE_H_
