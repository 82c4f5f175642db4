#include "retrieval/ingest/html_text.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

size_t CharBytes(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

// Length of the entity at the start of `text` ("&amp;", "&#60", ...), 0 if it
// does not look like one.
size_t EntityLength(absl::string_view text) {
  constexpr size_t kLongest = 40;
  if (text.empty() || text[0] != '&') return 0;
  size_t i = 1;
  if (i < text.size() && text[i] == '#') ++i;
  const size_t name = i;
  while (i < text.size() && i < kLongest && absl::ascii_isalnum(text[i])) ++i;
  if (i == name) return 0;
  if (i < text.size() && text[i] == ';') ++i;
  return i;
}

}  // namespace

TextAlignment::TextAlignment(absl::string_view decoded,
                             absl::string_view original)
    : original_size_(original.size()) {
  if (decoded == original) return;
  kind_ = Kind::kMapped;
  begins_.reserve(decoded.size() + 1);
  size_t o = 0;
  size_t d = 0;
  while (d < decoded.size() && o < original.size()) {
    if (original[o] == '\r' && decoded[d] == '\n') {
      // CR or CR LF became LF.
      begins_.push_back(o);
      o += o + 1 < original.size() && original[o + 1] == '\n' ? 2 : 1;
      ++d;
      continue;
    }
    const size_t entity = EntityLength(original.substr(o));
    // "&" alone stays as it is; so does a name that is no entity.
    if (entity == 0 ||
        decoded.substr(d, entity) == original.substr(o, entity)) {
      if (decoded[d] != original[o]) break;
      begins_.push_back(o++);
      ++d;
      continue;
    }
    // One character, by what follows it, or two (a few entities are).
    size_t bytes = CharBytes(decoded[d]);
    const size_t next = o + entity;
    if (d + bytes < decoded.size() && next < original.size() &&
        original[next] != '&' && original[next] != '\r' &&
        decoded[d + bytes] != original[next]) {
      bytes += CharBytes(decoded[d + bytes]);
    }
    bytes = std::min(bytes, decoded.size() - d);
    begins_.insert(begins_.end(), bytes, o);
    d += bytes;
    o = next;
  }
  if (d != decoded.size() || o != original.size()) {
    kind_ = Kind::kUnknown;
    begins_.clear();
    return;
  }
  begins_.push_back(o);
}

ByteRange TextAlignment::Source(size_t begin, size_t end) const {
  switch (kind_) {
    case Kind::kSame:
      return {begin, end};
    case Kind::kMapped:
      return {begins_[begin], begins_[end]};
    case Kind::kUnknown:
      break;
  }
  return {0, original_size_};
}

bool TextAlignment::Literal(size_t i) const {
  return kind_ != Kind::kMapped || begins_[i + 1] == begins_[i] + 1;
}

void HtmlText::BeginBlock(BlockKind kind, int level) {
  const bool text_kind =
      kind == BlockKind::kParagraph || kind == BlockKind::kListItem;
  if (join_next_ && block_open_ && text_kind) {
    line_breaks_ = 1;
    return;
  }
  EndBlock();
  kind_ = kind;
  level_ = level;
}

void HtmlText::EndBlock() {
  if (block_open_) {
    Block& block = blocks_.back();
    block.text_range.end = text_.size();
    if (block.kind == BlockKind::kHeading) {
      block.heading = text_.substr(block.text_range.begin);
    }
    block_open_ = false;
  }
  join_next_ = false;
  space_ = false;
  pre_blanks_.clear();
  line_breaks_ = 0;
  bars_ = 0;
  kind_ = BlockKind::kParagraph;
  level_ = 0;
}

void HtmlText::OpenBlock() {
  if (block_open_) return;
  if (!blocks_.empty()) {
    const bool tight = blocks_.back().kind == BlockKind::kListItem &&
                       kind_ == BlockKind::kListItem;
    text_ += tight ? "\n" : "\n\n";
  }
  Block block;
  block.kind = kind_;
  block.level = level_;
  block.text_range.begin = text_.size();
  blocks_.push_back(std::move(block));
  block_open_ = true;
  space_ = false;
  line_breaks_ = 0;
}

void HtmlText::FlushSeparator() {
  OpenBlock();
  if (HasText()) {
    if (line_breaks_ > 0) {
      text_.append(line_breaks_, '\n');
    } else if (space_ && bars_ == 0) {
      text_ += ' ';
    }
    text_ += pre_blanks_;
  }
  for (; bars_ > 0; --bars_) {
    text_ += text_.empty() || text_.back() == '\n' ? "| " : " | ";
  }
  pre_blanks_.clear();
  line_breaks_ = 0;
  space_ = false;
  join_next_ = false;
}

void HtmlText::Space() { space_ = true; }
void HtmlText::LineBreak() { line_breaks_ = std::min(line_breaks_ + 1, 2); }
void HtmlText::Cell() {
  ++bars_;
  space_ = false;
}
void HtmlText::EndRow() {
  bars_ = 0;
  line_breaks_ = 1;
}

void HtmlText::AppendRun(absl::string_view decoded,
                         const TextAlignment& alignment, size_t begin,
                         size_t end, uint64_t source_begin) {
  size_t run = begin;
  for (size_t i = begin; i < end; ++i) {
    if (i + 1 < end) {
      // Never between the bytes of one character.
      if ((decoded[i + 1] & 0xC0) == 0x80) continue;
      if (alignment.Literal(i) && alignment.Literal(i + 1)) continue;
    }
    const ByteRange source = alignment.Source(run, i + 1);
    const uint64_t text_begin = text_.size();
    text_.append(decoded.data() + run, i + 1 - run);
    map_.Add({text_begin, text_.size()},
             {source_begin + source.begin, source_begin + source.end});
    run = i + 1;
  }
}

void HtmlText::AppendPreformatted(absl::string_view decoded,
                                  const TextAlignment& alignment,
                                  uint64_t source_begin) {
  size_t i = 0;
  while (i < decoded.size()) {
    size_t word = i;
    while (word < decoded.size() && IsBlank(decoded[word])) ++word;
    size_t end = word;
    while (end < decoded.size() && !IsBlank(decoded[end])) ++end;
    if (end == word) {
      if (HasText()) absl::StrAppend(&pre_blanks_, decoded.substr(i));
      return;
    }
    size_t from = i;
    if (!HasText()) {
      // Empty lines before the first are dropped, its indentation is not.
      const size_t line = decoded.substr(0, word).rfind('\n');
      if (line != absl::string_view::npos && line >= i) from = line + 1;
    }
    FlushSeparator();
    AppendRun(decoded, alignment, from, end, source_begin);
    i = end;
  }
}

bool HtmlText::HasText() const {
  return block_open_ && text_.size() > blocks_.back().text_range.begin;
}

void HtmlText::Append(absl::string_view decoded, absl::string_view original,
                      uint64_t source_begin, bool preformatted) {
  const TextAlignment alignment(decoded, original);
  if (preformatted) {
    AppendPreformatted(decoded, alignment, source_begin);
    return;
  }
  size_t i = 0;
  while (i < decoded.size()) {
    size_t blanks_end = i;
    while (blanks_end < decoded.size() && IsBlank(decoded[blanks_end])) {
      ++blanks_end;
    }
    size_t end = blanks_end;
    while (end < decoded.size() && !IsBlank(decoded[end])) ++end;
    if (blanks_end > i) Space();
    if (end == blanks_end) break;
    // A single blank that is a space is kept as it is, so that the map goes on.
    if (blanks_end == i + 1 && decoded[i] == ' ' && HasText() &&
        line_breaks_ == 0 && bars_ == 0 && pre_blanks_.empty()) {
      space_ = false;
      AppendRun(decoded, alignment, i, end, source_begin);
    } else {
      FlushSeparator();
      AppendRun(decoded, alignment, blanks_end, end, source_begin);
    }
    i = end;
  }
}

void HtmlText::Finish(ParsedDocument* document) {
  EndBlock();
  document->text = std::move(text_);
  document->blocks = std::move(blocks_);
  document->source_map = map_.Take();
}

}  // namespace braid::retrieval
