#include "services/server/convert.h"

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "services/server/metadata.h"
#include "services/server/resource_names.h"

namespace braid::services {
namespace {

void ToProto(absl::Duration duration, google::protobuf::Duration* proto) {
  absl::Duration rest;
  proto->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  proto->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

void ToProto(const retrieval::ByteRange& range, v1::ByteRange* proto) {
  proto->set_begin(range.begin);
  proto->set_end(range.end);
}

}  // namespace

void ToProto(absl::Time time, google::protobuf::Timestamp* proto) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  proto->set_seconds(seconds);
  proto->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

void ToProto(const retrieval::CollectionConfig& config,
             const retrieval::CollectionCounters& counters,
             const retrieval::IndexState& indexes,
             const retrieval::Viewer& viewer, v1::Collection* proto) {
  proto->set_name(FormatCollectionName(config.id));
  proto->set_language(config.language);
  proto->mutable_chunking()->set_strategy(
      config.chunking.strategy == retrieval::ChunkingStrategy::kWhole
          ? v1::Chunking::STRATEGY_WHOLE
          : v1::Chunking::STRATEGY_STRUCTURE);
  proto->mutable_chunking()->set_max_tokens(config.chunking.max_tokens);
  proto->mutable_chunking()->set_overlap_tokens(config.chunking.overlap_tokens);
  proto->mutable_chunking()->set_parent_tokens(config.chunking.parent_tokens);
  proto->set_encoder(config.encoder);
  proto->set_dimension(config.dimension);
  if (viewer.sees_all() || !config.document_access) {
    proto->set_document_count(counters.documents);
    proto->set_chunk_count(counters.chunks);
    if (!indexes.error.ok()) proto->set_index_error(indexes.error.ToString());
  }
  proto->set_last_sequence(counters.last_sequence);
  proto->set_visible_sequence(indexes.visible_sequence);
  proto->set_oldest_sequence(counters.oldest_sequence);
  proto->set_document_access(config.document_access);
  ToProto(config.create_time, proto->mutable_create_time());
}

void ToProto(absl::string_view collection,
             const retrieval::DocumentInfo& document,
             const retrieval::Viewer& viewer, v1::Document* proto) {
  proto->set_name(FormatDocumentName(collection, document.id));
  proto->set_document_id(document.id);
  proto->set_version(document.version);
  proto->set_title(document.title);
  ToProto(document.metadata, proto->mutable_metadata());
  proto->set_media_type(document.media_type);
  proto->set_content_hash(document.content_hash);
  proto->set_sequence(document.sequence);
  proto->set_chunk_count(document.chunk_count);
  ToProto(document.create_time, proto->mutable_create_time());
  ToProto(document.update_time, proto->mutable_update_time());
  if (viewer.sees_all()) {
    proto->mutable_readers()->Assign(document.readers.begin(),
                                     document.readers.end());
  }
}

void ToProto(absl::string_view collection, const retrieval::Chunk& chunk,
             v1::Chunk* proto) {
  proto->set_chunk_id(chunk.id);
  proto->set_document(FormatDocumentName(collection, chunk.document_id));
  proto->set_version(chunk.version);
  proto->set_ordinal(chunk.ordinal);
  ToProto(chunk.span.text_range, proto->mutable_text_range());
  ToProto(chunk.span.source_range, proto->mutable_source_range());
  for (const std::string& heading : chunk.span.headings) {
    proto->add_headings(heading);
  }
  proto->set_page(chunk.span.page);
  proto->set_token_count(chunk.span.token_count);
}

void ToProto(absl::string_view collection, const FoundPassage& found,
             uint32_t rank, bool explain, v1::Passage* proto) {
  ToProto(collection, found.passage.chunk, proto->mutable_chunk());
  proto->set_title(found.passage.title);
  proto->set_text(found.passage.text);
  ToProto(found.passage.metadata, proto->mutable_metadata());
  proto->set_rank(rank);
  proto->set_score(found.score);
  constexpr v1::Leg kLegs[] = {v1::LEG_BM25, v1::LEG_DENSE, v1::LEG_NAMED};
  for (size_t i = 0; i < found.fused.legs.size() && i < std::size(kLegs); ++i) {
    const fusion::LegContribution& leg = found.fused.legs[i];
    if (!leg.scored) continue;
    v1::LegScore* score = proto->add_leg_scores();
    score->set_leg(kLegs[i]);
    score->set_rank(leg.rank);
    score->set_score(leg.score);
    score->set_contribution(leg.term);
  }
  if (!explain) return;
  v1::Explanation* explanation = proto->mutable_explanation();
  explanation->set_fused_rank(found.fused_rank);
  explanation->set_fused_score(found.fused.score);
  if (found.rerank_logit.has_value()) {
    explanation->set_rerank_logit(*found.rerank_logit);
  }
  for (const retrieval::ChunkId id : found.merged) {
    explanation->add_merged_chunk_ids(id);
  }
}

void ToProto(const StageTime& stage, v1::StageTiming* proto) {
  proto->set_stage(stage.stage);
  ToProto(stage.start, proto->mutable_start());
  ToProto(stage.elapsed, proto->mutable_elapsed());
}

void ToProto(absl::string_view collection, const ContextPassage& passage,
             v1::ContextPassage* proto) {
  proto->set_document(FormatDocumentName(collection, passage.document_id));
  proto->set_version(passage.version);
  ToProto(passage.text_range, proto->mutable_text_range());
  proto->set_text(passage.text);
  proto->set_title(passage.title);
  proto->set_score(passage.score);
  for (const retrieval::Chunk& chunk : passage.chunks) {
    ToProto(collection, chunk, proto->add_chunks());
  }
}

void ToProto(absl::string_view collection, const VerifiedCitation& citation,
             v1::Citation* proto) {
  proto->set_number(citation.number);
  proto->mutable_answer_range()->set_begin(citation.answer_begin);
  proto->mutable_answer_range()->set_end(citation.answer_end);
  proto->set_document(FormatDocumentName(collection, citation.document_id));
  proto->set_version(citation.version);
  ToProto(citation.text_range, proto->mutable_text_range());
  proto->set_quote(citation.quote);
  proto->set_title(citation.title);
  proto->set_chunk_id(citation.chunk);
}

v1::FinishReason ToProto(generation::FinishReason reason) {
  switch (reason) {
    case generation::FinishReason::kStop:
      return v1::FINISH_REASON_STOP;
    case generation::FinishReason::kLength:
      return v1::FINISH_REASON_LENGTH;
    case generation::FinishReason::kAbstained:
      return v1::FINISH_REASON_ABSTAINED;
    case generation::FinishReason::kCancelled:
      return v1::FINISH_REASON_CANCELLED;
    case generation::FinishReason::kDeadline:
      return v1::FINISH_REASON_DEADLINE;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

void ToProto(const retrieval::DataReport& report, v1::VerifyResponse* proto) {
  proto->set_whole(report.whole());
  v1::StoreCheck* const store = proto->mutable_store();
  store->set_files(report.store.files);
  store->set_documents(report.store.documents);
  store->set_chunks(report.store.chunks);
  store->set_damage_count(report.store.damage_count);
  for (const retrieval::StoreReport::Damage& damage : report.store.damage) {
    v1::Damage* const entry = store->add_damage();
    entry->set_collection(damage.collection);
    entry->set_document(damage.document);
    entry->set_description(damage.what);
  }
  if (!report.store_opened.ok()) {
    store->set_damage_count(store->damage_count() + 1);
    store->add_damage()->set_description(
        std::string(report.store_opened.message()));
  }
  for (const retrieval::IndexReport& index : report.collections) {
    v1::IndexCheck* const entry = proto->add_collections();
    entry->set_collection(index.collection);
    entry->set_store_chunks(index.store_chunks);
    entry->set_bm25_chunks(index.bm25_chunks);
    entry->set_dense_chunks(index.dense_chunks);
    entry->set_sequence(index.sequence);
    entry->mutable_damage()->Assign(index.damage.begin(), index.damage.end());
    entry->mutable_repaired()->Assign(index.repaired.begin(),
                                      index.repaired.end());
  }
}

v1::IngestResponse::Outcome ToProto(retrieval::WriteOutcome outcome) {
  switch (outcome) {
    case retrieval::WriteOutcome::kCreated:
      return v1::IngestResponse::OUTCOME_CREATED;
    case retrieval::WriteOutcome::kReplaced:
      return v1::IngestResponse::OUTCOME_REPLACED;
    case retrieval::WriteOutcome::kUnchanged:
      return v1::IngestResponse::OUTCOME_UNCHANGED;
  }
  return v1::IngestResponse::OUTCOME_UNSPECIFIED;
}

}  // namespace braid::services
