// Requests that ask: what is searched, what is answered.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/server/validate.h"

namespace braid::services {
namespace {

// Written so that infinity and NaN fail.
constexpr double kMaxScore = std::numeric_limits<double>::max();

// Fills the fusion part of `query`.
void ParseFusion(const v1::FusionOptions& fusion, int32_t default_rerank_depth,
                 RequestChecker* check, PipelineQuery* query) {
  const Limits& limits = check->limits();
  query->rerank_depth = static_cast<size_t>(
      fusion.has_rerank_depth()
          ? check->Number("fusion.rerank_depth", fusion.rerank_depth(), 0,
                          limits.max_rerank_depth)
          : default_rerank_depth);
  query->rrf_k = check->Count("fusion.rrf_k", fusion.rrf_k(),
                              limits.default_rrf_k, limits.max_rrf_k);
  switch (fusion.method()) {
    case v1::FUSION_METHOD_UNSPECIFIED:
      query->fusion = fusion.rrf_k() > 0 ? FusionMethod::kRrf
                                         : FusionMethod::kRelativeScore;
      break;
    case v1::FUSION_METHOD_RRF:
      query->fusion = FusionMethod::kRrf;
      break;
    case v1::FUSION_METHOD_RELATIVE_SCORE:
      query->fusion = FusionMethod::kRelativeScore;
      break;
    default:
      check->Add("fusion.method", "is not a FusionMethod");
  }
  if (fusion.has_bm25_weight()) {
    query->bm25_weight = check->Number(
        "fusion.bm25_weight", fusion.bm25_weight(), 0, limits.max_leg_weight);
  }
  if (fusion.has_dense_weight()) {
    query->dense_weight = check->Number(
        "fusion.dense_weight", fusion.dense_weight(), 0, limits.max_leg_weight);
  }
  // A leg without weight brings nothing: it need not run. (Where no leg was
  // named rightly, `legs` says so already.)
  const bool any_leg = query->query.run_bm25 || query->query.run_dense;
  query->query.run_bm25 = query->query.run_bm25 && query->bm25_weight > 0;
  query->query.run_dense = query->query.run_dense && query->dense_weight > 0;
  if (any_leg && !query->query.run_bm25 && !query->query.run_dense) {
    check->Add("fusion", "no leg that runs has a weight above 0");
  }
}

void ParseLegs(const v1::SearchRequest& request, RequestChecker* check,
               retrieval::Query* query) {
  if (request.legs().empty()) return;
  query->run_bm25 = false;
  query->run_dense = false;
  for (int i = 0; i < request.legs_size(); ++i) {
    switch (request.legs(i)) {
      case v1::LEG_BM25:
        query->run_bm25 = true;
        continue;
      case v1::LEG_DENSE:
        query->run_dense = true;
        continue;
      default:
        check->Add(absl::StrCat("legs[", i, "]"),
                   "must be LEG_BM25 or LEG_DENSE");
        return;  // one is enough: the list may be long
    }
  }
}

generation::SamplingParams ParseSampling(const v1::SamplingOptions& sampling,
                                         RequestChecker* check) {
  const Limits& limits = check->limits();
  generation::SamplingParams params;
  params.temperature =
      check->Number("sampling.temperature", sampling.temperature(), 0,
                    limits.max_temperature);
  params.top_k = static_cast<int>(check->Number(
      "sampling.top_k", sampling.top_k(), 0, limits.max_sampling_top_k));
  params.top_p = check->Number("sampling.top_p", sampling.top_p(), 0, 1);
  if (params.top_p == 0) params.top_p = 1;
  params.seed = sampling.seed();
  return params;
}
// What a search for an answer has others of than a plain one.
struct SearchDefaults {
  int32_t top_k;
  int32_t max_top_k;
  int32_t rerank_depth;
  bool multi_hop;
};

// What the second pass gains by was measured with fused scores; ranks would
// give as much to every passage that is named.
bool HopsByDefault(const PipelineQuery& query) {
  return query.fusion == FusionMethod::kRelativeScore;
}

PipelineQuery ParseSearch(const v1::SearchRequest& request,
                          const SearchDefaults& defaults,
                          RequestChecker* check) {
  const Limits& limits = check->limits();
  PipelineQuery query;
  query.query.collection =
      check->CollectionName("collection", request.collection());
  query.query.text =
      check->Text("query", request.query(), limits.max_query_bytes);
  query.query.filter = check->Filter("filter", request.filter());
  query.top_k = check->Count("top_k", request.top_k(), defaults.top_k,
                             defaults.max_top_k);
  query.query.limit_per_leg = std::max<size_t>(
      query.top_k,
      check->Count("candidates_per_leg", request.candidates_per_leg(),
                   limits.default_candidates_per_leg,
                   limits.max_candidates_per_leg));
  query.query.wait_for_sequence = request.wait_for_sequence();
  query.max_passage_bytes = limits.max_passage_bytes;
  ParseLegs(request, check, &query.query);
  ParseFusion(request.fusion(), defaults.rerank_depth, check, &query);
  query.multi_hop = request.has_multi_hop()
                        ? request.multi_hop()
                        : defaults.multi_hop && HopsByDefault(query);
  return query;
}

generation::AnswererKind ParseAnswerer(v1::Answerer answerer,
                                       RequestChecker* check) {
  switch (answerer) {
    case v1::ANSWERER_UNSPECIFIED:
      break;
    case v1::ANSWERER_EXTRACTIVE:
      return generation::AnswererKind::kExtractive;
    case v1::ANSWERER_GENERATOR:
      return generation::AnswererKind::kGenerator;
    default:
      check->Add("answerer", "is not an Answerer");
  }
  return generation::AnswererKind::kDefault;
}

}  // namespace

absl::StatusOr<PipelineQuery> Parse(const v1::SearchRequest& request,
                                    const Limits& limits) {
  RequestChecker check(limits);
  PipelineQuery query =
      ParseSearch(request,
                  {.top_k = limits.default_top_k,
                   .max_top_k = limits.max_top_k,
                   .rerank_depth = limits.default_search_rerank_depth,
                   .multi_hop = false},
                  &check);
  if (absl::Status status = check.status(); !status.ok()) return status;
  return query;
}

absl::StatusOr<ContextQuery> Parse(const v1::BuildContextRequest& request,
                                   const Limits& limits) {
  RequestChecker check(limits, "search.");
  ContextQuery query;
  query.search =
      ParseSearch(request.search(),
                  {.top_k = limits.default_answer_passages,
                   .max_top_k = limits.max_answer_passages,
                   .rerank_depth = limits.default_answer_rerank_depth,
                   .multi_hop = true},
                  &check);
  query.search.max_per_document =
      static_cast<size_t>(limits.max_passages_per_document);
  check.SetPrefix("");
  query.max_context_tokens =
      check.Count("max_context_tokens", request.max_context_tokens(),
                  limits.default_context_tokens, limits.max_context_tokens);
  if (absl::Status status = check.status(); !status.ok()) return status;
  return query;
}

absl::StatusOr<AnswerQuery> Parse(const v1::AnswerRequest& request,
                                  const Limits& limits) {
  RequestChecker check(limits);
  AnswerQuery query;
  PipelineQuery& search = query.search;
  search.query.collection =
      check.CollectionName("collection", request.collection());
  search.query.text =
      check.Text("question", request.question(), limits.max_query_bytes);
  search.query.filter = check.Filter("filter", request.filter());
  search.top_k =
      check.Count("top_k", request.top_k(), limits.default_answer_passages,
                  limits.max_answer_passages);
  search.query.limit_per_leg =
      std::max<size_t>(search.top_k, limits.default_candidates_per_leg);
  search.query.wait_for_sequence = request.wait_for_sequence();
  search.max_passage_bytes = limits.max_passage_bytes;
  search.max_per_document =
      static_cast<size_t>(limits.max_passages_per_document);
  query.max_context_tokens =
      check.Count("max_context_tokens", request.max_context_tokens(),
                  limits.default_context_tokens, limits.max_context_tokens);
  query.max_answer_tokens =
      check.Count("max_answer_tokens", request.max_answer_tokens(),
                  limits.default_answer_tokens, limits.max_answer_tokens);
  query.min_relevance =
      request.has_min_relevance()
          ? check.Number("min_relevance", request.min_relevance(), 0, 1)
          : limits.default_min_relevance;
  query.sampling = ParseSampling(request.sampling(), &check);
  query.answerer = ParseAnswerer(request.answerer(), &check);
  ParseFusion(request.fusion(), limits.default_answer_rerank_depth, &check,
              &search);
  search.multi_hop =
      request.has_multi_hop() ? request.multi_hop() : HopsByDefault(search);
  if (absl::Status status = check.status(); !status.ok()) return status;
  return query;
}

absl::StatusOr<generation::GenerationRequest> Parse(
    const v1::GenerateRequest& request, const Limits& limits) {
  RequestChecker check(limits);
  generation::GenerationRequest out;
  switch (request.input_case()) {
    case v1::GenerateRequest::kPrompt:
      out.input =
          check.Text("prompt", request.prompt(), limits.max_prompt_bytes);
      break;
    case v1::GenerateRequest::kChat: {
      const auto& messages = request.chat().messages();
      if (messages.empty() ||
          static_cast<size_t>(messages.size()) > limits.max_chat_messages) {
        check.Add("chat.messages",
                  absl::StrCat("1 to ", limits.max_chat_messages, " messages"));
        break;
      }
      std::vector<generation::ChatTurn> turns;
      size_t left = limits.max_prompt_bytes;
      for (int i = 0; i < messages.size(); ++i) {
        const std::string& role = messages[i].role();
        const std::string path = absl::StrCat("chat.messages[", i, "]");
        if (role != "system" && role != "user" && role != "assistant") {
          check.Add(absl::StrCat(path, ".role"),
                    "must be system, user or assistant");
        }
        if (messages[i].content().size() > left) {
          check.Add(absl::StrCat(path, ".content"),
                    absl::StrCat("all messages together: at most ",
                                 limits.max_prompt_bytes, " bytes"));
          break;
        }
        left -= messages[i].content().size();
        turns.push_back({role, messages[i].content()});
      }
      out.input = std::move(turns);
      break;
    }
    case v1::GenerateRequest::INPUT_NOT_SET:
      check.Add("input", "`prompt` or `chat` must be set");
  }
  out.max_tokens =
      check.Count("max_tokens", request.max_tokens(),
                  limits.default_answer_tokens, limits.max_answer_tokens);
  out.sampling = ParseSampling(request.sampling(), &check);
  if (absl::Status status = check.status(); !status.ok()) return status;
  return out;
}

absl::StatusOr<generation::AnswerRequest> Parse(
    const v1::AnswerFromPassagesRequest& request, const Limits& limits) {
  RequestChecker check(limits);
  generation::AnswerRequest out;
  out.question =
      check.Text("question", request.question(), limits.max_query_bytes);
  if (request.passages_size() > limits.max_answer_passages) {
    check.Add("passages", absl::StrCat("at most ", limits.max_answer_passages));
    return check.status();
  }
  size_t left = limits.max_passage_bytes;
  for (int i = 0; i < request.passages_size(); ++i) {
    const v1::GroundingPassage& passage = request.passages(i);
    const std::string path = absl::StrCat("passages[", i, "]");
    generation::GroundingPassage& grounding = out.passages.emplace_back();
    grounding.document_id = absl::StrCat(i);
    grounding.title = passage.title();
    if (grounding.title.size() > limits.max_title_bytes) {
      check.Add(absl::StrCat(path, ".title"),
                absl::StrCat("at most ", limits.max_title_bytes, " bytes"));
    }
    grounding.text = check.Text(absl::StrCat(path, ".text"), passage.text(),
                                limits.max_passage_bytes);
    if (grounding.text.size() > left) {
      check.Add("passages", absl::StrCat("all texts together: at most ",
                                         limits.max_passage_bytes, " bytes"));
      break;
    }
    left -= grounding.text.size();
    grounding.score = check.Number(absl::StrCat(path, ".score"),
                                   passage.score(), -kMaxScore, kMaxScore);
  }
  out.max_answer_tokens =
      check.Count("max_answer_tokens", request.max_answer_tokens(),
                  limits.default_answer_tokens, limits.max_answer_tokens);
  out.sampling = ParseSampling(request.sampling(), &check);
  out.answerer = ParseAnswerer(request.answerer(), &check);
  if (absl::Status status = check.status(); !status.ok()) return status;
  return out;
}

}  // namespace braid::services
