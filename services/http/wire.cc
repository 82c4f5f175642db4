#include "services/http/wire.h"

#include <boost/beast/http/status.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace braid::services::http {
namespace {

void AddHeader(absl::string_view name, absl::string_view value,
               std::string* head) {
  absl::StrAppend(head, name, ": ",
                  absl::StrReplaceAll(value, {{"\r", " "}, {"\n", " "}}),
                  "\r\n");
}

}  // namespace

std::string WriteHead(const Reply& reply, Framing framing, bool keep_alive) {
  const auto reason = boost::beast::http::obsolete_reason(
      static_cast<boost::beast::http::status>(reply.status));
  std::string head =
      absl::StrCat("HTTP/1.1 ", reply.status, " ",
                   absl::string_view(reason.data(), reason.size()), "\r\n");
  if (!reply.content_type.empty()) {
    AddHeader("Content-Type", reply.content_type, &head);
  }
  for (const auto& [name, value] : reply.headers) AddHeader(name, value, &head);
  if (framing == Framing::kLength) {
    AddHeader("Content-Length", absl::StrCat(reply.body.size()), &head);
  } else if (framing == Framing::kChunked) {
    AddHeader("Transfer-Encoding", "chunked", &head);
  }
  // Nothing here is meant to be taken for anything else.
  AddHeader("X-Content-Type-Options", "nosniff", &head);
  AddHeader("Connection", keep_alive ? "keep-alive" : "close", &head);
  absl::StrAppend(&head, "\r\n");
  return head;
}

std::string WriteChunk(absl::string_view bytes) {
  return absl::StrCat(absl::Hex(bytes.size()), "\r\n", bytes, "\r\n");
}

}  // namespace braid::services::http
