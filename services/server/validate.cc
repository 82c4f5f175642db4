#include "services/server/validate.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "retrieval/filter/filter.h"
#include "retrieval/viewer.h"
#include "services/auth/reader_names.h"
#include "services/server/metadata.h"
#include "services/server/page_token.h"
#include "services/text.h"

namespace braid::services {
namespace {

constexpr uint32_t kMinChunkTokens = 16;
constexpr uint32_t kMaxChunkTokens = 2048;
constexpr uint32_t kMaxParentTokens = 8192;
constexpr size_t kMaxMediaTypeBytes = 255;

void CheckDocumentIdField(absl::string_view field, const std::string& id,
                          RequestChecker* check) {
  absl::Status status =
      CheckDocumentId(id, check->limits().max_document_id_bytes);
  if (!status.ok()) check->Add(field, status.message());
}

retrieval::SourceFile ParseSourceFile(v1::SourceFile* source,
                                      RequestChecker* check) {
  const Limits& limits = check->limits();
  retrieval::SourceFile file;
  CheckDocumentIdField("source.document_id", source->document_id(), check);
  file.document_id = source->document_id();
  if (source->content().empty()) {
    check->Add("source.content", "must not be empty");
  }
  file.media_type = check->Label("source.media_type", source->media_type(),
                                 kMaxMediaTypeBytes);
  file.file_name = check->Label("source.file_name", source->file_name(),
                                limits.max_file_name_bytes);
  file.metadata = ToMetadata(source->metadata(), "source.metadata", limits,
                             check->violations());
  file.content = std::move(*source->mutable_content());
  return file;
}

retrieval::InlineDocument ParseInlineDocument(v1::InlineDocument* document,
                                              RequestChecker* check) {
  const Limits& limits = check->limits();
  retrieval::InlineDocument out;
  CheckDocumentIdField("document.document_id", document->document_id(), check);
  out.document_id = document->document_id();
  out.title = document->title();
  if (out.title.size() > limits.max_title_bytes) {
    check->Add("document.title",
               absl::StrCat("at most ", limits.max_title_bytes, " bytes"));
  }
  if (document->text().empty()) {
    check->Add("document.text", "must not be empty");
  }
  out.metadata = ToMetadata(document->metadata(), "document.metadata", limits,
                            check->violations());
  out.text = std::move(*document->mutable_text());
  return out;
}

}  // namespace

void RequestChecker::Add(absl::string_view field,
                         absl::string_view description) {
  violations_.push_back(
      {absl::StrCat(prefix_, field), std::string(description)});
}

std::string RequestChecker::CollectionName(absl::string_view field,
                                           absl::string_view name) {
  absl::StatusOr<std::string> id = ParseCollectionName(name);
  if (id.ok()) return *std::move(id);
  Add(field, id.status().message());
  return "";
}

DocumentName RequestChecker::Document(absl::string_view field,
                                      absl::string_view name) {
  absl::StatusOr<DocumentName> parsed =
      ParseDocumentName(name, limits_.max_document_id_bytes);
  if (parsed.ok()) return *std::move(parsed);
  Add(field, parsed.status().message());
  return {};
}

uint32_t RequestChecker::Count(absl::string_view field, int64_t value,
                               int64_t default_value, int64_t max) {
  if (value < 0 || value > max) {
    Add(field, absl::StrCat("must be between 0 and ", max));
  } else if (value > 0) {
    return static_cast<uint32_t>(value);
  }
  return static_cast<uint32_t>(default_value);
}

double RequestChecker::Number(absl::string_view field, double value, double min,
                              double max) {
  // Written so that NaN fails.
  if (value >= min && value <= max) return value;
  Add(field, absl::StrCat("must be between ", min, " and ", max));
  return min;
}

std::string RequestChecker::Text(absl::string_view field,
                                 const std::string& text, size_t max_bytes) {
  if (absl::StripAsciiWhitespace(text).empty()) {
    Add(field, "must not be empty");
  } else if (text.size() > max_bytes) {
    Add(field, absl::StrCat("at most ", max_bytes, " bytes"));
  } else {
    return text;
  }
  return "";
}

std::string RequestChecker::Label(absl::string_view field,
                                  const std::string& text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    Add(field, absl::StrCat("at most ", max_bytes, " bytes"));
  } else if (HasControlCharacters(text)) {
    Add(field, "must not hold control characters");
  } else {
    return text;
  }
  return "";
}

std::vector<std::string> RequestChecker::Readers(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<std::string>& names) {
  if (static_cast<size_t>(names.size()) > limits_.max_readers) {
    Add(field, absl::StrCat("has more than ", limits_.max_readers, " names"));
    return {};
  }
  for (int i = 0; i < names.size(); ++i) {
    const std::string path = absl::StrCat(field, "[", i, "]");
    if (names[i].size() > limits_.max_reader_bytes) {
      Add(path, absl::StrCat("at most ", limits_.max_reader_bytes, " bytes"));
    } else if (!auth::IsReaderName(names[i])) {
      Add(path,
          "must be `*`, `anonymous`, or a name after `key:`, `jwt:`, "
          "`certificate:` or `group:`");
    }
  }
  return retrieval::Normalized({names.begin(), names.end()});
}

std::string RequestChecker::Filter(absl::string_view field,
                                   const std::string& text) {
  if (text.empty()) return "";
  if (text.size() > limits_.max_filter_bytes) {
    Add(field, absl::StrCat("at most ", limits_.max_filter_bytes, " bytes"));
    return "";
  }
  absl::StatusOr<retrieval::Filter> filter = retrieval::Filter::Parse(text);
  if (!filter.ok()) {
    Add(field, filter.status().message());
    return "";
  }
  return text;
}

std::string RequestChecker::PageAfter(absl::string_view scope,
                                      const std::string& token) {
  if (token.empty()) return "";
  absl::StatusOr<std::string> after = absl::InvalidArgumentError("is too long");
  if (token.size() <= limits_.max_page_token_bytes) {
    after = ParsePageToken(scope, token);
  }
  if (after.ok()) return *std::move(after);
  Add("page_token", after.status().message());
  return "";
}

absl::Status RequestChecker::status() const {
  return violations_.empty() ? absl::OkStatus() : InvalidFields(violations_);
}

std::string DocumentsPageScope(absl::string_view collection,
                               absl::string_view filter,
                               retrieval::Sequence sequence) {
  return absl::StrCat("documents/", sequence, "/", collection, "/", filter);
}

std::string DeleteDocumentsScope(absl::string_view collection,
                                 absl::string_view filter) {
  return absl::StrCat("delete/", collection, "/", filter);
}

absl::StatusOr<retrieval::CollectionConfig> Parse(
    const v1::CreateCollectionRequest& request, const Limits& limits) {
  RequestChecker check(limits);
  retrieval::CollectionConfig config;
  absl::Status id = CheckCollectionId(request.collection_id());
  if (!id.ok()) check.Add("collection_id", id.message());
  config.id = request.collection_id();
  if (!request.language().empty()) {
    const std::string& language = request.language();
    if (language.size() != 2 ||
        !std::all_of(language.begin(), language.end(), absl::ascii_islower)) {
      check.Add("language", "must be two lower-case letters (ISO 639-1)");
    }
    config.language = language;
  }
  const v1::Chunking& chunking = request.chunking();
  switch (chunking.strategy()) {
    case v1::Chunking::STRATEGY_UNSPECIFIED:
    case v1::Chunking::STRATEGY_STRUCTURE:
      break;
    case v1::Chunking::STRATEGY_WHOLE:
      config.chunking.strategy = retrieval::ChunkingStrategy::kWhole;
      break;
    default:
      check.Add("chunking.strategy", "no such strategy");
  }
  if (chunking.max_tokens() != 0) {
    if (chunking.max_tokens() < kMinChunkTokens ||
        chunking.max_tokens() > kMaxChunkTokens) {
      check.Add("chunking.max_tokens",
                absl::StrCat("must be 0, or between ", kMinChunkTokens, " and ",
                             kMaxChunkTokens));
    }
    config.chunking.max_tokens = chunking.max_tokens();
  }
  if (chunking.overlap_tokens() > config.chunking.max_tokens / 2) {
    check.Add("chunking.overlap_tokens", "at most half of max_tokens");
  }
  config.chunking.overlap_tokens = chunking.overlap_tokens();
  if (chunking.parent_tokens() != 0 &&
      (chunking.parent_tokens() < config.chunking.max_tokens ||
       chunking.parent_tokens() > kMaxParentTokens)) {
    check.Add("chunking.parent_tokens",
              absl::StrCat("must be 0, or between max_tokens and ",
                           kMaxParentTokens));
  }
  config.chunking.parent_tokens = chunking.parent_tokens();
  config.document_access = request.document_access();
  if (absl::Status status = check.status(); !status.ok()) return status;
  return config;
}

absl::StatusOr<PageRequest> Parse(const v1::ListCollectionsRequest& request,
                                  const Limits& limits) {
  RequestChecker check(limits);
  PageRequest page;
  page.size = check.Count("page_size", request.page_size(),
                          limits.default_page_size, limits.max_page_size);
  page.after = check.PageAfter(kCollectionsPageScope, request.page_token());
  if (absl::Status status = check.status(); !status.ok()) return status;
  return page;
}

absl::StatusOr<GetDocumentQuery> Parse(const v1::GetDocumentRequest& request,
                                       const Limits& limits) {
  RequestChecker check(limits);
  GetDocumentQuery query;
  query.name = check.Document("name", request.name());
  query.version = request.version();
  query.sequence = request.as_of_sequence();
  if (query.version != 0 && query.sequence != 0) {
    check.Add("as_of_sequence", "must not be given together with version");
  }
  if (request.include_chunks() && (query.version != 0 || query.sequence != 0)) {
    check.Add("include_chunks", "the chunks of the past are not kept");
  }
  if (absl::Status status = check.status(); !status.ok()) return status;
  return query;
}

absl::StatusOr<ListDocumentsQuery> Parse(
    const v1::ListDocumentsRequest& request, const Limits& limits) {
  RequestChecker check(limits);
  ListDocumentsQuery query;
  query.collection = check.CollectionName("parent", request.parent());
  query.filter = check.Filter("filter", request.filter());
  query.page.size = check.Count("page_size", request.page_size(),
                                limits.default_page_size, limits.max_page_size);
  query.sequence = request.as_of_sequence();
  query.page.after = check.PageAfter(
      DocumentsPageScope(query.collection, query.filter, query.sequence),
      request.page_token());
  if (absl::Status status = check.status(); !status.ok()) return status;
  return query;
}

absl::StatusOr<DeleteDocumentsQuery> Parse(
    const v1::DeleteDocumentsRequest& request, const Limits& limits) {
  RequestChecker check(limits);
  DeleteDocumentsQuery query;
  query.collection = check.CollectionName("parent", request.parent());
  // Everything is deleted with its collection, not by leaving a field out.
  if (request.filter().find_first_not_of(" \t\r\n") == std::string::npos) {
    check.Add("filter", "must not be empty");
  } else {
    query.filter = check.Filter("filter", request.filter());
  }
  query.validate_only = request.validate_only();
  query.after =
      check.PageAfter(DeleteDocumentsScope(query.collection, query.filter),
                      request.page_token());
  if (absl::Status status = check.status(); !status.ok()) return status;
  return query;
}

absl::StatusOr<PatchDocumentQuery> Parse(
    const v1::PatchDocumentRequest& request, const Limits& limits) {
  RequestChecker check(limits);
  PatchDocumentQuery query;
  query.name = check.Document("name", request.name());
  query.patch.max_keys = limits.max_metadata_fields;
  google::protobuf::Struct set;
  for (const auto& [key, value] : request.metadata().fields()) {
    if (value.kind_case() == google::protobuf::Value::kNullValue) {
      query.patch.remove.push_back(key);
    } else {
      (*set.mutable_fields())[key] = value;
    }
  }
  if (request.has_readers()) {
    query.patch.readers =
        check.Readers("readers.names", request.readers().names());
  } else if (request.metadata().fields().empty()) {
    check.Add("metadata",
              "must have at least one field, unless `readers` is set");
  }
  if (query.patch.remove.size() > limits.max_metadata_fields) {
    check.Add("metadata", absl::StrCat("has more than ",
                                       limits.max_metadata_fields, " fields"));
  }
  query.patch.set = ToMetadata(set, "metadata", limits, check.violations());
  if (absl::Status status = check.status(); !status.ok()) return status;
  return query;
}

absl::StatusOr<retrieval::IngestItem> ParseInput(v1::IngestRequest* request,
                                                 const Limits& limits) {
  RequestChecker check(limits);
  retrieval::IngestItem item;
  item.request_id = check.Label("request_id", request->request_id(),
                                limits.max_request_id_bytes);
  item.force = request->force();
  item.readers = check.Readers("readers", request->readers());
  switch (request->input_case()) {
    case v1::IngestRequest::kSource:
      item.input = ParseSourceFile(request->mutable_source(), &check);
      break;
    case v1::IngestRequest::kDocument:
      item.input = ParseInlineDocument(request->mutable_document(), &check);
      break;
    case v1::IngestRequest::INPUT_NOT_SET:
      check.Add("input", "`source` or `document` must be set");
  }
  if (absl::Status status = check.status(); !status.ok()) return status;
  return item;
}

absl::StatusOr<std::string> ParseCollection(absl::string_view field,
                                            absl::string_view name,
                                            const Limits& limits) {
  RequestChecker check(limits);
  std::string collection = check.CollectionName(field, name);
  if (absl::Status status = check.status(); !status.ok()) return status;
  return collection;
}

absl::StatusOr<DocumentName> ParseDocument(absl::string_view field,
                                           absl::string_view name,
                                           const Limits& limits) {
  RequestChecker check(limits);
  DocumentName document = check.Document(field, name);
  if (absl::Status status = check.status(); !status.ok()) return status;
  return document;
}

}  // namespace braid::services
