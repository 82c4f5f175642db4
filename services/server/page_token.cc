#include "services/server/page_token.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace braid::services {
namespace {

constexpr char kVersion = 1;
constexpr size_t kHeaderBytes = 1 + sizeof(uint64_t);

// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/). Spelt out here
// because a token must mean the same in the next process: absl::Hash is seeded
// anew in each.
uint64_t Fingerprint(absl::string_view scope, absl::string_view last) {
  uint64_t hash = 14695981039346656037ull;
  const auto add = [&](absl::string_view bytes) {
    for (const char c : bytes) {
      hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211ull;
    }
  };
  add(absl::StrCat(scope.size(), ":", scope));
  add(last);
  return hash;
}

}  // namespace

std::string MakePageToken(absl::string_view scope, absl::string_view last) {
  std::string raw(1, kVersion);
  const uint64_t fingerprint = Fingerprint(scope, last);
  for (int shift = 0; shift < 64; shift += 8) {
    raw.push_back(static_cast<char>((fingerprint >> shift) & 0xFF));
  }
  raw.append(last.data(), last.size());
  return absl::WebSafeBase64Escape(raw);
}

absl::StatusOr<std::string> ParsePageToken(absl::string_view scope,
                                           absl::string_view token) {
  std::string raw;
  if (absl::WebSafeBase64Unescape(token, &raw) && raw.size() > kHeaderBytes &&
      raw[0] == kVersion) {
    const std::string last = raw.substr(kHeaderBytes);
    if (MakePageToken(scope, last) == token) return last;
  }
  return absl::InvalidArgumentError(
      "not a page token of this list; tokens hold only while the other fields "
      "stay the same");
}

}  // namespace braid::services
