#include "services/telemetry/otlp_client.h"

#include <curl/curl.h>

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace braid::services::telemetry {
namespace {

constexpr char kTracesPath[] = "/v1/traces";
constexpr long kConnectTimeoutMs = 5'000;
constexpr long kTimeoutMs = 10'000;
// The answer says nothing that is used: so much of it is read and forgotten.
constexpr size_t kMaxAnswerBytes = 64 << 10;

bool InitCurl() {
  static const bool ok = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ok;
}

// `endpoint` with the path of traces; empty if it is no http(s) URL.
std::string TracesUrl(const std::string& endpoint) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> url(curl_url(),
                                                     curl_url_cleanup);
  const auto part = [&](CURLUPart what) {
    char* text = nullptr;
    if (curl_url_get(url.get(), what, &text, 0) != CURLUE_OK)
      return std::string();
    std::string copy(text);
    curl_free(text);
    return copy;
  };
  if (curl_url_set(url.get(), CURLUPART_URL, endpoint.c_str(), 0) !=
      CURLUE_OK) {
    return "";
  }
  const std::string scheme = part(CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return "";
  std::string path = part(CURLUPART_PATH);
  while (!path.empty() && path.back() == '/') path.pop_back();
  path += kTracesPath;
  if (curl_url_set(url.get(), CURLUPART_PATH, path.c_str(), 0) != CURLUE_OK) {
    return "";
  }
  return part(CURLUPART_URL);
}

size_t OnAnswer(char*, size_t, size_t size, void* user) {
  auto* bytes = static_cast<size_t*>(user);
  *bytes += size;
  return *bytes > kMaxAnswerBytes ? 0 : size;
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return (*static_cast<const std::function<bool()>*>(user))() ? 1 : 0;
}

absl::Status StatusOf(long code) {
  if (code >= 200 && code < 300) return absl::OkStatus();
  const std::string message =
      absl::StrCat("the collector answers with HTTP status ", code);
  // Those that the specification of OTLP/HTTP calls retryable.
  if (code == 429 || (code >= 502 && code <= 504)) {
    return absl::UnavailableError(message);
  }
  return absl::FailedPreconditionError(message);
}

// RFC 9110, section 5.6.2.
bool IsToken(absl::string_view text) {
  constexpr absl::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && absl::c_all_of(text, [&](char c) {
    return absl::ascii_isalnum(c) || absl::StrContains(kMarks, c);
  });
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseHeaders(absl::string_view text) {
  std::vector<std::string> headers;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    absl::ConsumeSuffix(&line, "\r");
    if (line.empty()) continue;
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    const absl::string_view value = absl::StripAsciiWhitespace(parts.second);
    if (!IsToken(parts.first) || value.empty() ||
        absl::c_any_of(value, absl::ascii_iscntrl)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " is no header `Name: value`"));
    }
    headers.push_back(absl::StrCat(parts.first, ": ", value));
  }
  return headers;
}

absl::StatusOr<std::unique_ptr<OtlpClient>> OtlpClient::Create(
    const std::string& endpoint, std::vector<std::string> headers,
    Resource resource) {
  if (!InitCurl()) return absl::InternalError("libcurl cannot be initialised");
  std::string url = TracesUrl(endpoint);
  if (url.empty()) {
    return absl::InvalidArgumentError(
        "must be an http:// or https:// URL of a collector");
  }
  std::unique_ptr<OtlpClient> client(
      new OtlpClient(std::move(url), std::move(headers), std::move(resource)));
  if (client->easy_ == nullptr) {
    return absl::InternalError("libcurl cannot be initialised");
  }
  return client;
}

OtlpClient::OtlpClient(std::string url, std::vector<std::string> headers,
                       Resource resource)
    : url_(std::move(url)),
      headers_(std::move(headers)),
      resource_(std::move(resource)),
      easy_(curl_easy_init()) {}

OtlpClient::~OtlpClient() { curl_easy_cleanup(easy_); }

absl::Status OtlpClient::Send(absl::Span<const Span> spans,
                              const std::function<bool()>& give_up) {
  const std::string body = ToOtlpJson(resource_, spans);
  // Without "100-continue", which costs a second where it is not known.
  curl_slist* list = curl_slist_append(
      curl_slist_append(nullptr, "Content-Type: application/json"), "Expect:");
  for (const std::string& header : headers_) {
    list = curl_slist_append(list, header.c_str());
  }
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(
      list, curl_slist_free_all);
  CURL* easy = easy_;
  size_t answered = 0;
  curl_easy_reset(easy);
  curl_easy_setopt(easy, CURLOPT_URL, url_.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "braid/" BRAID_VERSION);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                   static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, kTimeoutMs);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnAnswer);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answered);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &give_up);
  const CURLcode code = curl_easy_perform(easy);
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  switch (code) {
    case CURLE_OK:
      return StatusOf(status);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return absl::UnavailableError(curl_easy_strerror(code));
    default:
      return absl::FailedPreconditionError(curl_easy_strerror(code));
  }
}

}  // namespace braid::services::telemetry
