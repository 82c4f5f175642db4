#include "services/cli/passages.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "services/cli/context.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

constexpr size_t kTitleCharacters = 40;

std::string LegCell(const v1::Passage& passage, v1::Leg leg) {
  for (const v1::LegScore& score : passage.leg_scores()) {
    if (score.leg() == leg) {
      return score.rank() == 0
                 ? absl::StrFormat("- (%.3f)", score.score())
                 : absl::StrFormat("%d (%.3f)", score.rank(), score.score());
    }
  }
  return "-";
}

}  // namespace

void FusionFlags::Add(CLI::App* verb) {
  verb->add_option("--fusion", method,
                   "How the legs are fused (default: relative-score; rrf with "
                   "--rrf-k)")
      ->check(CLI::IsMember({"relative-score", "rrf"}));
  verb->add_option("--rrf-k", rrf_k,
                   "Constant of reciprocal rank fusion (default: 60)")
      ->check(CLI::Range(1, 10000));
  verb->add_option("--bm25-weight", bm25_weight,
                   "Weight of BM25 in the fusion (default: 1)")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--dense-weight", dense_weight,
                   "Weight of dense search in the fusion (default: 1)")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--rerank-depth", rerank_depth,
                   "Where the server has a reranker: so many of the first "
                   "passages it reorders, 0 for none")
      ->check(CLI::Range(0, 1000));
}

// A flag bound to an optional sets it even where it is not given.
void AddMultiHop(CLI::App* verb, std::optional<bool>* multi_hop,
                 const std::string& by_default) {
  verb->add_flag_function(
      "--multi-hop,!--no-multi-hop",
      [multi_hop](int64_t given) { *multi_hop = given > 0; },
      absl::StrCat("A second pass: look up what the best passages name "
                   "(default: ",
                   by_default, ")"));
}

void FusionFlags::Apply(v1::FusionOptions* fusion) const {
  if (method == "rrf") fusion->set_method(v1::FUSION_METHOD_RRF);
  if (method == "relative-score") {
    fusion->set_method(v1::FUSION_METHOD_RELATIVE_SCORE);
  }
  fusion->set_rrf_k(rrf_k);
  if (bm25_weight.has_value()) fusion->set_bm25_weight(*bm25_weight);
  if (dense_weight.has_value()) fusion->set_dense_weight(*dense_weight);
  if (rerank_depth.has_value()) fusion->set_rerank_depth(*rerank_depth);
}

Json PassagesToJson(const PassageList& passages) {
  Json list = Json::array();
  for (const v1::Passage& passage : passages) list.push_back(ToJson(passage));
  return list;
}

Json StringsToJson(const StringList& strings) {
  Json list = Json::array();
  for (const std::string& text : strings) list.push_back(text);
  return list;
}

Json StagesToJson(const StageList& stages) {
  Json object = Json::object();
  for (const v1::StageTiming& stage : stages) {
    object[stage.stage()] = ToMilliseconds(stage.elapsed());
  }
  return object;
}

std::string FormatPassages(const PassageList& passages,
                           size_t snippet_characters) {
  std::vector<std::vector<std::string>> rows;
  rows.push_back({"rank", "score", "bm25", "dense", "title"});
  if (snippet_characters > 0) rows.back().push_back("text");
  for (const v1::Passage& passage : passages) {
    const std::string& title = passage.title().empty()
                                   ? DocumentIdOf(passage.chunk().document())
                                   : passage.title();
    rows.push_back(
        {absl::StrCat(passage.rank()), absl::StrFormat("%.4f", passage.score()),
         LegCell(passage, v1::LEG_BM25), LegCell(passage, v1::LEG_DENSE),
         Snippet(title, kTitleCharacters)});
    if (snippet_characters > 0) {
      rows.back().push_back(Snippet(passage.text(), snippet_characters));
    }
  }
  return FormatTable(rows);
}

void PrintDegraded(const StringList& degraded) {
  if (degraded.empty()) return;
  std::fprintf(stderr, "Left out: %s\n",
               PrintableText(absl::StrJoin(degraded, ", "), false).c_str());
}

}  // namespace braid::services::cli
