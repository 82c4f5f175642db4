// GET over libcurl, one at a time: redirects, ranges, and a token that one
// origin alone is shown.
#ifndef BRAID_SERVICES_HUB_HTTP_CLIENT_H_
#define BRAID_SERVICES_HUB_HTTP_CLIENT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace braid::services::hub {

struct HttpOptions {
  // The origin (scheme, host and port) of this URL is shown `token`, if there
  // is one; where a redirect leads is not.
  std::string origin;
  std::string token;
  absl::Duration connect_timeout = absl::Seconds(20);
  // A transfer that moves less than 1 KiB a second for so long has stalled.
  // Whole seconds.
  absl::Duration stall_timeout = absl::Seconds(60);
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  absl::Duration retry_after;                  // 0: not given
  std::string error_body;  // of an answer other than 2xx: its first 4 KiB

  // "" if there is none.
  const std::string& Header(const std::string& lower_case_name) const;
};

// Takes the body of a 2xx answer. What it returns, other than OK, ends the
// transfer and is what Get returns.
class BodySink {
 public:
  virtual ~BodySink() = default;
  // Once for each answer, before its first byte, also if there is none.
  virtual absl::Status Begin(const HttpResponse& response) = 0;
  virtual absl::Status Write(absl::string_view bytes) = 0;
};

// Proxies come from the usual variables (https_proxy, no_proxy). Not
// thread-safe.
class HttpClient {
 public:
  // INVALID_ARGUMENT for an origin that is no http(s) URL or a token that
  // cannot stand in a header.
  static absl::StatusOr<std::unique_ptr<HttpClient>> Create(
      const HttpOptions& options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // GETs `url`, from byte `offset` on if that is not 0, and follows up to eight
  // redirects (never from https to http). Any answer that came to its end is
  // OK, whatever its status. Otherwise: UNAVAILABLE if there was no connection,
  // ABORTED if it broke or stalled (trying again can help), CANCELLED after a
  // stop, and FAILED_PRECONDITION for what trying again does not cure, such as
  // a certificate that is not trusted.
  absl::StatusOr<HttpResponse> Get(const std::string& url, uint64_t offset,
                                   BodySink* sink, std::stop_token stop);

 private:
  explicit HttpClient(const HttpOptions& options);
  absl::StatusOr<HttpResponse> GetOnce(const std::string& url, uint64_t offset,
                                       BodySink* sink, std::stop_token stop);

  const HttpOptions options_;
  std::string token_origin_;
  void* multi_ = nullptr;  // CURLM, keeps connections open
  void* easy_ = nullptr;   // CURL
};

// `text` with everything but letters, digits and "-._~" percent-encoded.
std::string UrlEscape(absl::string_view text);
// For messages: `url` without its query, where signatures are.
std::string WithoutQuery(absl::string_view url);

}  // namespace braid::services::hub

#endif  // BRAID_SERVICES_HUB_HTTP_CLIENT_H_
