#include "retrieval/ingest/jsonl.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

using nlohmann::json;

// nlohmann parses (and frees) without recursion, but what is done with metadata
// recurses, so lines that nest deeper than any metadata are refused first.
constexpr int kMaxNesting = 32;
constexpr size_t kBufferBytes = 256 << 10;

absl::Status Invalid(absl::string_view message) {
  return absl::InvalidArgumentError(message);
}

bool NestsTooDeep(absl::string_view line) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxNesting) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

absl::Status AddMetadata(const std::string& key, const json& value,
                         Metadata* metadata) {
  if (value.is_null()) return absl::OkStatus();
  if (value.is_boolean()) {
    (*metadata)[key] = value.get<bool>();
  } else if (value.is_number()) {
    const double number = value.get<double>();
    if (!std::isfinite(number)) {
      return Invalid(absl::StrCat("metadata.", key, ": not a finite number"));
    }
    (*metadata)[key] = number;
  } else if (value.is_string()) {
    (*metadata)[key] = value.get<std::string>();
  } else if (value.is_array()) {
    std::vector<std::string> items;
    for (const json& item : value) {
      if (!item.is_string()) {
        return Invalid(
            absl::StrCat("metadata.", key, ": a list may hold strings only"));
      }
      items.push_back(item.get<std::string>());
    }
    (*metadata)[key] = std::move(items);
  } else {
    for (const auto& [name, child] : value.items()) {
      absl::Status status =
          AddMetadata(absl::StrCat(key, ".", name), child, metadata);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<InlineDocument> ParseJsonlDocument(absl::string_view line) {
  const size_t invalid = FindInvalidUtf8(line);
  if (invalid != absl::string_view::npos) {
    return Invalid(
        absl::StrCat("not UTF-8 (invalid byte ", invalid, " of the line)"));
  }
  if (NestsTooDeep(line)) {
    return Invalid(absl::StrCat("JSON nests more than ", kMaxNesting, " deep"));
  }
  json object = json::parse(line.begin(), line.end(), /*callback=*/nullptr,
                            /*allow_exceptions=*/false);
  if (object.is_discarded()) return Invalid("not valid JSON");
  if (!object.is_object()) return Invalid("not a JSON object");

  InlineDocument document;
  auto id = object.find("id");
  if (id == object.end()) id = object.find("_id");
  if (id == object.end()) return Invalid("id: missing (\"id\" or \"_id\")");
  if (id->is_string()) {
    document.document_id = id->get<std::string>();
  } else if (id->is_number_integer()) {
    document.document_id = id->dump();
  } else {
    return Invalid("id: not a string");
  }
  if (document.document_id.empty()) return Invalid("id: is empty");

  if (auto title = object.find("title");
      title != object.end() && !title->is_null()) {
    if (!title->is_string()) return Invalid("title: not a string");
    document.title = title->get<std::string>();
  }
  auto text = object.find("text");
  if (text == object.end()) return Invalid("text: missing");
  if (!text->is_string()) return Invalid("text: not a string");
  document.text = text->get<std::string>();

  if (auto metadata = object.find("metadata");
      metadata != object.end() && !metadata->is_null()) {
    if (!metadata->is_object()) return Invalid("metadata: not an object");
    for (const auto& [key, value] : metadata->items()) {
      absl::Status status = AddMetadata(key, value, &document.metadata);
      if (!status.ok()) return status;
    }
  }
  return document;
}

// Lines of a plain or gzip stream.
class JsonlReader::Input {
 public:
  enum class Line { kLine, kTooLong, kEnd, kBroken };

  Input(std::FILE* file, bool owned) : file_(file), owned_(owned) {
    raw_.resize(kBufferBytes);
  }
  explicit Input(absl::string_view bytes) : bytes_(bytes) {}
  ~Input() {
    if (gzip_) inflateEnd(&stream_);
    if (file_ != nullptr && owned_) std::fclose(file_);
  }

  // Reads the next line into *line, without its end. A line over `limit` is
  // skipped to its end.
  Line Next(size_t limit, std::string* line) {
    line->clear();
    bool too_long = false;
    bool any = false;
    while (true) {
      if (at_ == decoded_.size() && !Fill()) {
        if (!error_.empty()) return Line::kBroken;
        if (!any) return Line::kEnd;
        return too_long ? Line::kTooLong : Line::kLine;
      }
      any = true;
      const absl::string_view rest = decoded_.substr(at_);
      const size_t end = rest.find('\n');
      const absl::string_view part = rest.substr(0, end);
      if (line->size() + part.size() > limit) {
        too_long = true;
        line->clear();
      }
      if (!too_long) line->append(part.data(), part.size());
      at_ += part.size() + (end != absl::string_view::npos);
      if (end != absl::string_view::npos) {
        return too_long ? Line::kTooLong : Line::kLine;
      }
    }
  }

  const std::string& error() const { return error_; }

 private:
  // Bytes as they are stored; empty at the end or after an error.
  absl::string_view ReadRaw() {
    if (file_ == nullptr) return std::exchange(bytes_, absl::string_view());
    const size_t count = std::fread(raw_.data(), 1, raw_.size(), file_);
    if (count == 0 && std::ferror(file_)) {
      error_ = absl::StrCat("cannot be read: ", std::strerror(errno));
    }
    return absl::string_view(raw_.data(), count);
  }

  // Decodes more bytes. False at the end or after an error.
  bool Fill() {
    at_ = 0;
    decoded_ = absl::string_view();
    if (!error_.empty()) return false;
    if (!started_) {
      started_ = true;
      pending_ = ReadRaw();
      if (absl::StartsWith(pending_, "\x1F\x8B")) {
        std::memset(&stream_, 0, sizeof stream_);
        constexpr int kGzipOnly = 16 + MAX_WBITS;
        gzip_ = inflateInit2(&stream_, kGzipOnly) == Z_OK;
        if (!gzip_) error_ = "gzip cannot be started";
        inflated_.resize(kBufferBytes);
      } else {
        decoded_ = std::exchange(pending_, absl::string_view());
        if (absl::StartsWith(decoded_, kUtf8Bom)) at_ = kUtf8Bom.size();
        return !decoded_.empty();
      }
    }
    if (!gzip_) {
      decoded_ = ReadRaw();
      return !decoded_.empty();
    }
    return Inflate();
  }

  bool Inflate() {
    while (true) {
      if (pending_.empty()) pending_ = ReadRaw();
      if (pending_.empty()) {
        if (error_.empty() && !member_ended_) error_ = "gzip ends too early";
        return false;
      }
      if (member_ended_) {
        // A file may hold several gzip members.
        if (inflateReset(&stream_) != Z_OK) {
          error_ = "gzip cannot go on";
          return false;
        }
        member_ended_ = false;
      }
      const size_t take = std::min<size_t>(pending_.size(), 1u << 30);
      stream_.next_in =
          reinterpret_cast<Bytef*>(const_cast<char*>(pending_.data()));
      stream_.avail_in = static_cast<uInt>(take);
      stream_.next_out = reinterpret_cast<Bytef*>(inflated_.data());
      stream_.avail_out = static_cast<uInt>(inflated_.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      pending_.remove_prefix(take - stream_.avail_in);
      member_ended_ = code == Z_STREAM_END;
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        error_ =
            absl::StrCat("gzip is damaged: ",
                         stream_.msg == nullptr ? "not valid" : stream_.msg);
        return false;
      }
      const size_t produced = inflated_.size() - stream_.avail_out;
      if (produced > 0) {
        decoded_ = absl::string_view(inflated_.data(), produced);
        return true;
      }
    }
  }

  std::FILE* file_ = nullptr;
  bool owned_ = false;
  absl::string_view bytes_;
  std::vector<char> raw_;
  std::vector<char> inflated_;
  absl::string_view pending_;  // gzip bytes that are not inflated yet
  absl::string_view decoded_;
  size_t at_ = 0;  // in decoded_
  bool started_ = false;
  bool gzip_ = false;
  bool member_ended_ = false;
  z_stream stream_;
  std::string error_;
};

JsonlReader::JsonlReader(std::unique_ptr<Input> input, std::string name,
                         const JsonlLimits& limits)
    : input_(std::move(input)), name_(std::move(name)), limits_(limits) {}
JsonlReader::~JsonlReader() = default;

absl::StatusOr<std::unique_ptr<JsonlReader>> JsonlReader::Open(
    const std::string& path, const JsonlLimits& limits) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot be opened"));
  }
  return std::unique_ptr<JsonlReader>(
      new JsonlReader(std::make_unique<Input>(file, true), path, limits));
}

std::unique_ptr<JsonlReader> JsonlReader::FromFile(std::FILE* file,
                                                   const std::string& name,
                                                   const JsonlLimits& limits) {
  return std::unique_ptr<JsonlReader>(
      new JsonlReader(std::make_unique<Input>(file, false), name, limits));
}

std::unique_ptr<JsonlReader> JsonlReader::FromBytes(absl::string_view bytes,
                                                    const std::string& name,
                                                    const JsonlLimits& limits) {
  return std::unique_ptr<JsonlReader>(
      new JsonlReader(std::make_unique<Input>(bytes), name, limits));
}

std::optional<absl::StatusOr<InlineDocument>> JsonlReader::Next() {
  std::string line;
  while (!done_) {
    const Input::Line result = input_->Next(limits_.max_line_bytes, &line);
    if (result == Input::Line::kEnd) break;
    ++line_number_;
    const std::string where = absl::StrCat(name_, ":", line_number_, ": ");
    if (result == Input::Line::kBroken) {
      done_ = true;
      return absl::DataLossError(absl::StrCat(where, input_->error()));
    }
    if (result == Input::Line::kTooLong) {
      return absl::ResourceExhaustedError(absl::StrCat(
          where, "the line is longer than ", limits_.max_line_bytes, " bytes"));
    }
    const absl::string_view content = absl::StripAsciiWhitespace(line);
    if (content.empty()) continue;
    absl::StatusOr<InlineDocument> document = ParseJsonlDocument(content);
    if (document.ok()) return document;
    return absl::Status(document.status().code(),
                        absl::StrCat(where, document.status().message()));
  }
  done_ = true;
  return std::nullopt;
}

}  // namespace braid::retrieval
