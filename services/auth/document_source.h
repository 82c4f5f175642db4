// A small document in a file or behind a URL, read again as it changes.
#ifndef BRAID_SERVICES_AUTH_DOCUMENT_SOURCE_H_
#define BRAID_SERVICES_AUTH_DOCUMENT_SOURCE_H_

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace braid::services::auth {

// Whether `place` is an http or https URL and not the path of a file.
bool IsUrl(absl::string_view place);

// Not thread-safe.
class DocumentSource {
 public:
  // An empty `place` never changes.
  DocumentSource(std::string place, absl::Duration interval);

  // The content, at most 1 MiB. NOT_FOUND, UNAVAILABLE or INVALID_ARGUMENT
  // naming the place; a URL must be https unless its host is a loopback
  // address.
  absl::StatusOr<std::string> Read(std::stop_token stop);
  // Reads it if the interval has passed. Nothing if it is as it was, or fails
  // as it did.
  std::optional<absl::StatusOr<std::string>> ReadIfChanged(
      std::stop_token stop);
  // The next ReadIfChanged does not wait for the interval.
  void ReadSoon();

 private:
  absl::StatusOr<std::string> ReadOnce(std::stop_token stop) const;
  std::chrono::steady_clock::time_point Next() const;  // an interval from now

  const std::string place_;
  const absl::Duration interval_;
  std::chrono::steady_clock::time_point next_ =
      std::chrono::steady_clock::time_point::min();
  absl::StatusOr<std::string> last_ = absl::UnknownError("not read yet");
};

}  // namespace braid::services::auth

#endif  // BRAID_SERVICES_AUTH_DOCUMENT_SOURCE_H_
