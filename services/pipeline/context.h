// From a query to the passages that an answer is made from.
#ifndef BRAID_SERVICES_PIPELINE_CONTEXT_H_
#define BRAID_SERVICES_PIPELINE_CONTEXT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fusion/reranker.h"
#include "retrieval/backend.h"
#include "retrieval/types.h"
#include "services/pipeline/search_pipeline.h"

namespace braid::services {

struct ContextQuery {
  PipelineQuery search;  // top_k: passages at most
  uint32_t max_context_tokens = 2048;
  // Of the collection's chunking; 0: passages are read as they were found.
  uint32_t parent_tokens = 0;
};

// A range of a document that is read as one passage.
struct ContextPassage {
  std::string document_id;
  uint64_t version = 0;
  retrieval::ByteRange text_range;
  std::string text;  // exactly those bytes
  std::string title;
  double score = 0;                      // of its best chunk
  std::vector<retrieval::Chunk> chunks;  // that lie in it; never empty
};

struct Context {
  PipelineResult found;
  std::vector<ContextPassage> passages;  // best first
  // Bytes of the stored text, inside one of the passages: what a citation is
  // compared with.
  std::function<absl::StatusOr<std::string>(const ContextPassage& passage,
                                            const retrieval::ByteRange& range)>
      read_stored;
};

// Told of what was found before the context is planned; false: nobody waits for
// the rest.
using FoundSink = std::function<bool(const PipelineResult&)>;

// Where contexts come from: BuildContext here, or another process.
using ContextSource = std::function<absl::StatusOr<Context>(
    const ContextQuery& query, const FoundSink& on_found)>;

// Runs the search and decides what is read of what it found: neighbours become
// one passage, small chunks are widened to their parents, the budget is kept
// (fusion/context_plan.h). The stage `plan` goes to the query's on_stage.
// Errors as RunSearch; CANCELLED when `on_found` says no.
absl::StatusOr<Context> BuildContext(retrieval::RetrievalBackend& backend,
                                     const fusion::Reranker* reranker,
                                     const ContextQuery& query,
                                     const FoundSink& on_found);

}  // namespace braid::services

#endif  // BRAID_SERVICES_PIPELINE_CONTEXT_H_
