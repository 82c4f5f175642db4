#include "retrieval/ingest/chunker.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "retrieval/ingest/sentences.h"
#include "retrieval/ingest/source_map.h"
#include "retrieval/ingest/token_index.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

// A chunk has at most this many bytes per token it may have: words that the
// encoder does not know at all (base64, long runs of blanks) count as few
// tokens however long they are.
constexpr uint64_t kMaxBytesPerToken = 40;
// A heading is repeated in each of its chunks, so it is kept short there.
constexpr size_t kMaxHeadingBytes = 200;

bool IsBlank(char c) { return absl::ascii_isspace(c); }

// How finely a range is being cut.
enum class Cut { kWhole, kSentences, kLines, kWords };

Cut FirstCut(BlockKind kind) {
  return kind == BlockKind::kTable || kind == BlockKind::kCode
             ? Cut::kLines
             : Cut::kSentences;
}

Cut FinerThan(Cut cut, BlockKind kind) {
  switch (cut) {
    case Cut::kWhole:
      return FirstCut(kind);
    case Cut::kSentences:
      return Cut::kLines;
    default:
      return Cut::kWords;
  }
}

// Joins blocks to chunks and cuts those that are too long.
class Packer {
 public:
  Packer(const ParsedDocument& document, const ChunkingConfig& config,
         const TokenIndex& tokens)
      : document_(document),
        text_(document.text),
        tokens_(tokens),
        max_tokens_(config.max_tokens),
        overlap_tokens_(config.overlap_tokens),
        max_bytes_(config.max_tokens * kMaxBytesPerToken) {}

  std::vector<ChunkSpan> Pack() {
    for (const Block& block : document_.blocks) {
      block_ = &block;
      // A citation names one page.
      if (open_ && !only_headings_ && block.page != page_) Flush();
      if (block.kind == BlockKind::kHeading) {
        AddHeading(block);
      } else {
        AddBlock(block);
      }
    }
    Flush();
    return std::move(chunks_);
  }

 private:
  bool Fits(ByteRange range) const {
    return range.size() <= max_bytes_ && CountTokens(range) <= max_tokens_;
  }

  // Tokens of `range` as text of its own: the rest of a word that was cut
  // counts as one more.
  uint64_t CountTokens(ByteRange range) const {
    return tokens_.Count(range) + BeginsInsideToken(range.begin);
  }

  bool BeginsInsideToken(uint64_t at) const {
    return at > 0 && at < text_.size() && !IsBlank(text_[at - 1]) &&
           !IsBlank(text_[at]) && tokens_.NthAfter(at, 0, text_.size()) != at;
  }

  void AddHeading(const Block& block) {
    // A heading below another without text between them stays with it.
    const bool joins = open_ && only_headings_ && !path_.empty() &&
                       block.level > path_.back().first &&
                       Fits({range_.begin, block.text_range.end});
    if (!joins) Flush();
    while (!path_.empty() && path_.back().first >= block.level) {
      path_.pop_back();
    }
    path_.emplace_back(block.level, std::string(TruncateUtf8(
                                        block.heading, kMaxHeadingBytes)));
    if (Fits(block.text_range)) {
      Extend(block.text_range);
    } else {
      AddPieces(block.text_range, Cut::kSentences);
    }
    only_headings_ = true;
  }

  void AddBlock(const Block& block) {
    if (Fits(block.text_range)) {
      AddUnit(block.text_range, Cut::kWhole);
    } else {
      FlushUnlessSmall();
      AddPieces(block.text_range, FirstCut(block.kind));
    }
  }

  // What has to be cut begins a chunk of its own, unless it can go on with a
  // small rest or stand below its heading.
  void FlushUnlessSmall() {
    if (open_ && !only_headings_ && CountTokens(range_) * 2 > max_tokens_) {
      Flush();
    }
  }

  // Cuts `range` and adds the pieces; pieces that are still too long are cut
  // more finely (at most three levels deep).
  void AddPieces(ByteRange range, Cut cut) {
    if (cut == Cut::kWords) {
      AddWords(range);
      return;
    }
    while (range.begin < range.end) {
      const ByteRange piece = {range.begin, cut == Cut::kSentences
                                                ? FirstSentenceEnd(text_, range)
                                                : FirstLineEnd(text_, range)};
      if (Fits(piece)) {
        AddUnit(piece, cut);
      } else {
        FlushUnlessSmall();
        AddPieces(piece, FinerThan(cut, block_->kind));
      }
      range.begin = piece.end;
    }
  }

  // Adds a piece that fits into a chunk of its own.
  void AddUnit(ByteRange piece, Cut cut) {
    if (open_ && Fits({range_.begin, piece.end})) {
      Extend(piece);
      return;
    }
    if (open_ && only_headings_ && RoomAt(piece.begin) * 4 > max_tokens_) {
      // The heading must not stay alone: the piece is cut to go with it.
      AddPieces(piece, FinerThan(cut, block_->kind));
      return;
    }
    const bool was_open = open_;
    Flush();
    if (was_open && cut != Cut::kWhole) {
      const uint64_t begin = OverlapBegin(piece.begin);
      if (Fits({begin, piece.end})) piece.begin = begin;
    }
    Extend(piece);
  }

  // Fills chunks with as many words as go in; a word that is longer than a
  // chunk is cut between tokens, or just between characters.
  void AddWords(ByteRange range) {
    while (range.begin < range.end) {
      const uint64_t room = open_
                                ? RoomAt(range.begin)
                                : max_tokens_ - BeginsInsideToken(range.begin);
      if (room == 0 && open_) {
        Flush();
        continue;
      }
      uint64_t bytes = max_bytes_;
      if (open_) bytes -= std::min(bytes, range.begin - range_.begin);
      uint64_t cut = tokens_.NthAfter(range.begin, room, range.end);
      cut = FloorCharBoundary(text_, std::min(cut, range.begin + bytes));
      if (cut < range.end) {
        uint64_t word = cut;
        while (word > range.begin && !IsBlank(text_[word - 1])) --word;
        if (word > range.begin) {
          cut = word;
        } else if (open_) {
          // Not even one word more: a chunk of its own has more room.
          Flush();
          continue;
        }
      }
      if (cut <= range.begin) {
        cut = range.begin + 1;
        while (!IsCharBoundary(text_, cut)) ++cut;
      }
      Extend({range.begin, cut});
      range.begin = cut;
      if (range.begin < range.end) {
        Flush();
        const uint64_t begin = OverlapBegin(range.begin);
        if (begin < range.begin) {
          Extend({begin, range.begin});
          overlap_only_ = true;
        }
      }
    }
  }

  // Tokens that the open chunk can still take from `at` on: what lies between
  // its end and `at` counts too.
  uint64_t RoomAt(uint64_t at) const {
    const uint64_t used = CountTokens({range_.begin, at});
    return used < max_tokens_ ? max_tokens_ - used : 0;
  }

  // Where a chunk that goes on at `at` inside the current block begins.
  uint64_t OverlapBegin(uint64_t at) const {
    const uint64_t first = block_->text_range.begin;
    if (overlap_tokens_ == 0 || at <= first) return at;
    uint64_t begin = tokens_.NthBefore(at, overlap_tokens_, first);
    begin = std::max(begin, at - std::min(at, max_bytes_ / 2));
    while (begin > first && begin < at && !IsBlank(text_[begin - 1])) ++begin;
    while (begin < at && IsBlank(text_[begin])) ++begin;
    return begin;
  }

  void Extend(ByteRange piece) {
    if (!open_) {
      open_ = true;
      only_headings_ = false;
      range_.begin = piece.begin;
      page_ = block_->page;
    }
    range_.end = piece.end;
    only_headings_ = false;
    overlap_only_ = false;
  }

  // Ends the open chunk, without white space at its ends (a first line keeps
  // its indentation).
  void Flush() {
    if (!open_) return;
    open_ = false;
    // Nothing but what the chunk before has already.
    if (overlap_only_) return;
    ByteRange range = range_;
    while (range.end > range.begin && IsBlank(text_[range.end - 1])) {
      --range.end;
    }
    uint64_t begin = range.begin;
    for (uint64_t i = begin; i < range.end && IsBlank(text_[i]); ++i) {
      if (text_[i] == '\n') begin = i + 1;
    }
    range.begin = begin;
    if (range.size() == 0) return;
    ChunkSpan chunk;
    chunk.text_range = range;
    chunk.source_range = MapToSource(document_.source_map, range);
    for (const auto& [level, heading] : path_) {
      if (!heading.empty()) chunk.headings.push_back(heading);
    }
    chunk.page = page_;
    chunk.token_count = static_cast<uint32_t>(CountTokens(range));
    chunks_.push_back(std::move(chunk));
  }

  const ParsedDocument& document_;
  const absl::string_view text_;
  const TokenIndex& tokens_;
  const uint64_t max_tokens_;
  const uint64_t overlap_tokens_;
  const uint64_t max_bytes_;

  std::vector<ChunkSpan> chunks_;
  const Block* block_ = nullptr;                   // being added
  std::vector<std::pair<int, std::string>> path_;  // level and text
  bool open_ = false;           // range_ is a chunk that can grow
  bool only_headings_ = false;  // of the open chunk
  bool overlap_only_ = false;   // the open chunk has no text of its own yet
  ByteRange range_;
  uint32_t page_ = 0;
};

// Headings without those that the title says already.
std::vector<absl::string_view> NewHeadings(absl::string_view title,
                                           const ChunkSpan& chunk) {
  std::vector<absl::string_view> headings;
  for (const std::string& heading : chunk.headings) {
    const absl::string_view last = headings.empty() ? title : headings.back();
    if (heading != title && heading != last) headings.push_back(heading);
  }
  return headings;
}

// How many of the last headings `text` begins with (each with its markup).
size_t HeadingsAtStart(const std::vector<absl::string_view>& headings,
                       absl::string_view text) {
  auto skip_markup = [](absl::string_view* rest) {
    while (!rest->empty() && (IsBlank(rest->front()) || rest->front() == '#' ||
                              rest->front() == '=' || rest->front() == '-')) {
      rest->remove_prefix(1);
    }
  };
  for (size_t first = 0; first < headings.size(); ++first) {
    absl::string_view rest = text;
    size_t i = first;
    for (; i < headings.size(); ++i) {
      skip_markup(&rest);
      if (!absl::StartsWith(rest, headings[i])) break;
      rest.remove_prefix(headings[i].size());
    }
    if (i == headings.size()) return headings.size() - first;
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::vector<ChunkSpan>> ChunkDocument(
    const ParsedDocument& document, const ChunkingConfig& config,
    const Encoder& encoder) {
  if (config.max_tokens == 0 || config.overlap_tokens > config.max_tokens / 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "chunking: max_tokens must be positive and overlap_tokens at most half "
        "of it; they are ",
        config.max_tokens, " and ", config.overlap_tokens));
  }
  absl::StatusOr<TokenIndex> tokens =
      TokenIndex::Create(document.text, encoder);
  if (!tokens.ok()) return tokens.status();
  std::vector<ChunkSpan> chunks;
  if (config.strategy == ChunkingStrategy::kStructure) {
    chunks = Packer(document, config, *tokens).Pack();
  }
  // A document without text is still found by its title.
  if (chunks.empty()) {
    ChunkSpan whole;
    whole.text_range = {0, document.text.size()};
    whole.source_range = MapToSource(document.source_map, whole.text_range);
    whole.token_count = static_cast<uint32_t>(tokens->Count(whole.text_range));
    chunks.push_back(std::move(whole));
  }
  return chunks;
}

std::string EmbeddingText(absl::string_view title, const ChunkSpan& chunk,
                          absl::string_view chunk_text) {
  std::vector<absl::string_view> parts;
  if (!title.empty()) parts.push_back(title);
  std::vector<absl::string_view> headings = NewHeadings(title, chunk);
  headings.resize(headings.size() - HeadingsAtStart(headings, chunk_text));
  parts.insert(parts.end(), headings.begin(), headings.end());
  if (parts.empty()) return std::string(chunk_text);
  return absl::StrCat(absl::StrJoin(parts, " > "), ". ", chunk_text);
}

std::string LexicalTitle(absl::string_view title, const ChunkSpan& chunk) {
  std::vector<absl::string_view> parts;
  if (!title.empty()) parts.push_back(title);
  for (absl::string_view heading : NewHeadings(title, chunk)) {
    parts.push_back(heading);
  }
  return absl::StrJoin(parts, " ");
}

}  // namespace braid::retrieval
