#include "services/http/request_reader.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace braid::services::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::system::error_code;

// A line within a chunked body, beyond what a head may have.
constexpr size_t kMaxLineBytes = 16 << 10;

int StatusOf(const error_code& error) {
  if (error == beast_http::error::header_limit) return 431;
  if (error == beast_http::error::body_limit) return 413;
  if (error == beast_http::error::bad_version) return 505;
  return 400;
}

template <typename Text>
absl::string_view View(const Text& text) {
  return {text.data(), text.size()};
}

}  // namespace

RequestReader::RequestReader(size_t max_head_bytes, size_t max_body_bytes)
    : max_head_bytes_(max_head_bytes) {
  parser_.header_limit(static_cast<uint32_t>(max_head_bytes));
  parser_.body_limit(max_body_bytes == 0 ? std::numeric_limits<uint64_t>::max()
                                         : max_body_bytes);
  parser_.eager(false);
}

RequestReader::Progress RequestReader::Read(std::string* bytes) {
  while (!parser_.is_done()) {
    if (bytes->empty()) return Progress::kMore;
    error_code error;
    const size_t used = parser_.put(boost::asio::buffer(*bytes), error);
    bytes->erase(0, used);
    // The parser's own limit is of each piece that it is given.
    if (!head_taken_) head_bytes_ += used;
    if (head_bytes_ > max_head_bytes_) return Refuse(431);
    if (error == beast_http::error::need_more) {
      // A line that does not end.
      if (bytes->size() > max_head_bytes_ + kMaxLineBytes) return Refuse(431);
      return Progress::kMore;
    }
    if (error) return Refuse(StatusOf(error));
    if (!parser_.is_header_done() || head_taken_) continue;
    head_taken_ = true;
    const auto coding = parser_.get()[beast_http::field::transfer_encoding];
    if (!coding.empty() && !absl::EqualsIgnoreCase(View(coding), "chunked")) {
      return Refuse(501);
    }
    parser_.eager(true);
    if (!parser_.is_done()) return Progress::kHead;
  }
  return Progress::kDone;
}

bool RequestReader::keep_alive() const {
  return !http_1_0() && parser_.get().keep_alive();
}

bool RequestReader::head_only() const {
  return parser_.get().method() == beast_http::verb::head;
}

bool RequestReader::expects_continue() const {
  return absl::EqualsIgnoreCase(View(parser_.get()[beast_http::field::expect]),
                                "100-continue");
}

size_t RequestReader::body_bytes() const {
  if (!head_taken_) return 0;
  const auto length = parser_.content_length();
  return std::max(parser_.get().body().size(),
                  length ? static_cast<size_t>(*length) : 0);
}

Request RequestReader::Take() {
  auto message = parser_.release();
  const absl::string_view target = View(message.target());
  Request request;
  request.method = std::string(message.method_string());
  if (!target.empty() && target[0] == '/') {
    request.path = std::string(target.substr(0, target.find('?')));
    if (request.path.size() < target.size()) {
      request.query = std::string(target.substr(request.path.size() + 1));
    }
  }
  for (const auto& field : message) {
    request.headers.emplace_back(std::string(field.name_string()),
                                 std::string(field.value()));
  }
  request.body = std::move(message.body());
  return request;
}

}  // namespace braid::services::http
