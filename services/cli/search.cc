// `braid search`: passages for a query.
#include <braid/v1/retrieval_service.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/cli/commands.h"
#include "services/cli/connection.h"
#include "services/cli/passages.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

struct SearchOptions {
  std::string query;
  std::string collection = "default";
  std::string filter;
  int top_k = 10;
  int candidates = 0;
  std::vector<std::string> legs;
  FusionFlags fusion;
  std::optional<bool> multi_hop;
  bool explain = false;
};

void PrintExplanations(const v1::SearchResponse& response) {
  for (const v1::Passage& passage : response.passages()) {
    const v1::Explanation& explanation = passage.explanation();
    std::string line =
        absl::StrFormat("%d. chunk %d: fused rank %d, score %.6f",
                        passage.rank(), passage.chunk().chunk_id(),
                        explanation.fused_rank(), explanation.fused_score());
    for (const v1::LegScore& leg : passage.leg_scores()) {
      absl::StrAppendFormat(
          &line, "; %s %s, score %.4f, adds %.6f", LegName(leg.leg()),
          leg.rank() == 0 ? "unranked" : absl::StrCat("rank ", leg.rank()),
          leg.score(), leg.contribution());
    }
    if (explanation.has_rerank_logit()) {
      absl::StrAppendFormat(&line, "; reranker %.4f",
                            explanation.rerank_logit());
    }
    for (const uint64_t id : explanation.merged_chunk_ids()) {
      absl::StrAppend(&line, "; says the same as chunk ", id);
    }
    std::printf("%s\n", line.c_str());
  }
}

ExitCode RunSearch(const SearchOptions& options, const Context& context) {
  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connection::Open(context);
  if (!connection.ok()) return ReportError(connection.status());

  v1::SearchRequest request;
  request.set_collection(CollectionName(options.collection));
  request.set_query(options.query);
  request.set_top_k(options.top_k);
  request.set_filter(options.filter);
  request.set_candidates_per_leg(options.candidates);
  if (options.multi_hop.has_value()) {
    request.set_multi_hop(*options.multi_hop);
  }
  request.set_explain(options.explain);
  request.set_wait_for_sequence(
      (*connection)->SequenceToWaitFor(context, options.collection));
  options.fusion.Apply(request.mutable_fusion());
  for (const std::string& leg : options.legs) {
    request.add_legs(leg == "bm25" ? v1::LEG_BM25 : v1::LEG_DENSE);
  }
  const auto stub = v1::RetrievalService::NewStub((*connection)->channel());
  v1::SearchResponse response;
  Call call(context);
  const absl::Status status =
      FromGrpc(stub->Search(call.get(), request, &response));
  if (!status.ok()) return ReportError(status);

  if (context.options.json) {
    PrintJsonLine({{"query", options.query},
                   {"collection", request.collection()},
                   {"passages", PassagesToJson(response.passages())},
                   {"sequence", response.sequence()},
                   {"stages_ms", StagesToJson(response.stages())},
                   {"degraded", StringsToJson(response.degraded())}});
    return kExitOk;
  }
  if (response.passages().empty()) {
    std::fprintf(stderr, "Nothing found.\n");
  } else {
    std::fputs(FormatPassages(response.passages(), 100).c_str(), stdout);
  }
  if (options.explain) PrintExplanations(response);
  PrintDegraded(response.degraded());
  return kExitOk;
}

}  // namespace

void AddSearch(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "search", "Find passages: BM25 and dense search, fused");
  auto options = std::make_shared<SearchOptions>();
  verb->add_option("query", options->query, "Question or keywords")->required();
  verb->add_option("--collection", options->collection, "Collection")
      ->capture_default_str();
  verb->add_option("--filter", options->filter,
                   "AIP-160 filter over the metadata, such as "
                   "'year >= 1990 AND author = \"Ada\"'");
  verb->add_option("--top-k", options->top_k, "Passages to return")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  verb->add_option("--candidates", options->candidates,
                   "Candidates each leg brings (default: 100)")
      ->check(CLI::Range(1, 1000));
  verb->add_option("--legs", options->legs, "Legs to run: bm25, dense")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"bm25", "dense"}));
  options->fusion.Add(verb);
  AddMultiHop(verb, &options->multi_hop, "no");
  verb->add_flag("--explain", options->explain,
                 "Say why each passage stands where it stands");
  AddConnectionFlags(verb, common);
  verb->callback([options, action] {
    *action = [options](const Context& context) {
      return RunSearch(*options, context);
    };
  });
}

}  // namespace braid::services::cli
