#include "retrieval/ingest/formats/document_builder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

constexpr absl::string_view kReplacement = "\uFFFD";
constexpr size_t kMaxMetadataBytes = 4096;

void AppendCleaned(absl::string_view valid, std::string* out) {
  for (size_t i = 0; i < valid.size(); ++i) {
    const char c = valid[i];
    if (c == '\r') {
      if (i + 1 == valid.size() || valid[i + 1] != '\n') out->push_back('\n');
    } else if (c == '\f' || c == '\v') {
      out->push_back('\n');
    } else if (c == '\t' || c == '\n' ||
               !absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      out->push_back(c);
    }
  }
}

}  // namespace

std::string CleanText(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t valid = std::min(FindInvalidUtf8(text), text.size());
    AppendCleaned(text.substr(0, valid), &out);
    text.remove_prefix(valid);
    if (text.empty()) break;
    out.append(kReplacement.data(), kReplacement.size());
    text.remove_prefix(1);
  }
  // Blanks before line ends and at both ends.
  size_t end = 0;
  size_t word_end = 0;  // behind the last character that is no blank
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == '\n') end = word_end;
    out[end++] = out[i];
    if (out[end - 1] == '\n' || !absl::ascii_isspace(out[end - 1])) {
      word_end = end;
    }
  }
  out.resize(end);
  return std::string(absl::StripAsciiWhitespace(out));
}

std::string OnOneLine(absl::string_view text) {
  // Most cells of a table are like this.
  bool plain = true;
  char last = ' ';
  for (const char c : text) {
    plain = plain && (absl::ascii_isgraph(c) || (c == ' ' && last != ' '));
    last = c;
  }
  if (plain && (text.empty() || last != ' ')) return std::string(text);
  return absl::StrJoin(absl::StrSplit(CleanText(text), absl::ByAnyChar(" \t\n"),
                                      absl::SkipEmpty()),
                       " ");
}

void DocumentBuilder::Add(BlockKind kind, absl::string_view text,
                          std::optional<ByteRange> source) {
  if (!status_.ok()) return;
  const std::string clean = CleanText(text);
  if (clean.empty()) return;
  std::string& all = document_.text;
  if (all.size() + clean.size() + 2 > OutputLimit(source_bytes_)) {
    status_ = OutputLimitError(name_, source_bytes_);
    return;
  }
  if (!document_.blocks.empty()) {
    // A table with positions comes row by row.
    const bool tight = kind == document_.blocks.back().kind &&
                       (kind == BlockKind::kListItem ||
                        (kind == BlockKind::kTable && source.has_value()));
    all += tight ? "\n" : "\n\n";
  }
  Block block;
  block.kind = kind;
  block.text_range = {all.size(), all.size() + clean.size()};
  all += clean;
  block.source_range = source.value_or(ByteRange{0, source_bytes_});
  block.page = page_;
  SourceRun run = {block.text_range, block.source_range};
  // A map takes ranges of one size for the same bytes, so these are cut in two
  // where they are not.
  if (run.text.size() == run.source.size() && clean != text &&
      run.text.size() > 1) {
    uint64_t middle = run.text.begin + 1;
    while (!IsCharBoundary(all, middle)) ++middle;
    document_.source_map.push_back({{run.text.begin, middle}, run.source});
    run.text.begin = middle;
  }
  if (run.text.size() > 0) document_.source_map.push_back(run);
  document_.blocks.push_back(std::move(block));
}

void DocumentBuilder::AddHeading(int level, absl::string_view text,
                                 std::optional<ByteRange> source) {
  const std::string line = OnOneLine(text);
  const size_t before = document_.blocks.size();
  Add(BlockKind::kHeading, line, source);
  if (document_.blocks.size() == before) return;
  Block& block = document_.blocks.back();
  block.level = std::clamp(level, 1, 6);
  block.heading = line;
}

void DocumentBuilder::AddDocument(const ParsedDocument& document,
                                  std::optional<ByteRange> source) {
  for (const Block& block : document.blocks) {
    const absl::string_view text =
        absl::string_view(document.text)
            .substr(block.text_range.begin, block.text_range.size());
    if (block.kind == BlockKind::kHeading) {
      AddHeading(block.level, block.heading.empty() ? text : block.heading,
                 source);
    } else {
      Add(block.kind, text, source);
    }
  }
}

void DocumentBuilder::SetTitle(absl::string_view title) {
  if (document_.title.empty()) document_.title = OnOneLine(title);
}

void DocumentBuilder::SetMetadata(const std::string& key,
                                  absl::string_view value) {
  const std::string line = OnOneLine(value);
  if (line.empty()) return;
  document_.metadata.insert_or_assign(
      key, std::string(TruncateUtf8(line, kMaxMetadataBytes)));
}

void DocumentBuilder::SetMetadata(const std::string& key, double value) {
  document_.metadata.insert_or_assign(key, value);
}

absl::StatusOr<ParsedDocument> DocumentBuilder::Finish() {
  if (!status_.ok()) return status_;
  return std::move(document_);
}

}  // namespace braid::retrieval
