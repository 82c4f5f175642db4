#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/parser.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxOutputBytes = 256'000'000;
constexpr size_t kMaxExpansion = 100;
constexpr size_t kMinOutputLimit = 1 << 20;

bool IsBlankLine(absl::string_view line) {
  return absl::StripAsciiWhitespace(line).empty();
}

}  // namespace

const std::string& SourceName(const SourceFile& source) {
  return source.document_id.empty() ? source.file_name : source.document_id;
}

void AddSourceMetadata(const SourceFile& source, ParsedDocument* document) {
  for (const auto& [key, value] : source.metadata) {
    document->metadata.insert_or_assign(key, value);
  }
}

size_t OutputLimit(size_t source_bytes) {
  if (source_bytes >= kMaxOutputBytes / kMaxExpansion) return kMaxOutputBytes;
  return std::max(source_bytes * kMaxExpansion, kMinOutputLimit);
}

absl::Status OutputLimitError(absl::string_view name, size_t source_bytes) {
  return absl::ResourceExhaustedError(absl::StrCat(
      name, ": what it holds is over the limit of ", OutputLimit(source_bytes),
      " bytes (", kMaxExpansion, " times its own size, at least ",
      kMinOutputLimit, ", at most ", kMaxOutputBytes, ")"));
}

std::vector<Block> PlainTextBlocks(absl::string_view text) {
  std::vector<Block> blocks;
  size_t at = absl::StartsWith(text, kUtf8Bom) ? kUtf8Bom.size() : 0;
  bool open = false;
  while (at < text.size()) {
    size_t end = text.find('\n', at);
    const size_t next = end == absl::string_view::npos ? text.size() : end + 1;
    absl::string_view line = text.substr(at, next - at);
    if (IsBlankLine(line)) {
      open = false;
    } else {
      const size_t line_end =
          at + absl::StripTrailingAsciiWhitespace(line).size();
      if (!open) blocks.emplace_back().text_range.begin = at;
      blocks.back().text_range.end = line_end;
      open = true;
    }
    at = next;
  }
  for (Block& block : blocks) block.source_range = block.text_range;
  return blocks;
}

}  // namespace braid::retrieval
