#include "services/adapters/console.h"

#include <algorithm>

#include "services/adapters/console_files.h"

namespace braid::services::adapters {
namespace {

constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

absl::string_view View(const unsigned char* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

const ConsoleFile* Find(absl::string_view path) {
  static const ConsoleFile kFiles[] = {
      {"/", "text/html; charset=utf-8", View(kIndexHtml, sizeof(kIndexHtml))},
      {"/console/app.js", "text/javascript; charset=utf-8",
       View(kAppJs, sizeof(kAppJs))},
      {"/console/style.css", "text/css; charset=utf-8",
       View(kStyleCss, sizeof(kStyleCss))}};
  const auto* const file =
      std::find_if(std::begin(kFiles), std::end(kFiles),
                   [&](const ConsoleFile& one) { return one.path == path; });
  return file == std::end(kFiles) ? nullptr : file;
}

}  // namespace

bool IsConsolePath(absl::string_view path) { return Find(path) != nullptr; }

http::Reply ConsoleReply(const http::Request& request) {
  const ConsoleFile* const file = Find(request.path);
  if (file == nullptr) return {.status = 404, .body = "no such file\n"};
  if (request.method != "GET" && request.method != "HEAD") {
    return {.status = 405,
            .headers = {{"Allow", "GET, HEAD"}},
            .body = "GET only\n"};
  }
  return {.content_type = std::string(file->content_type),
          .headers = {{"Content-Security-Policy", kPolicy},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cross-Origin-Opener-Policy", "same-origin"},
                      {"Cross-Origin-Resource-Policy", "same-origin"},
                      {"Cache-Control", "no-cache"}},
          .body = std::string(file->content)};
}

}  // namespace braid::services::adapters
