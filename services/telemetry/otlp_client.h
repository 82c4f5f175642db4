// OTLP over HTTP: one POST a batch of spans.
#ifndef BRAID_SERVICES_TELEMETRY_OTLP_CLIENT_H_
#define BRAID_SERVICES_TELEMETRY_OTLP_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "services/telemetry/otlp_json.h"
#include "services/telemetry/span.h"

namespace braid::services::telemetry {

// Headers of an HTTP request, `Name: value` in a line; empty lines are left
// out. INVALID_ARGUMENT naming the line that is none; what it holds is a secret
// and not in the message.
absl::StatusOr<std::vector<std::string>> ParseHeaders(absl::string_view text);

// Proxies come from the usual variables (http_proxy, no_proxy). Not
// thread-safe.
class OtlpClient {
 public:
  // `endpoint` is the collector's base URL, such as http://collector:4318.
  // Every request has `headers`, as of ParseHeaders(). INVALID_ARGUMENT if it
  // is no http(s) URL.
  static absl::StatusOr<std::unique_ptr<OtlpClient>> Create(
      const std::string& endpoint, std::vector<std::string> headers,
      Resource resource);
  ~OtlpClient();
  OtlpClient(const OtlpClient&) = delete;
  OtlpClient& operator=(const OtlpClient&) = delete;

  // Returns when the collector has taken the spans. UNAVAILABLE if trying again
  // can help (no connection, a timeout, the answers that OTLP names); otherwise
  // FAILED_PRECONDITION. `give_up` is asked at least once a second. No message
  // holds the URL, which may hold a password.
  absl::Status Send(absl::Span<const Span> spans,
                    const std::function<bool()>& give_up);

 private:
  OtlpClient(std::string url, std::vector<std::string> headers,
             Resource resource);

  const std::string url_;
  const std::vector<std::string> headers_;
  const Resource resource_;
  void* const easy_;  // CURL, keeps its connection open
};

}  // namespace braid::services::telemetry

#endif  // BRAID_SERVICES_TELEMETRY_OTLP_CLIENT_H_
