#include "services/hub/hub_client.h"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/hub/listing.h"

namespace braid::services::hub {
namespace {

constexpr size_t kMaxAnswerBytes = 32 << 20;
constexpr int kMaxPages = 1000;
constexpr size_t kMaxRepositoryPart = 96;  // the hub's own limit
constexpr size_t kMaxRevisionBytes = 200;

// A short answer, whole or not at all.
class TextSink : public ResumableSink {
 public:
  uint64_t offset() const override { return 0; }
  absl::Status Restart() override { return absl::OkStatus(); }
  absl::Status Begin(const HttpResponse&) override {
    text_.clear();
    return absl::OkStatus();
  }
  absl::Status Write(absl::string_view bytes) override {
    if (text_.size() + bytes.size() > kMaxAnswerBytes) {
      return absl::DataLossError("the hub's answer is too long");
    }
    text_.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  absl::Status End() override { return absl::OkStatus(); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// False after a stop.
bool SleepFor(absl::Duration duration, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock<std::mutex> lock(mutex);
  stopped.wait_for(lock, stop, absl::ToChronoNanoseconds(duration),
                   [] { return false; });
  return !stop.stop_requested();
}

// What the hub itself says went wrong: a header, or JSON in the body.
std::string Reason(const HttpResponse& response) {
  std::string reason = response.Header("x-error-message");
  if (reason.empty()) {
    const nlohmann::json body =
        nlohmann::json::parse(response.error_body, nullptr, false);
    if (body.is_object() && body.contains("error") &&
        body["error"].is_string()) {
      reason = body["error"].get<std::string>();
    }
  }
  return reason.empty() ? "" : absl::StrCat(" (", reason.substr(0, 300), ")");
}

bool IsWorthAnotherTry(int status) {
  return status == 408 || status == 429 || status >= 500;
}

}  // namespace

HubOptions HubOptions::FromEnvironment() {
  HubOptions options;
  const char* endpoint = std::getenv("HF_ENDPOINT");
  if (endpoint != nullptr && *endpoint != '\0') options.endpoint = endpoint;
  const char* token = std::getenv("HF_TOKEN");
  // Read from a file by a shell, it may end in a line feed.
  if (token != nullptr) {
    options.token = std::string(absl::StripAsciiWhitespace(token));
  }
  return options;
}

absl::Status CheckRepository(absl::string_view repository) {
  const std::vector<absl::string_view> parts = absl::StrSplit(repository, '/');
  const auto valid = [](absl::string_view part) {
    return !part.empty() && part.size() <= kMaxRepositoryPart &&
           std::all_of(
               part.begin(), part.end(),
               [](char c) {
                 return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                        c == '-' || c == '_' || c == '.';
               }) &&
           part.front() != '-' && part.front() != '.' && part.back() != '-' &&
           part.back() != '.' && !absl::StrContains(part, "..") &&
           !absl::StrContains(part, "--");
  };
  if (parts.size() == 2 && valid(parts[0]) && valid(parts[1])) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "a model is named ORG/NAME (letters, digits, `-`, `_`, `.`), not \"",
      repository, "\""));
}

absl::Status CheckRevision(absl::string_view revision) {
  const bool valid =
      !revision.empty() && revision.size() <= kMaxRevisionBytes &&
      std::all_of(revision.begin(), revision.end(),
                  [](char c) { return c > ' ' && c < '\x7F'; }) &&
      !absl::StrContains(revision, "..") && revision.front() != '/' &&
      revision.front() != '-';
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("not a branch, tag or commit: \"", revision, "\""));
}

absl::StatusOr<std::unique_ptr<HubClient>> HubClient::Create(
    const HubOptions& options) {
  HubOptions clean = options;
  clean.endpoint = std::string(absl::StripSuffix(options.endpoint, "/"));
  if (clean.endpoint.find_first_of("?#") != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("not an endpoint: ", options.endpoint));
  }
  HttpOptions http;
  http.origin = clean.endpoint;
  http.token = clean.token;
  http.stall_timeout = clean.stall_timeout;
  absl::StatusOr<std::unique_ptr<HttpClient>> client = HttpClient::Create(http);
  if (!client.ok()) return client.status();
  return std::unique_ptr<HubClient>(new HubClient(clean, *std::move(client)));
}

HubClient::HubClient(const HubOptions& options,
                     std::unique_ptr<HttpClient> http)
    : options_(options), http_(std::move(http)) {}

absl::Status HubClient::StatusOf(const HttpResponse& response,
                                 const std::string& what) const {
  if (response.status >= 200 && response.status < 300) {
    return absl::OkStatus();
  }
  const std::string answer =
      absl::StrCat(what, ": ", options_.endpoint, " answers ", response.status,
                   Reason(response));
  switch (response.status) {
    case 401:
      return absl::UnauthenticatedError(absl::StrCat(
          answer, options_.token.empty()
                      ? "; it does not exist, or needs a token in HF_TOKEN"
                      : "; it does not exist, or HF_TOKEN is not valid"));
    case 403:
      return absl::PermissionDeniedError(absl::StrCat(
          answer, options_.token.empty()
                      ? "; it needs a token in HF_TOKEN"
                      : "; HF_TOKEN does not give access: the terms may have "
                        "to be accepted on the model's page"));
    case 404:
      return absl::NotFoundError(absl::StrCat(answer, ": not found"));
    default:
      return IsWorthAnotherTry(response.status) ? absl::AbortedError(answer)
                                                : absl::DataLossError(answer);
  }
}

absl::StatusOr<HttpResponse> HubClient::Get(const std::string& url,
                                            const std::string& what,
                                            ResumableSink* sink,
                                            std::stop_token stop) {
  int failures = 0;
  uint64_t best = sink->offset();
  absl::Duration backoff = options_.backoff;
  while (true) {
    absl::StatusOr<HttpResponse> response =
        http_->Get(url, sink->offset(), sink, stop);
    absl::Duration retry_after;
    absl::Status status = response.status();
    if (response.ok()) {
      answered_ = true;
      retry_after = response->retry_after;
      if (response->status == 416 && sink->offset() > 0) {
        status = sink->Restart();
        if (status.ok()) status = absl::AbortedError("no such range");
      } else {
        status = StatusOf(*response, what);
        if (status.ok()) status = sink->End();
      }
      if (status.ok()) return response;
    } else if (!absl::IsUnavailable(status)) {
      answered_ = true;
    }
    if (absl::IsCancelled(status)) return status;
    if (!absl::IsAborted(status) &&
        !(absl::IsUnavailable(status) && answered_)) {
      return status;
    }
    if (sink->offset() > best) {
      best = sink->offset();
      failures = 0;
      backoff = options_.backoff;
    }
    if (++failures >= options_.max_attempts ||
        retry_after > options_.max_retry_after) {
      return absl::UnavailableError(
          retry_after > options_.max_retry_after
              ? absl::StrCat(status.message(), "; it asks to wait for ",
                             absl::FormatDuration(retry_after))
              : absl::StrCat(status.message(), "; tried ", failures, " times"));
    }
    if (!SleepFor(std::max(backoff, retry_after), stop)) {
      return absl::CancelledError("interrupted");
    }
    backoff = std::min(2 * backoff, options_.max_backoff);
  }
}

absl::StatusOr<std::string> HubClient::ResolveCommit(
    const std::string& repository, const std::string& revision,
    std::stop_token stop) {
  TextSink answer;
  absl::StatusOr<HttpResponse> response =
      Get(absl::StrCat(options_.endpoint, "/api/models/", repository,
                       "/revision/", UrlEscape(revision)),
          absl::StrCat(repository, " at ", revision), &answer, stop);
  if (!response.ok()) return response.status();
  return ParseCommit(answer.text());
}

absl::StatusOr<std::vector<HubFile>> HubClient::ListFiles(
    const std::string& repository, const std::string& commit,
    std::stop_token stop) {
  std::vector<HubFile> files;
  std::string query = "recursive=true";
  for (int page = 0; page < kMaxPages; ++page) {
    TextSink answer;
    absl::StatusOr<HttpResponse> response =
        Get(absl::StrCat(options_.endpoint, "/api/models/", repository,
                         "/tree/", commit, "?", query),
            absl::StrCat("the files of ", repository), &answer, stop);
    if (!response.ok()) return response.status();
    absl::Status status = ParseListing(answer.text(), &files);
    if (!status.ok()) return status;
    query = NextPageQuery(response->Header("link"));
    if (query.empty()) return files;
  }
  return absl::DataLossError("the hub's listing does not end");
}

absl::Status HubClient::Download(const std::string& repository,
                                 const std::string& commit,
                                 const std::string& name, ResumableSink* sink,
                                 std::stop_token stop) {
  return Get(absl::StrCat(options_.endpoint, "/", repository, "/resolve/",
                          commit, "/", UrlEscape(name)),
             name, sink, stop)
      .status();
}

}  // namespace braid::services::hub
