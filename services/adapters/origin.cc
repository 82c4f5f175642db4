#include "services/adapters/origin.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace braid::services::adapters {
namespace {

// `host:port` in lower case, without the port that the scheme has anyway.
std::string Normalized(absl::string_view authority, bool encrypted) {
  absl::ConsumeSuffix(&authority, encrypted ? ":443" : ":80");
  return absl::AsciiStrToLower(authority);
}

// `name`, `name:port`, `[v6]` or `[v6]:port`.
absl::string_view NameOf(absl::string_view authority) {
  if (absl::StartsWith(authority, "[")) {
    return authority.substr(0, authority.find(']') + 1);
  }
  return authority.substr(0, authority.find(':'));
}

bool IsAddress(absl::string_view name) {
  in6_addr address;
  if (absl::ConsumePrefix(&name, "[") && absl::ConsumeSuffix(&name, "]")) {
    return inet_pton(AF_INET6, std::string(name).c_str(), &address) == 1;
  }
  return inet_pton(AF_INET, std::string(name).c_str(), &address) == 1;
}

bool IsThisServer(absl::string_view host,
                  const std::vector<std::string>& hosts) {
  const std::string name = absl::AsciiStrToLower(NameOf(host));
  return IsAddress(name) || name == "localhost" ||
         absl::EndsWith(name, ".localhost") ||
         std::any_of(hosts.begin(), hosts.end(), [&](const std::string& known) {
           return absl::EqualsIgnoreCase(known, name);
         });
}

}  // namespace

absl::Status CheckOrigin(const http::Request& request,
                         const std::vector<std::string>& hosts) {
  const std::string host = request.Header("host");
  if (const std::string origin = request.Header("origin"); !origin.empty()) {
    absl::string_view authority = origin;
    bool encrypted = absl::ConsumePrefix(&authority, "https://");
    // A proxy in front may be the one that encrypts.
    const bool web = encrypted || absl::ConsumePrefix(&authority, "http://");
    if (!web || host.empty() ||
        Normalized(authority, encrypted) != Normalized(host, encrypted)) {
      return absl::PermissionDeniedError(
          "requests of web pages from elsewhere are not served (Origin)");
    }
  }
  if (!request.encrypted && !host.empty() &&
      request.Header("authorization").empty() && !IsThisServer(host, hosts)) {
    return absl::PermissionDeniedError(
        "this name of the server is not in `http_hosts` (Host)");
  }
  return absl::OkStatus();
}

}  // namespace braid::services::adapters
