#include "services/pipeline/second_hop.h"

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "fusion/names.h"

namespace braid::services {
namespace {

// Of one passage's names, so many chunks with the best titles are looked at.
constexpr size_t kTitlesPerPassage = 20;

}  // namespace

absl::StatusOr<fusion::RankedList> FindNamed(
    const retrieval::SearchResult& first, const std::string& question,
    absl::Span<const fusion::FusedCandidate> best) {
  fusion::RankedList named;
  named.scale = fusion::ScoreScale::kBonus;
  absl::flat_hash_map<retrieval::ChunkId, double> gains;
  std::vector<retrieval::ChunkId> sources;
  for (const fusion::FusedCandidate& candidate : best) {
    gains.emplace(candidate.id, kNamedShare * candidate.score);
    sources.push_back(candidate.id);
  }
  absl::flat_hash_set<retrieval::ChunkId> seen;
  const auto passages = first.view->Fetch(sources);
  if (!passages.ok()) return passages.status();
  for (const retrieval::Passage& passage : *passages) {
    const fusion::NamedInPassage source(question, passage.text);
    if (source.names().empty()) continue;
    const auto hits = first.view->SearchTitles(
        source.names(), kTitlesPerPassage, first.allowed.get());
    if (!hits.ok()) return hits.status();
    std::vector<retrieval::ChunkId> ids;
    for (const retrieval::ScoredChunk& hit : *hits) ids.push_back(hit.chunk);
    const auto titled = first.view->Fetch(ids);
    if (!titled.ok()) return titled.status();
    for (const retrieval::Passage& other : *titled) {
      // A document that says its own name leads nowhere.
      if (other.chunk.document_id == passage.chunk.document_id) continue;
      if (!source.Names(other.title)) continue;
      if (seen.insert(other.chunk.id).second) {
        named.hits.push_back({other.chunk.id, gains.at(passage.chunk.id)});
      }
    }
  }
  return named;
}

absl::Status ScoreNamed(const std::string& question,
                        absl::Span<const retrieval::ChunkId> chunks,
                        retrieval::SearchResult* result) {
  if (chunks.empty()) return absl::OkStatus();
  if (result->bm25.ran && result->bm25.status.ok()) {
    const auto scored = result->view->ScoreBm25(question, chunks);
    if (!scored.ok()) return scored.status();
    result->bm25.others.insert(result->bm25.others.end(), scored->begin(),
                               scored->end());
  }
  if (!result->query_vector.empty()) {
    const auto scored = result->view->ScoreDense(result->query_vector, chunks);
    if (!scored.ok()) return scored.status();
    result->dense.others.insert(result->dense.others.end(), scored->begin(),
                                scored->end());
  }
  return absl::OkStatus();
}

}  // namespace braid::services
