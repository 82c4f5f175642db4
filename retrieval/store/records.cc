#include "retrieval/store/records.h"

#include <utility>
#include <variant>

namespace braid::retrieval {
namespace {

using braid::store::MetadataValueRecord;

MetadataValueRecord ToRecord(const MetadataValue& value) {
  MetadataValueRecord record;
  if (const bool* boolean = std::get_if<bool>(&value)) {
    record.set_boolean(*boolean);
  } else if (const double* number = std::get_if<double>(&value)) {
    record.set_number(*number);
  } else if (const std::string* text = std::get_if<std::string>(&value)) {
    record.set_text(*text);
  } else {
    // Set even when empty: an empty list is not an absent value.
    braid::store::StringList* list = record.mutable_list();
    for (const std::string& item : std::get<std::vector<std::string>>(value)) {
      list->add_values(item);
    }
  }
  return record;
}

MetadataValue FromRecord(const MetadataValueRecord& record) {
  switch (record.kind_case()) {
    case MetadataValueRecord::kBoolean:
      return record.boolean();
    case MetadataValueRecord::kNumber:
      return record.number();
    case MetadataValueRecord::kText:
      return record.text();
    default:
      return std::vector<std::string>(record.list().values().begin(),
                                      record.list().values().end());
  }
}

}  // namespace

braid::store::CollectionRecord ToRecord(const CollectionConfig& config,
                                        uint32_t number) {
  braid::store::CollectionRecord record;
  record.set_number(number);
  record.set_id(config.id);
  record.set_language(config.language);
  record.set_chunking_strategy(static_cast<uint32_t>(config.chunking.strategy));
  record.set_max_tokens(config.chunking.max_tokens);
  record.set_overlap_tokens(config.chunking.overlap_tokens);
  record.set_parent_tokens(config.chunking.parent_tokens);
  record.set_encoder(config.encoder);
  record.set_dimension(config.dimension);
  record.set_create_time_nanos(absl::ToUnixNanos(config.create_time));
  record.set_document_access(config.document_access);
  return record;
}

CollectionConfig FromRecord(const braid::store::CollectionRecord& record) {
  CollectionConfig config;
  config.id = record.id();
  config.language = record.language();
  config.chunking.strategy =
      static_cast<ChunkingStrategy>(record.chunking_strategy());
  config.chunking.max_tokens = record.max_tokens();
  config.chunking.overlap_tokens = record.overlap_tokens();
  config.chunking.parent_tokens = record.parent_tokens();
  config.encoder = record.encoder();
  config.dimension = record.dimension();
  config.create_time = absl::FromUnixNanos(record.create_time_nanos());
  config.document_access = record.document_access();
  return config;
}

braid::store::DocumentRecord ToRecord(const DocumentInfo& info) {
  braid::store::DocumentRecord record;
  record.set_version(info.version);
  record.set_title(info.title);
  record.set_media_type(info.media_type);
  record.set_content_hash(info.content_hash);
  record.set_source_fingerprint(info.source_fingerprint);
  for (const auto& [key, value] : info.metadata) {
    braid::store::MetadataEntry* entry = record.add_metadata();
    entry->set_key(key);
    *entry->mutable_value() = ToRecord(value);
  }
  record.set_sequence(info.sequence);
  record.set_state_sequence(info.state_sequence);
  record.set_first_chunk(info.first_chunk);
  record.set_chunk_count(info.chunk_count);
  record.set_text_bytes(info.text_bytes);
  record.set_create_time_nanos(absl::ToUnixNanos(info.create_time));
  record.set_update_time_nanos(absl::ToUnixNanos(info.update_time));
  for (const std::string& reader : info.readers) record.add_readers(reader);
  return record;
}

DocumentInfo FromRecord(absl::string_view id,
                        const braid::store::DocumentRecord& record) {
  DocumentInfo info;
  info.id = std::string(id);
  info.version = record.version();
  info.title = record.title();
  info.media_type = record.media_type();
  info.content_hash = record.content_hash();
  info.source_fingerprint = record.source_fingerprint();
  for (const braid::store::MetadataEntry& entry : record.metadata()) {
    info.metadata.emplace(entry.key(), FromRecord(entry.value()));
  }
  info.sequence = record.sequence();
  info.state_sequence = record.state_sequence();
  info.first_chunk = record.first_chunk();
  info.chunk_count = record.chunk_count();
  info.text_bytes = record.text_bytes();
  info.create_time = absl::FromUnixNanos(record.create_time_nanos());
  info.update_time = absl::FromUnixNanos(record.update_time_nanos());
  info.readers.assign(record.readers().begin(), record.readers().end());
  return info;
}

braid::store::ChunkRecord ToRecord(absl::string_view document_id,
                                   uint64_t version, uint32_t ordinal,
                                   const ChunkSpan& span) {
  braid::store::ChunkRecord record;
  record.set_document_id(std::string(document_id));
  record.set_version(version);
  record.set_ordinal(ordinal);
  record.set_text_begin(span.text_range.begin);
  record.set_text_end(span.text_range.end);
  record.set_source_begin(span.source_range.begin);
  record.set_source_end(span.source_range.end);
  for (const std::string& heading : span.headings) {
    record.add_headings(heading);
  }
  record.set_page(span.page);
  record.set_token_count(span.token_count);
  return record;
}

Chunk FromRecord(ChunkId id, const braid::store::ChunkRecord& record) {
  Chunk chunk;
  chunk.id = id;
  chunk.document_id = record.document_id();
  chunk.version = record.version();
  chunk.ordinal = record.ordinal();
  chunk.span.text_range = {record.text_begin(), record.text_end()};
  chunk.span.source_range = {record.source_begin(), record.source_end()};
  chunk.span.headings.assign(record.headings().begin(),
                             record.headings().end());
  chunk.span.page = record.page();
  chunk.span.token_count = record.token_count();
  return chunk;
}

braid::store::LogRecord ToRecord(const LogEntry& entry) {
  braid::store::LogRecord record;
  record.set_is_delete(entry.kind == LogEntry::Kind::kDelete);
  record.set_document_id(entry.document_id);
  record.set_version(entry.version);
  record.set_first_chunk(entry.first_chunk);
  record.set_chunk_count(entry.chunk_count);
  record.set_removed_first_chunk(entry.removed_first_chunk);
  record.set_removed_chunk_count(entry.removed_chunk_count);
  record.set_is_patch(entry.kind == LogEntry::Kind::kPatch);
  return record;
}

LogEntry FromRecord(Sequence sequence, const braid::store::LogRecord& record) {
  LogEntry entry;
  entry.sequence = sequence;
  entry.kind = record.is_delete()  ? LogEntry::Kind::kDelete
               : record.is_patch() ? LogEntry::Kind::kPatch
                                   : LogEntry::Kind::kPut;
  entry.document_id = record.document_id();
  entry.version = record.version();
  entry.first_chunk = record.first_chunk();
  entry.chunk_count = record.chunk_count();
  entry.removed_first_chunk = record.removed_first_chunk();
  entry.removed_chunk_count = record.removed_chunk_count();
  return entry;
}

braid::store::RequestRecord ToRecord(const WriteResult& result) {
  braid::store::RequestRecord record;
  record.set_outcome(static_cast<uint32_t>(result.outcome));
  record.set_version(result.version);
  record.set_sequence(result.sequence);
  record.set_chunk_count(result.chunk_count);
  return record;
}

WriteResult FromRecord(const braid::store::RequestRecord& record) {
  WriteResult result;
  result.outcome = static_cast<WriteOutcome>(record.outcome());
  result.version = record.version();
  result.sequence = record.sequence();
  result.chunk_count = record.chunk_count();
  return result;
}

}  // namespace braid::retrieval
