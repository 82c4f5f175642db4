#include "retrieval/ingest/worker/message.h"

#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxErrorBytes = 16 << 10;
constexpr size_t kMaxTitleBytes = 4096;
constexpr size_t kMaxMediaTypeBytes = 255;

class Writer {
 public:
  void Number(uint64_t value) {
    while (value >= 0x80) {
      bytes_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    bytes_.push_back(static_cast<char>(value));
  }
  void Text(absl::string_view text) {
    Number(text.size());
    bytes_.append(text.data(), text.size());
  }
  void Real(double value) {
    char raw[sizeof(value)];
    std::memcpy(raw, &value, sizeof(value));
    bytes_.append(raw, sizeof(raw));
  }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Reads what Writer wrote. Once anything is wrong, ok() is false and all
// further values are empty.
class Reader {
 public:
  explicit Reader(absl::string_view bytes) : bytes_(bytes) {}

  uint64_t Number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !bytes_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_[0]);
      bytes_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    Fail("a number is cut off");
    return 0;
  }
  absl::string_view Text(absl::string_view what, size_t max_bytes) {
    const uint64_t size = Number();
    if (size > bytes_.size() || size > max_bytes) {
      Fail(absl::StrCat(what, " is too long"));
      return {};
    }
    const absl::string_view text = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return text;
  }
  // Text that will be stored.
  std::string CheckedText(absl::string_view what, size_t max_bytes) {
    const absl::string_view text = Text(what, max_bytes);
    if (!CheckText("", text).ok()) {
      Fail(absl::StrCat(what, " is not UTF-8 text"));
      return "";
    }
    return std::string(text);
  }
  double Real() {
    double value = 0;
    if (bytes_.size() < sizeof(value)) {
      Fail("a number is cut off");
      return 0;
    }
    std::memcpy(&value, bytes_.data(), sizeof(value));
    bytes_.remove_prefix(sizeof(value));
    return value;
  }
  // A number of things of which each takes at least a byte.
  uint64_t Count() {
    const uint64_t count = Number();
    if (count <= bytes_.size()) return count;
    Fail("a count is more than there is");
    return 0;
  }

  void Fail(absl::string_view why) {
    if (ok()) why_ = std::string(why);
    bytes_ = {};
  }
  bool ok() const { return why_.empty(); }
  absl::Status Finish() {
    if (ok() && !bytes_.empty()) Fail("there is more than was announced");
    return ok() ? absl::OkStatus() : absl::InternalError(why_);
  }

 private:
  absl::string_view bytes_;
  std::string why_;
};

// Numbers of the variant's alternatives in a message.
enum ValueKind : uint64_t { kBool, kReal, kText, kList };

void WriteMetadata(const Metadata& metadata, Writer* out) {
  out->Number(metadata.size());
  for (const auto& [key, value] : metadata) {
    out->Text(key);
    if (auto* flag = std::get_if<bool>(&value)) {
      out->Number(kBool);
      out->Number(*flag ? 1 : 0);
    } else if (auto* real = std::get_if<double>(&value)) {
      out->Number(kReal);
      out->Real(*real);
    } else if (auto* text = std::get_if<std::string>(&value)) {
      out->Number(kText);
      out->Text(*text);
    } else {
      const auto& list = std::get<std::vector<std::string>>(value);
      out->Number(kList);
      out->Number(list.size());
      for (const std::string& item : list) out->Text(item);
    }
  }
}

constexpr size_t kAnySize = std::numeric_limits<size_t>::max();

Metadata ReadMetadata(Reader* in) {
  Metadata metadata;
  const uint64_t count = in->Count();
  for (uint64_t i = 0; i < count && in->ok(); ++i) {
    std::string key = in->CheckedText("a metadata key", kAnySize);
    MetadataValue value;
    switch (in->Number()) {
      case kBool:
        value = in->Number() != 0;
        break;
      case kReal:
        value = in->Real();
        break;
      case kText:
        value = in->CheckedText("metadata", kAnySize);
        break;
      case kList: {
        std::vector<std::string> list;
        const uint64_t items = in->Count();
        for (uint64_t k = 0; k < items && in->ok(); ++k) {
          list.push_back(in->CheckedText("metadata", kAnySize));
        }
        value = std::move(list);
        break;
      }
      default:
        in->Fail("metadata of an unknown type");
    }
    if (key.empty()) in->Fail("an empty metadata key");
    metadata.insert_or_assign(std::move(key), std::move(value));
  }
  return metadata;
}

// A range of the source; any order, but inside.
ByteRange ReadSourceRange(uint64_t source_bytes, Reader* in) {
  const uint64_t begin = in->Number();
  const uint64_t size = in->Number();
  if (begin > source_bytes || size > source_bytes - begin) {
    in->Fail("a range leaves the source");
    return {};
  }
  return {begin, begin + size};
}

// A range of the text that begins at or after `last`.
ByteRange ReadTextRange(absl::string_view text, uint64_t last, Reader* in) {
  const uint64_t gap = in->Number();
  const uint64_t size = in->Number();
  if (gap > text.size() - last || size > text.size() - last - gap) {
    in->Fail("a range leaves the text");
    return {last, last};
  }
  const ByteRange range = {last + gap, last + gap + size};
  if (!IsCharBoundary(text, range.begin) || !IsCharBoundary(text, range.end)) {
    in->Fail("a range cuts a character");
  }
  return range;
}

void WriteBlocks(const std::vector<Block>& blocks, Writer* out) {
  out->Number(blocks.size());
  uint64_t last = 0;
  for (const Block& block : blocks) {
    out->Number(static_cast<uint64_t>(block.kind));
    out->Number(static_cast<uint64_t>(block.level));
    out->Number(block.text_range.begin - last);
    out->Number(block.text_range.size());
    out->Number(block.source_range.begin);
    out->Number(block.source_range.size());
    out->Number(block.page);
    out->Text(block.heading);
    last = block.text_range.end;
  }
}

std::vector<Block> ReadBlocks(absl::string_view text, uint64_t source_bytes,
                              Reader* in) {
  std::vector<Block> blocks;
  const uint64_t count = in->Count();
  if (count == 0) in->Fail("a document without blocks");
  uint64_t last = 0;
  for (uint64_t i = 0; i < count && in->ok(); ++i) {
    Block block;
    const uint64_t kind = in->Number();
    const uint64_t level = in->Number();
    if (kind > static_cast<uint64_t>(BlockKind::kCode)) {
      in->Fail("a block of an unknown kind");
    }
    block.kind = static_cast<BlockKind>(kind);
    const bool heading = block.kind == BlockKind::kHeading;
    if (heading ? level < 1 || level > 6 : level != 0) {
      in->Fail("a heading's level is wrong");
    }
    block.level = static_cast<int>(level);
    block.text_range = ReadTextRange(text, last, in);
    if (block.text_range.size() == 0) in->Fail("an empty block");
    block.source_range = ReadSourceRange(source_bytes, in);
    const uint64_t page = in->Number();
    if (page > std::numeric_limits<uint32_t>::max()) {
      in->Fail("a page number is too large");
    }
    block.page = static_cast<uint32_t>(page);
    block.heading = in->CheckedText("a heading", text.size());
    last = block.text_range.end;
    blocks.push_back(std::move(block));
  }
  return blocks;
}

void WriteRuns(const std::vector<SourceRun>& runs, Writer* out) {
  out->Number(runs.size());
  uint64_t last = 0;
  for (const SourceRun& run : runs) {
    out->Number(run.text.begin - last);
    out->Number(run.text.size());
    out->Number(run.source.begin);
    out->Number(run.source.size());
    last = run.text.end;
  }
}

std::vector<SourceRun> ReadRuns(absl::string_view text, uint64_t source_bytes,
                                Reader* in) {
  std::vector<SourceRun> runs;
  const uint64_t count = in->Count();
  uint64_t last = 0;
  for (uint64_t i = 0; i < count && in->ok(); ++i) {
    SourceRun run;
    run.text = ReadTextRange(text, last, in);
    run.source = ReadSourceRange(source_bytes, in);
    last = run.text.end;
    runs.push_back(run);
  }
  // No map means that the text is the source.
  if (count == 0 && text.size() > source_bytes) {
    in->Fail("more text than source, and no map");
  }
  return runs;
}

// Errors a parser may end with; anything else is a worker out of order.
bool IsParserError(uint64_t code) {
  switch (static_cast<absl::StatusCode>(code)) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kInternal:
      return true;
    default:
      return false;
  }
}

absl::Status ReadError(uint64_t code, absl::string_view name, Reader* in) {
  std::string message = in->CheckedText("an error", kMaxErrorBytes);
  if (!IsParserError(code)) in->Fail("an unknown error code");
  if (!in->ok()) return absl::InternalError("");
  if (!absl::StartsWith(message, name)) {
    message = absl::StrCat(name, ": ", message);
  }
  return absl::Status(static_cast<absl::StatusCode>(code), message);
}

}  // namespace

std::string MessageHeader(uint64_t size) {
  std::string header;
  for (size_t i = 0; i < kMessageHeaderBytes; ++i) {
    header.push_back(static_cast<char>(size >> (8 * i)));
  }
  return header;
}

uint64_t MessageSize(absl::string_view header) {
  uint64_t size = 0;
  for (size_t i = 0; i < kMessageHeaderBytes; ++i) {
    size |= uint64_t{static_cast<unsigned char>(header[i])} << (8 * i);
  }
  return size;
}

std::string EncodeRequest(const SourceFile& source) {
  Writer out;
  out.Text(source.document_id);
  out.Text(source.file_name);
  out.Text(source.media_type);
  out.Text(source.content);
  return out.Take();
}

absl::StatusOr<SourceFile> DecodeRequest(absl::string_view payload) {
  Reader in(payload);
  SourceFile source;
  source.document_id = std::string(in.Text("the id", kAnySize));
  source.file_name = std::string(in.Text("the name", kAnySize));
  source.media_type = std::string(in.Text("the media type", kAnySize));
  source.content = std::string(in.Text("the content", kAnySize));
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return source;
}

std::string EncodeReply(const absl::StatusOr<ParsedDocument>& parsed) {
  Writer out;
  out.Number(static_cast<uint64_t>(parsed.status().code()));
  if (!parsed.ok()) {
    out.Text(TruncateUtf8(parsed.status().message(), kMaxErrorBytes));
    return out.Take();
  }
  out.Text(parsed->title);
  out.Text(parsed->media_type);
  out.Text(parsed->text);
  WriteMetadata(parsed->metadata, &out);
  WriteBlocks(parsed->blocks, &out);
  WriteRuns(parsed->source_map, &out);
  return out.Take();
}

absl::Status DecodeReply(absl::string_view payload, absl::string_view name,
                         uint64_t source_bytes,
                         absl::StatusOr<ParsedDocument>* parsed) {
  Reader in(payload);
  if (const uint64_t code = in.Number(); code != 0) {
    *parsed = ReadError(code, name, &in);
    return in.Finish();
  }
  ParsedDocument document;
  document.title = in.CheckedText("the title", kMaxTitleBytes);
  document.media_type = in.CheckedText("the media type", kMaxMediaTypeBytes);
  document.text = in.CheckedText("the text", kAnySize);
  document.metadata = ReadMetadata(&in);
  document.blocks = ReadBlocks(document.text, source_bytes, &in);
  document.source_map = ReadRuns(document.text, source_bytes, &in);
  absl::Status status = in.Finish();
  if (status.ok()) *parsed = std::move(document);
  return status;
}

}  // namespace braid::retrieval
