#include "services/hub/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace braid::services::hub {
namespace {

constexpr int kMaxRedirects = 8;
constexpr size_t kMaxHeaderBytes = 64 << 10;
constexpr size_t kMaxErrorBytes = 4 << 10;
constexpr long kSlowBytesPerSecond = 1 << 10;
constexpr long kBufferBytes = 256 << 10;
// A stop wakes the transfer; this is for what it could miss.
constexpr int kPollMs = 500;

bool InitCurl() {
  static const bool ok = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ok;
}

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlDeleter>;

std::string UrlPart(const Url& url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

// Null if `text` is no http(s) URL. With a base, `text` may be relative to it.
Url ParseUrl(const std::string& base, const std::string& text) {
  Url url(curl_url());
  if (!base.empty() &&
      curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) {
    return nullptr;
  }
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
    return nullptr;
  }
  const std::string scheme = UrlPart(url, CURLUPART_SCHEME, 0);
  return scheme == "http" || scheme == "https" ? std::move(url) : nullptr;
}

std::string OriginOf(const Url& url) {
  return absl::AsciiStrToLower(absl::StrCat(
      UrlPart(url, CURLUPART_SCHEME, 0), "://", UrlPart(url, CURLUPART_HOST, 0),
      ":", UrlPart(url, CURLUPART_PORT, CURLU_DEFAULT_PORT)));
}

// One answer on its way.
struct Transfer {
  CURL* easy = nullptr;
  BodySink* sink = nullptr;
  HttpResponse response;
  size_t header_bytes = 0;
  bool begun = false;
  absl::Status sink_status;

  void ReadStatus() {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    response.status = static_cast<int>(status);
  }
  absl::Status Begin() {
    if (begun) return absl::OkStatus();
    begun = true;
    return sink->Begin(response);
  }
};

bool IsSuccess(int status) { return status >= 200 && status < 300; }
bool IsRedirect(int status) {
  return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

size_t OnHeader(char* data, size_t, size_t size, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  absl::string_view line(data, size);
  if (absl::StartsWith(line, "HTTP/")) {
    // Of this answer: one of the kind "100 Continue" may have come before.
    transfer->response.headers.clear();
    return size;
  }
  transfer->header_bytes += size;
  if (transfer->header_bytes > kMaxHeaderBytes) return 0;
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return size;
  transfer->response.headers[absl::AsciiStrToLower(line.substr(0, colon))] =
      std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  return size;
}

size_t OnBody(char* data, size_t, size_t size, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  HttpResponse& response = transfer->response;
  transfer->ReadStatus();
  if (!IsSuccess(response.status)) {
    const size_t room = kMaxErrorBytes - response.error_body.size();
    response.error_body.append(data, std::min(size, room));
    return size;
  }
  transfer->sink_status = transfer->Begin();
  if (transfer->sink_status.ok()) {
    transfer->sink_status =
        transfer->sink->Write(absl::string_view(data, size));
  }
  return transfer->sink_status.ok() ? size : 0;
}

absl::Status TransportError(CURL* easy, CURLcode code, const char* detail,
                            const std::string& url) {
  const std::string message =
      absl::StrCat(WithoutQuery(url), ": ",
                   *detail != '\0' ? detail : curl_easy_strerror(code));
  curl_off_t connected = 0;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
      return absl::UnavailableError(message);
    case CURLE_OPERATION_TIMEDOUT:
      curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
      return connected == 0 ? absl::UnavailableError(message)
                            : absl::AbortedError(message);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return absl::AbortedError(message);
    default:
      return absl::FailedPreconditionError(message);
  }
}

}  // namespace

const std::string& HttpResponse::Header(
    const std::string& lower_case_name) const {
  static const std::string none;
  const auto found = headers.find(lower_case_name);
  return found == headers.end() ? none : found->second;
}

absl::StatusOr<std::unique_ptr<HttpClient>> HttpClient::Create(
    const HttpOptions& options) {
  if (!InitCurl()) return absl::InternalError("libcurl cannot be initialised");
  const Url origin = ParseUrl("", options.origin);
  if (origin == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("not an http:// or https:// URL: ", options.origin));
  }
  if (!std::all_of(options.token.begin(), options.token.end(),
                   [](char c) { return c > ' ' && c < '\x7F'; })) {
    return absl::InvalidArgumentError(
        "the token holds characters that no token has");
  }
  std::unique_ptr<HttpClient> client(new HttpClient(options));
  client->token_origin_ = OriginOf(origin);
  if (client->multi_ == nullptr || client->easy_ == nullptr) {
    return absl::InternalError("libcurl cannot be initialised");
  }
  return client;
}

HttpClient::HttpClient(const HttpOptions& options)
    : options_(options), multi_(curl_multi_init()), easy_(curl_easy_init()) {}

HttpClient::~HttpClient() {
  curl_easy_cleanup(easy_);
  curl_multi_cleanup(multi_);
}

absl::StatusOr<HttpResponse> HttpClient::Get(const std::string& url,
                                             uint64_t offset, BodySink* sink,
                                             std::stop_token stop) {
  std::string at = url;
  // By hand, because the token must not follow to another origin.
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    absl::StatusOr<HttpResponse> response = GetOnce(at, offset, sink, stop);
    if (!response.ok() || !IsRedirect(response->status)) return response;
    const Url next = ParseUrl(at, response->Header("location"));
    if (next == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat(
          WithoutQuery(at), ": redirects to what is no http(s) URL"));
    }
    if (absl::StartsWith(at, "https:") &&
        UrlPart(next, CURLUPART_SCHEME, 0) != "https") {
      return absl::FailedPreconditionError(absl::StrCat(
          WithoutQuery(at), ": redirects from https to ",
          WithoutQuery(UrlPart(next, CURLUPART_URL, 0)), ", which is not"));
    }
    at = UrlPart(next, CURLUPART_URL, 0);
  }
  return absl::FailedPreconditionError(
      absl::StrCat(WithoutQuery(url), ": too many redirects"));
}

absl::StatusOr<HttpResponse> HttpClient::GetOnce(const std::string& url,
                                                 uint64_t offset,
                                                 BodySink* sink,
                                                 std::stop_token stop) {
  const Url parsed = ParseUrl("", url);
  if (parsed == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a URL: ", WithoutQuery(url)));
  }
  CURL* easy = easy_;
  Transfer transfer;
  transfer.easy = easy;
  transfer.sink = sink;
  char detail[CURL_ERROR_SIZE] = "";
  curl_slist* headers = nullptr;
  if (!options_.token.empty() && OriginOf(parsed) == token_origin_) {
    headers = curl_slist_append(
        headers,
        absl::StrCat("Authorization: Bearer ", options_.token).c_str());
  }
  curl_easy_reset(easy);
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "braid/" BRAID_VERSION);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kBufferBytes);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(
      easy, CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(absl::ToInt64Milliseconds(options_.connect_timeout)));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, kSlowBytesPerSecond);
  curl_easy_setopt(
      easy, CURLOPT_LOW_SPEED_TIME,
      static_cast<long>(absl::ToInt64Seconds(options_.stall_timeout)));
  const std::string range = absl::StrCat(offset, "-");
  if (offset > 0) curl_easy_setopt(easy, CURLOPT_RANGE, range.c_str());

  CURLcode code = CURLE_OK;
  bool stopped = false;
  curl_multi_add_handle(multi_, easy);
  {
    const std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi_); });
    for (int running = 1; running > 0;) {
      stopped = stop.stop_requested();
      if (stopped || curl_multi_perform(multi_, &running) != CURLM_OK) break;
      if (running > 0) curl_multi_poll(multi_, nullptr, 0, kPollMs, nullptr);
    }
  }
  bool done = false;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    done = true;
    code = message->data.result;
  }
  curl_off_t retry_after = 0;
  curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
  transfer.response.retry_after = absl::Seconds(retry_after);
  transfer.ReadStatus();
  absl::Status status;
  if (!transfer.sink_status.ok()) {
    status = transfer.sink_status;
  } else if (stopped) {
    status = absl::CancelledError("interrupted");
  } else if (!done) {
    status = absl::InternalError("libcurl ended without a result");
  } else if (code != CURLE_OK) {
    status = TransportError(easy, code, detail, url);
  } else if (IsSuccess(transfer.response.status)) {
    status = transfer.Begin();
  }
  curl_multi_remove_handle(multi_, easy);
  curl_slist_free_all(headers);
  if (!status.ok()) return status;
  return std::move(transfer.response);
}

std::string UrlEscape(absl::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || absl::StrContains("-._~", c)) {
      escaped.push_back(c);
    } else {
      escaped.append({'%', kDigits[byte >> 4], kDigits[byte & 15]});
    }
  }
  return escaped;
}

std::string WithoutQuery(absl::string_view url) {
  return std::string(url.substr(0, url.find_first_of("?#")));
}

}  // namespace braid::services::hub
