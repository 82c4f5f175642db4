// Requests and replies of HTTP/1.1.
#ifndef BRAID_SERVICES_HTTP_MESSAGE_H_
#define BRAID_SERVICES_HTTP_MESSAGE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace braid::services::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;  // as it came: `GET`
  std::string path;    // up to the `?`, percent-encoded as it came
  std::string query;   // after the `?`, as it came
  Headers headers;     // in the order in which they came
  std::string body;
  bool encrypted = false;  // it came over TLS

  // The value of a header whose name is compared without regard to case; of
  // one that came several times, the values joined by commas. "" if there is
  // none.
  std::string Header(absl::string_view name) const;
};

// A line break in a header's value becomes a space.
struct Reply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  Headers headers;  // further ones
  std::string body;
};

// Percent-decodes; what is not `%` and two hex digits stays. With
// `keep_slashes`, `%2F` stays as well.
std::string PercentDecode(absl::string_view text, bool keep_slashes = false);

// The fields of a query in their order, decoded; `+` is a space.
std::vector<std::pair<std::string, std::string>> ParseQuery(
    absl::string_view query);

}  // namespace braid::services::http

#endif  // BRAID_SERVICES_HTTP_MESSAGE_H_
