// What `search` and `ask` share: fusion flags, and passages on paper.
#ifndef BRAID_SERVICES_CLI_PASSAGES_H_
#define BRAID_SERVICES_CLI_PASSAGES_H_

#include <braid/v1/retrieval_service.pb.h>

#include <optional>
#include <string>

#include "services/cli/render.h"

namespace CLI {
class App;
}

namespace braid::services::cli {

// --fusion, --rrf-k, --bm25-weight, --dense-weight.
struct FusionFlags {
  std::string method;
  uint32_t rrf_k = 0;
  std::optional<double> bm25_weight;
  std::optional<double> dense_weight;
  std::optional<int32_t> rerank_depth;

  void Add(CLI::App* verb);
  void Apply(v1::FusionOptions* fusion) const;
};

// --multi-hop and --no-multi-hop. `multi_hop`, which must live as long as
// `verb`, is left alone where neither is given; `by_default` is for the help.
void AddMultiHop(CLI::App* verb, std::optional<bool>* multi_hop,
                 const std::string& by_default);

using PassageList = google::protobuf::RepeatedPtrField<v1::Passage>;
using StringList = google::protobuf::RepeatedPtrField<std::string>;
using StageList = google::protobuf::RepeatedPtrField<v1::StageTiming>;

Json PassagesToJson(const PassageList& passages);
Json StringsToJson(const StringList& strings);
// Stage -> milliseconds.
Json StagesToJson(const StageList& stages);

// A table: rank, score, each leg's rank and raw score, title, and the beginning
// of the text (`snippet_characters` long; 0 leaves the column out).
std::string FormatPassages(const PassageList& passages,
                           size_t snippet_characters);
// Says on stderr what was left out, if anything was.
void PrintDegraded(const StringList& degraded);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_PASSAGES_H_
