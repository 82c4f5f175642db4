#include "services/auth/document_source.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/hub/http_client.h"

namespace braid::services::auth {
namespace {

constexpr size_t kMaxBytes = 1 << 20;

absl::Status TooLarge(const std::string& place) {
  return absl::InvalidArgumentError(
      absl::StrCat(place, ": larger than ", kMaxBytes, " bytes"));
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat("no file at ", path));
  }
  std::ifstream in(path, std::ios::binary);
  std::string content(kMaxBytes + 1, '\0');
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (in.bad() || (!in.eof() && in.fail())) {
    return absl::UnavailableError(absl::StrCat("cannot read ", path));
  }
  content.resize(static_cast<size_t>(in.gcount()));
  if (content.size() > kMaxBytes) return TooLarge(path);
  return content;
}

class Buffer final : public hub::BodySink {
 public:
  absl::Status Begin(const hub::HttpResponse&) override {
    content.clear();
    return absl::OkStatus();
  }
  absl::Status Write(absl::string_view bytes) override {
    if (content.size() + bytes.size() > kMaxBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("larger than ", kMaxBytes, " bytes"));
    }
    content.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  std::string content;
};

bool IsLoopbackUrl(absl::string_view url) {
  if (!absl::ConsumePrefix(&url, "http://")) return false;
  for (const absl::string_view host : {"127.0.0.1", "[::1]", "localhost"}) {
    absl::string_view rest = url;
    if (absl::ConsumePrefix(&rest, host) &&
        (rest.empty() || rest[0] == ':' || rest[0] == '/')) {
      return true;
    }
  }
  return false;
}

absl::StatusOr<std::string> ReadUrl(const std::string& url,
                                    std::stop_token stop) {
  if (!absl::StartsWith(url, "https://") && !IsLoopbackUrl(url)) {
    return absl::InvalidArgumentError(
        absl::StrCat(url, ": keys must come over https"));
  }
  hub::HttpOptions options;
  options.origin = url;
  options.connect_timeout = absl::Seconds(5);
  options.stall_timeout = absl::Seconds(10);
  auto client = hub::HttpClient::Create(options);
  if (!client.ok()) return client.status();
  Buffer buffer;
  const auto response = (*client)->Get(url, 0, &buffer, std::move(stop));
  if (!response.ok()) {
    return absl::Status(response.status().code(),
                        absl::StrCat(url, ": ", response.status().message()));
  }
  if (response->status != 200) {
    return absl::UnavailableError(
        absl::StrCat(url, ": answered ", response->status));
  }
  return std::move(buffer.content);
}

}  // namespace

bool IsUrl(absl::string_view place) {
  return absl::StartsWith(place, "https://") ||
         absl::StartsWith(place, "http://");
}

DocumentSource::DocumentSource(std::string place, absl::Duration interval)
    : place_(std::move(place)), interval_(interval) {}

absl::StatusOr<std::string> DocumentSource::Read(std::stop_token stop) {
  next_ = Next();
  last_ = ReadOnce(std::move(stop));
  return last_;
}

std::optional<absl::StatusOr<std::string>> DocumentSource::ReadIfChanged(
    std::stop_token stop) {
  if (place_.empty() || std::chrono::steady_clock::now() < next_)
    return std::nullopt;
  next_ = Next();
  absl::StatusOr<std::string> content = ReadOnce(std::move(stop));
  if (content == last_) return std::nullopt;
  last_ = content;
  return content;
}

void DocumentSource::ReadSoon() {
  next_ = std::chrono::steady_clock::time_point::min();
}

std::chrono::steady_clock::time_point DocumentSource::Next() const {
  return std::chrono::steady_clock::now() +
         absl::ToChronoNanoseconds(interval_);
}

absl::StatusOr<std::string> DocumentSource::ReadOnce(
    std::stop_token stop) const {
  return IsUrl(place_) ? ReadUrl(place_, std::move(stop)) : ReadFile(place_);
}

}  // namespace braid::services::auth
