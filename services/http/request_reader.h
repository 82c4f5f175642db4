// One request out of bytes as they come.
#ifndef BRAID_SERVICES_HTTP_REQUEST_READER_H_
#define BRAID_SERVICES_HTTP_REQUEST_READER_H_

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstddef>
#include <string>

#include "services/http/message.h"

namespace braid::services::http {

// Strict where two readers could differ: one length, `chunked` as the only
// coding.
class RequestReader {
 public:
  enum class Progress {
    kMore,    // all bytes were taken, and there must be more
    kHead,    // the head is whole, and a body follows: said once
    kDone,    // the request is whole
    kRefused  // it is none, or too large: see refusal()
  };

  // With `max_body_bytes` 0 a body may have any length, and is not to be read.
  RequestReader(size_t max_head_bytes, size_t max_body_bytes);

  // Takes from the front of `bytes` what belongs to this request.
  Progress Read(std::string* bytes);

  // The status to answer with.
  int refusal() const { return refusal_; }

  // From kHead or kDone on.
  bool keep_alive() const;
  bool http_1_0() const { return parser_.get().version() < 11; }
  bool head_only() const;
  bool expects_continue() const;
  // What the body has, or says that it will have; 0 before the head is whole.
  size_t body_bytes() const;

  // Once. Not valid UTF-8, not even text: as it came. `path` is "" if the
  // target is no path.
  Request Take();

 private:
  Progress Refuse(int status) {
    refusal_ = status;
    return Progress::kRefused;
  }

  const size_t max_head_bytes_;
  boost::beast::http::request_parser<boost::beast::http::string_body> parser_;
  bool head_taken_ = false;
  size_t head_bytes_ = 0;
  int refusal_ = 0;
};

}  // namespace braid::services::http

#endif  // BRAID_SERVICES_HTTP_REQUEST_READER_H_
