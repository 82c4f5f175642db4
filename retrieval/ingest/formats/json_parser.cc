#include "retrieval/ingest/formats/json_parser.h"

#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/formats/document_builder.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

using Json = nlohmann::json;

// Reads bytes and tells how far it has come.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** reached)
      : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const CountingIterator& other) const {
    return at_ == other.at_;
  }
  bool operator!=(const CountingIterator& other) const {
    return at_ != other.at_;
  }

 private:
  const char* at_;
  const char** reached_;
};

// Receives what the parser finds, in order.
class Lines : public nlohmann::json_sax<Json> {
 public:
  // `base` is where `json` begins in the source. One block for all of it if
  // `whole`, else one per outermost member.
  Lines(absl::string_view json, uint64_t base, bool whole, size_t max_bytes,
        DocumentBuilder* builder)
      : json_(json),
        base_(base),
        whole_(whole),
        max_bytes_(max_bytes),
        builder_(builder),
        reached_(json.data()) {}

  // OK once all of it was read.
  absl::Status Parse(absl::string_view name) {
    CountingIterator begin(json_.data(), &reached_);
    CountingIterator end(json_.data() + json_.size(), &reached_);
    const bool read = Json::sax_parse(begin, end, this);
    if (too_deep_) {
      return absl::ResourceExhaustedError(absl::StrCat(
          name, ": values nest deeper than ", kMaxJsonDepth, " levels"));
    }
    if (too_long_) return OutputLimitError(name, 0);
    if (!read) return absl::InvalidArgumentError(error_);
    EndBlock();
    return absl::OkStatus();
  }
  bool too_long() const { return too_long_; }

  bool null() override { return Skip(); }
  bool boolean(bool value) override { return Value(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override {
    return Value(absl::StrCat(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Value(absl::StrCat(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Value(text);
  }
  bool string(string_t& value) override {
    if (levels_.size() == 1 && !levels_[0].array && key_ == "title") {
      builder_->SetTitle(value);
    }
    return Value(value);
  }
  bool binary(binary_t&) override { return Skip(); }
  bool start_object(std::size_t) override { return Open(false); }
  bool start_array(std::size_t) override { return Open(true); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& key) override {
    key_ = std::move(key);
    return true;
  }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& error) override {
    error_ = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, ...".
    const size_t prefix = error_.find("] ");
    if (prefix != std::string::npos) error_.erase(0, prefix + 2);
    return false;
  }

 private:
  struct Level {
    bool array = false;
    size_t index = 0;       // of the next element
    size_t path_bytes = 0;  // of the path of this object or array
  };

  // Extends the path by the member that begins. Returns what it was.
  size_t Enter() {
    const size_t before = path_.size();
    if (levels_.empty()) return before;
    Level& level = levels_.back();
    if (level.array) {
      absl::StrAppend(&path_, "[", level.index++, "]");
    } else {
      absl::StrAppend(&path_, path_.empty() ? "" : ".", key_);
    }
    return before;
  }

  bool Open(bool array) {
    if (levels_.size() >= kMaxJsonDepth) {
      too_deep_ = true;
      return false;
    }
    Level level;
    level.path_bytes = Enter();
    level.array = array;
    levels_.push_back(level);
    return Fits(0);
  }

  bool Close() {
    path_.resize(levels_.back().path_bytes);
    levels_.pop_back();
    return EndMember();
  }

  bool Skip() {
    path_.resize(Enter());
    return EndMember();
  }

  bool Value(absl::string_view value) {
    const size_t before = Enter();
    if (!Fits(value.size())) return false;
    if (!absl::StripAsciiWhitespace(value).empty()) {
      if (!block_.empty()) block_ += '\n';
      if (!path_.empty()) absl::StrAppend(&block_, path_, ": ");
      absl::StrAppend(&block_, value);
    }
    path_.resize(before);
    return EndMember();
  }

  // Paths repeat: what is small may say much.
  bool Fits(size_t more) {
    too_long_ = block_.size() + path_.size() + more > max_bytes_ ||
                !builder_->status().ok();
    return !too_long_;
  }

  bool EndMember() {
    if (!whole_ && levels_.size() <= 1) EndBlock();
    return builder_->status().ok();
  }

  // Whether it stands between the members that are blocks.
  bool Separates(char c) const {
    return absl::ascii_isspace(c) ||
           (!whole_ && (c == ',' || c == '{' || c == '['));
  }

  void EndBlock() {
    uint64_t end = reached_ - json_.data();
    uint64_t begin = std::exchange(last_end_, end);
    while (begin < end && Separates(json_[begin])) ++begin;
    while (end > begin && absl::ascii_isspace(json_[end - 1])) --end;
    if (block_.empty()) return;
    builder_->Add(BlockKind::kTable, block_,
                  ByteRange{base_ + begin, base_ + end});
    block_.clear();
  }

  const absl::string_view json_;
  const uint64_t base_;
  const bool whole_;
  const size_t max_bytes_;
  DocumentBuilder* const builder_;
  const char* reached_;
  uint64_t last_end_ = 0;  // of the last block, in json_
  std::vector<Level> levels_;
  std::string path_;
  std::string key_;
  std::string block_;
  std::string error_;
  bool too_deep_ = false;
  bool too_long_ = false;
};

size_t SkipBom(absl::string_view source) {
  return absl::StartsWith(source, kUtf8Bom) ? kUtf8Bom.size() : 0;
}

absl::Status AddValue(absl::string_view name, absl::string_view source,
                      ByteRange range, bool whole, DocumentBuilder* builder) {
  Lines lines(source.substr(range.begin, range.size()), range.begin, whole,
              OutputLimit(source.size()), builder);
  absl::Status status = lines.Parse(name);
  if (lines.too_long()) return OutputLimitError(name, source.size());
  if (absl::IsInvalidArgument(status)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": no JSON: ", CleanText(status.message())));
  }
  return status.ok() ? builder->status() : status;
}

}  // namespace

absl::StatusOr<ParsedDocument> ParseJson(absl::string_view name,
                                         absl::string_view source) {
  DocumentBuilder builder(name, source);
  absl::Status status = AddValue(name, source, {SkipBom(source), source.size()},
                                 /*whole=*/false, &builder);
  if (!status.ok()) return status;
  return builder.Finish();
}

absl::StatusOr<ParsedDocument> ParseJsonLines(absl::string_view name,
                                              absl::string_view source) {
  DocumentBuilder builder(name, source);
  size_t at = SkipBom(source);
  for (size_t line = 1; at < source.size(); ++line) {
    const size_t end = std::min(source.find('\n', at), source.size());
    const absl::string_view text = source.substr(at, end - at);
    if (!absl::StripAsciiWhitespace(text).empty()) {
      absl::Status status =
          AddValue(absl::StrCat(name, ":", line), source, {at, end},
                   /*whole=*/true, &builder);
      if (!status.ok()) return status;
    }
    at = end + 1;
  }
  return builder.Finish();
}

}  // namespace braid::retrieval
