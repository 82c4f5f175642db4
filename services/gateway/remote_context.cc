#include "services/gateway/remote_context.h"

#include <algorithm>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "braid/v1/retrieval_service.grpc.pb.h"
#include "services/gateway/upstreams.h"
#include "services/pipeline/stage_clock.h"
#include "services/server/metadata.h"
#include "services/server/resource_names.h"

namespace braid::services {
namespace {

constexpr size_t kMaxDocumentIdBytes = 512;

v1::BuildContextRequest ToProto(const ContextQuery& query) {
  v1::BuildContextRequest proto;
  proto.set_max_context_tokens(static_cast<int32_t>(query.max_context_tokens));
  v1::SearchRequest* search = proto.mutable_search();
  const retrieval::Query& asked = query.search.query;
  search->set_collection(FormatCollectionName(asked.collection));
  search->set_query(asked.text);
  search->set_filter(asked.filter);
  search->set_top_k(static_cast<int32_t>(query.search.top_k));
  search->set_candidates_per_leg(static_cast<int32_t>(asked.limit_per_leg));
  search->set_wait_for_sequence(asked.wait_for_sequence);
  search->set_multi_hop(query.search.multi_hop);
  // What the caller did not ask for is left out when it is written.
  search->set_explain(true);
  v1::FusionOptions* fusion = search->mutable_fusion();
  fusion->set_method(query.search.fusion == FusionMethod::kRrf
                         ? v1::FUSION_METHOD_RRF
                         : v1::FUSION_METHOD_RELATIVE_SCORE);
  fusion->set_rrf_k(query.search.rrf_k);
  fusion->set_bm25_weight(query.search.bm25_weight);
  fusion->set_dense_weight(query.search.dense_weight);
  fusion->set_rerank_depth(static_cast<int32_t>(query.search.rerank_depth));
  return proto;
}

absl::Duration FromProto(const google::protobuf::Duration& proto) {
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

retrieval::ByteRange FromProto(const v1::ByteRange& proto) {
  return {proto.begin(), proto.end()};
}

absl::StatusOr<std::string> DocumentIdOf(const std::string& name) {
  absl::StatusOr<DocumentName> parsed =
      ParseDocumentName(name, kMaxDocumentIdBytes);
  if (!parsed.ok()) {
    return absl::InternalError(
        absl::StrCat("the upstream's answer names no document: ", name));
  }
  return std::move(parsed->document);
}

absl::StatusOr<retrieval::Chunk> FromProto(const v1::Chunk& proto) {
  absl::StatusOr<std::string> document = DocumentIdOf(proto.document());
  if (!document.ok()) return document.status();
  retrieval::Chunk chunk;
  chunk.id = proto.chunk_id();
  chunk.document_id = *std::move(document);
  chunk.version = proto.version();
  chunk.ordinal = proto.ordinal();
  chunk.span.text_range = FromProto(proto.text_range());
  chunk.span.source_range = FromProto(proto.source_range());
  chunk.span.headings.assign(proto.headings().begin(), proto.headings().end());
  chunk.span.page = proto.page();
  chunk.span.token_count = proto.token_count();
  return chunk;
}

absl::StatusOr<FoundPassage> FromProto(const v1::Passage& proto,
                                       const Limits& limits) {
  absl::StatusOr<retrieval::Chunk> chunk = FromProto(proto.chunk());
  if (!chunk.ok()) return chunk.status();
  FoundPassage found;
  found.passage.chunk = *std::move(chunk);
  found.passage.title = proto.title();
  found.passage.text = proto.text();
  // It was checked when it was stored.
  std::vector<FieldViolation> violations;
  found.passage.metadata =
      ToMetadata(proto.metadata(), "metadata", limits, &violations);
  found.score = proto.score();
  for (const v1::LegScore& leg : proto.leg_scores()) {
    const int index = leg.leg() - v1::LEG_BM25;
    if (index < 0 || index > v1::LEG_NAMED - v1::LEG_BM25) continue;
    auto& legs = found.fused.legs;
    legs.resize(std::max<size_t>(legs.size(), index + 1));
    legs[index].scored = true;
    legs[index].rank = leg.rank();
    legs[index].score = static_cast<float>(leg.score());
    legs[index].term = leg.contribution();
  }
  const v1::Explanation& explanation = proto.explanation();
  found.fused_rank = explanation.fused_rank();
  found.fused.score = explanation.fused_score();
  if (explanation.has_rerank_logit()) {
    found.rerank_logit = static_cast<float>(explanation.rerank_logit());
  }
  found.merged.assign(explanation.merged_chunk_ids().begin(),
                      explanation.merged_chunk_ids().end());
  return found;
}

absl::StatusOr<ContextPassage> FromProto(const v1::ContextPassage& proto) {
  absl::StatusOr<std::string> document = DocumentIdOf(proto.document());
  if (!document.ok()) return document.status();
  ContextPassage passage;
  passage.document_id = *std::move(document);
  passage.version = proto.version();
  passage.text_range = FromProto(proto.text_range());
  passage.text = proto.text();
  passage.title = proto.title();
  passage.score = proto.score();
  for (const v1::Chunk& part : proto.chunks()) {
    absl::StatusOr<retrieval::Chunk> chunk = FromProto(part);
    if (!chunk.ok()) return chunk.status();
    passage.chunks.push_back(*std::move(chunk));
  }
  if (passage.chunks.empty() ||
      passage.text_range.begin > passage.text_range.end ||
      passage.text.size() != passage.text_range.size()) {
    return absl::InternalError(
        "the upstream's answer holds a passage that is not its range");
  }
  return passage;
}

absl::StatusOr<std::string> ReadFrom(const ContextPassage& passage,
                                     const retrieval::ByteRange& range) {
  if (range.begin < passage.text_range.begin || range.begin > range.end ||
      range.end > passage.text_range.end) {
    return absl::OutOfRangeError("the range is not inside the passage");
  }
  return passage.text.substr(range.begin - passage.text_range.begin,
                             range.size());
}

}  // namespace

absl::StatusOr<Context> BuildRemoteContext(Call& call,
                                           const ContextQuery& query,
                                           const FoundSink& on_found) {
  const StageClock clock(query.search.begin.value_or(StageClock::Clock::now()));
  const absl::Duration begin = clock.Now();
  grpc::ClientContext context;
  absl::Status status = call.Forward(query.search.query.deadline, &context);
  if (!status.ok()) return status;
  const std::stop_callback cancel(query.search.query.stop,
                                  [&context] { context.TryCancel(); });
  const auto stub =
      v1::RetrievalService::NewStub(call.core().upstreams.retrieval);
  v1::BuildContextResponse response;
  status = UpstreamError(
      stub->BuildContext(&context, ToProto(query), &response), "retrieval");
  if (!status.ok()) return status;

  Context built;
  for (const v1::Passage& passage : response.search().passages()) {
    auto found = FromProto(passage, call.limits());
    if (!found.ok()) return found.status();
    built.found.passages.push_back(*std::move(found));
  }
  built.found.sequence = response.search().sequence();
  built.found.degraded.assign(response.search().degraded().begin(),
                              response.search().degraded().end());
  for (const v1::StageTiming& stage : response.search().stages()) {
    built.found.stages.push_back({stage.stage(),
                                  begin + FromProto(stage.start()),
                                  FromProto(stage.elapsed())});
    if (query.search.on_stage) query.search.on_stage(built.found.stages.back());
  }
  for (const v1::ContextPassage& proto : response.passages()) {
    absl::StatusOr<ContextPassage> passage = FromProto(proto);
    if (!passage.ok()) return passage.status();
    built.passages.push_back(*std::move(passage));
  }
  built.read_stored = ReadFrom;
  if (!on_found(built.found)) {
    return absl::CancelledError("the receiver of the answer is gone");
  }
  return built;
}

}  // namespace braid::services
