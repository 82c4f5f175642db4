#include "retrieval/ingest/prepare.h"

#include <openssl/evp.h>

#include <algorithm>
#include <new>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/chunker.h"
#include "retrieval/ingest/parser.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

size_t BytesOf(const Metadata& metadata) {
  size_t bytes = 0;
  for (const auto& [key, value] : metadata) {
    bytes += key.size() + sizeof(double);
    if (auto* text = std::get_if<std::string>(&value)) bytes += text->size();
    if (auto* list = std::get_if<std::vector<std::string>>(&value)) {
      for (const std::string& item : *list) bytes += item.size() + 8;
    }
  }
  return bytes;
}

absl::Status TooLarge(absl::string_view id, absl::string_view what,
                      size_t actual, size_t limit) {
  return absl::ResourceExhaustedError(absl::StrCat(
      id, ": ", what, " ", actual, " is over the limit of ", limit));
}

absl::Status CheckId(absl::string_view id, size_t max_bytes) {
  if (id.empty()) return absl::InvalidArgumentError("document id: is empty");
  if (id.size() > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("document id \"", absl::CHexEscape(TruncateUtf8(id, 64)),
                     "...\": longer than ", max_bytes, " bytes"));
  }
  const bool control = std::any_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
  if (control || FindInvalidUtf8(id) != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("document id \"", absl::CHexEscape(id),
                     "\": not UTF-8 without control characters"));
  }
  return absl::OkStatus();
}

absl::Status CheckMetadata(absl::string_view id, const Metadata& metadata,
                           size_t max_bytes) {
  if (const size_t bytes = BytesOf(metadata); bytes > max_bytes) {
    return TooLarge(id, "metadata: size", bytes, max_bytes);
  }
  auto invalid = [](absl::string_view text) {
    return FindInvalidUtf8(text) != absl::string_view::npos;
  };
  for (const auto& [key, value] : metadata) {
    bool bad = key.empty() || invalid(key);
    if (auto* text = std::get_if<std::string>(&value)) bad |= invalid(*text);
    if (auto* list = std::get_if<std::vector<std::string>>(&value)) {
      bad |= std::any_of(list->begin(), list->end(), invalid);
    }
    if (bad) {
      return absl::InvalidArgumentError(
          absl::StrCat(id, ": metadata \"", absl::CHexEscape(key),
                       "\": empty key or not UTF-8"));
    }
  }
  return absl::OkStatus();
}

WriteResult Unchanged(const DocumentInfo& stored) {
  WriteResult result;
  result.outcome = WriteOutcome::kUnchanged;
  result.version = stored.version;
  result.sequence = stored.sequence;
  result.chunk_count = stored.chunk_count;
  return result;
}

// Tells whether a file is given again as it was: of its bytes, its name (the
// title may come from it), its media type and the metadata given with it. What
// the file says of itself, or was patched since, is not part of it.
std::string SourceFingerprint(const SourceFile& source,
                              absl::string_view content_hash) {
  // Every part is preceded by its length: no two inputs read alike.
  std::string parts;
  const auto add = [&parts](absl::string_view part) {
    absl::StrAppend(&parts, part.size(), ":", part);
  };
  add(content_hash);
  add(source.file_name);
  add(source.media_type);
  for (const auto& [key, value] : source.metadata) {
    add(key);
    if (const auto* flag = std::get_if<bool>(&value)) {
      add(*flag ? "true" : "false");
    } else if (const auto* number = std::get_if<double>(&value)) {
      add(absl::string_view(reinterpret_cast<const char*>(number),
                            sizeof(*number)));
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      add(*text);
    } else {
      for (const auto& item : std::get<std::vector<std::string>>(value)) {
        add(item);
      }
    }
    absl::StrAppend(&parts, ";", value.index());
  }
  return Sha256Hex(parts);
}

// One item on its way; fields are filled from top to bottom.
class Preparation {
 public:
  Preparation(const Store& store, const Encoder& encoder,
              const CollectionConfig& collection, const IngestLimits& limits,
              SourceParser& parser)
      : store_(store),
        encoder_(encoder),
        collection_(collection),
        limits_(limits),
        parser_(parser) {}

  Prepared Run(IngestItem item) {
    if (!item.readers.empty() && !collection_.document_access) {
      out_.stage = "parse";
      out_.error = absl::InvalidArgumentError(absl::StrCat(
          DocumentIdOf(item), ": readers: collection \"", collection_.id,
          "\" was made without document access, they would protect nothing"));
      return std::move(out_);
    }
    out_.write.readers = std::move(item.readers);
    out_.stage = "store";
    out_.error = Lookup(item);
    if (!out_.error.ok() || out_.result) return std::move(out_);
    out_.stage = "parse";
    if (auto* source = std::get_if<SourceFile>(&item.input)) {
      out_.error = Parse(std::move(*source), item.force);
    } else {
      out_.error =
          Take(std::move(std::get<InlineDocument>(item.input)), item.force);
    }
    if (!out_.error.ok() || out_.result) return std::move(out_);
    out_.stage = "chunk";
    out_.error = Cut();
    out_.write.request_id = std::move(item.request_id);
    return std::move(out_);
  }

 private:
  // Has this been done? Else what is stored under the id.
  absl::Status Lookup(const IngestItem& item) {
    const std::string& id = DocumentIdOf(item);
    if (absl::Status status = CheckId(id, limits_.max_document_id_bytes);
        !status.ok()) {
      out_.stage = "parse";
      return status;
    }
    if (!item.request_id.empty()) {
      auto earlier = store_.FindRequest(collection_.id, item.request_id);
      if (!earlier.ok()) return earlier.status();
      if (earlier->has_value()) {
        out_.result = **earlier;
        return absl::OkStatus();
      }
    }
    auto stored = store_.snapshot()->GetDocument(collection_.id, id);
    if (stored.ok()) {
      stored_ = *std::move(stored);
    } else if (!absl::IsNotFound(stored.status())) {
      return stored.status();
    }
    return absl::OkStatus();
  }

  absl::Status Parse(SourceFile source, bool force) {
    const std::string& id = source.document_id;
    if (source.content.size() > limits_.max_source_bytes) {
      return TooLarge(id, "size in bytes", source.content.size(),
                      limits_.max_source_bytes);
    }
    const std::string hash = Sha256Hex(source.content);
    out_.write.source_fingerprint = SourceFingerprint(source, hash);
    // The readers given are those in force afterwards: unlike other patches,
    // one of theirs does not outlive a write that says otherwise.
    if (!force && stored_ && stored_->readers == out_.write.readers &&
        stored_->source_fingerprint == out_.write.source_fingerprint) {
      out_.result = Unchanged(*stored_);
      return absl::OkStatus();
    }
    absl::StatusOr<ParsedDocument> parsed = parser_.Parse(source);
    if (!parsed.ok()) return parsed.status();
    document_ = *std::move(parsed);
    return Checked(std::move(source.document_id), hash, force);
  }

  absl::Status Take(InlineDocument document, bool force) {
    const std::string& id = document.document_id;
    if (document.text.size() > limits_.max_text_bytes) {
      return TooLarge(id, "text size in bytes", document.text.size(),
                      limits_.max_text_bytes);
    }
    for (absl::string_view text : {absl::string_view(document.title),
                                   absl::string_view(document.text)}) {
      if (absl::Status status = CheckText(id, text); !status.ok()) {
        return status;
      }
    }
    document_.title = std::move(document.title);
    document_.text = std::move(document.text);
    document_.metadata = std::move(document.metadata);
    document_.media_type = "text/plain";
    document_.blocks = PlainTextBlocks(document_.text);
    if (document_.blocks.empty() &&
        absl::StripAsciiWhitespace(document_.title).empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(id, ": neither title nor text"));
    }
    const std::string hash = Sha256Hex(document_.text);
    return Checked(std::move(document.document_id), hash, force);
  }

  // Limits of what was parsed; then whether it is what is stored.
  absl::Status Checked(std::string id, const std::string& hash, bool force) {
    if (document_.text.size() > limits_.max_text_bytes) {
      return TooLarge(id, "text size in bytes", document_.text.size(),
                      limits_.max_text_bytes);
    }
    if (absl::Status status =
            CheckMetadata(id, document_.metadata, limits_.max_metadata_bytes);
        !status.ok()) {
      return status;
    }
    if (!force && stored_ && stored_->content_hash == hash &&
        stored_->title == document_.title &&
        stored_->media_type == document_.media_type &&
        stored_->metadata == document_.metadata &&
        stored_->readers == out_.write.readers) {
      out_.result = Unchanged(*stored_);
      return absl::OkStatus();
    }
    out_.write.id = std::move(id);
    out_.write.content_hash = hash;
    return absl::OkStatus();
  }

  absl::Status Cut() {
    const std::string& id = out_.write.id;
    absl::StatusOr<std::vector<ChunkSpan>> chunks =
        ChunkDocument(document_, collection_.chunking, encoder_);
    if (!chunks.ok()) {
      return absl::Status(chunks.status().code(),
                          absl::StrCat(id, ": ", chunks.status().message()));
    }
    if (chunks->size() > limits_.max_chunks_per_document) {
      return TooLarge(id, "number of chunks", chunks->size(),
                      limits_.max_chunks_per_document);
    }
    out_.write.title = std::move(document_.title);
    out_.write.text = std::move(document_.text);
    out_.write.media_type = std::move(document_.media_type);
    out_.write.metadata = std::move(document_.metadata);
    out_.write.chunks = *std::move(chunks);
    return absl::OkStatus();
  }

  const Store& store_;
  const Encoder& encoder_;
  const CollectionConfig& collection_;
  const IngestLimits& limits_;
  SourceParser& parser_;
  std::optional<DocumentInfo> stored_;
  ParsedDocument document_;
  Prepared out_;
};

}  // namespace

const std::string& DocumentIdOf(const IngestItem& item) {
  if (auto* source = std::get_if<SourceFile>(&item.input)) {
    return source->document_id;
  }
  return std::get<InlineDocument>(item.input).document_id;
}

size_t BytesOf(const IngestItem& item) {
  if (auto* source = std::get_if<SourceFile>(&item.input)) {
    return source->content.size() + BytesOf(source->metadata);
  }
  const auto& document = std::get<InlineDocument>(item.input);
  return document.text.size() + document.title.size() +
         BytesOf(document.metadata);
}

Prepared Prepare(IngestItem item, const Store& store, const Encoder& encoder,
                 const CollectionConfig& collection, const IngestLimits& limits,
                 SourceParser& parser) {
  std::string id = DocumentIdOf(item);
  try {
    return Preparation(store, encoder, collection, limits, parser)
        .Run(std::move(item));
  } catch (const std::bad_alloc&) {
    Prepared failed;
    failed.stage = "parse";
    failed.error = absl::ResourceExhaustedError(
        absl::StrCat(id, ": not enough memory to read it"));
    return failed;
  }
}

std::string Sha256Hex(absl::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(),
             nullptr);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<char*>(digest), length));
}

}  // namespace braid::retrieval
