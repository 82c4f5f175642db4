#include "retrieval/ingest/token_index.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

constexpr size_t kWindowBytes = 32 << 10;

// End of the window that begins at `begin`: behind the last white space, else
// between two characters.
size_t WindowEnd(absl::string_view text, size_t begin) {
  if (text.size() - begin <= kWindowBytes) return text.size();
  const size_t limit = FloorCharBoundary(text, begin + kWindowBytes);
  size_t end = limit;
  while (end > begin && !absl::ascii_isspace(text[end - 1])) --end;
  return end > begin ? end : limit;
}

}  // namespace

absl::StatusOr<TokenIndex> TokenIndex::Create(absl::string_view text,
                                              const Encoder& encoder) {
  if (text.size() > UINT32_MAX) {
    return absl::ResourceExhaustedError("the text has 4 GiB or more");
  }
  TokenIndex index;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = WindowEnd(text, begin);
    absl::StatusOr<std::vector<uint32_t>> starts =
        encoder.TokenStarts(text.substr(begin, end - begin));
    if (!starts.ok()) return starts.status();
    index.starts_.reserve(index.starts_.size() + starts->size());
    for (uint32_t start : *starts) {
      index.starts_.push_back(static_cast<uint32_t>(begin + start));
    }
    begin = end;
  }
  if (!std::is_sorted(index.starts_.begin(), index.starts_.end())) {
    return absl::InternalError("the encoder's token offsets are not in order");
  }
  return index;
}

size_t TokenIndex::Count(ByteRange range) const {
  const auto begin =
      std::lower_bound(starts_.begin(), starts_.end(), range.begin);
  return std::lower_bound(begin, starts_.end(), range.end) - begin;
}

uint64_t TokenIndex::NthAfter(uint64_t offset, size_t n, uint64_t limit) const {
  const auto at = std::lower_bound(starts_.begin(), starts_.end(), offset);
  if (static_cast<size_t>(starts_.end() - at) <= n) return limit;
  return std::min<uint64_t>(at[n], limit);
}

uint64_t TokenIndex::NthBefore(uint64_t offset, size_t n,
                               uint64_t limit) const {
  const auto at = std::lower_bound(starts_.begin(), starts_.end(), offset);
  if (static_cast<size_t>(at - starts_.begin()) < n) return limit;
  return std::max<uint64_t>(*(at - n), limit);
}

}  // namespace braid::retrieval
