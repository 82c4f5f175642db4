#include "retrieval/local/search.h"

#include <chrono>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "retrieval/local/access_view.h"

namespace braid::retrieval {
namespace {

using Clock = std::chrono::steady_clock;

absl::Duration Since(Clock::time_point begin) {
  return absl::FromChrono(Clock::now() - begin);
}

// Everything the lexical leg needs: the search may return before it ends.
struct LexicalRun {
  std::shared_ptr<const CollectionView> view;
  std::shared_ptr<const ChunkBitmap> allowed;
  std::string text;
  size_t limit = 0;
  std::chrono::steady_clock::time_point deadline;
  std::stop_token stop;
  Clock::time_point begin;
  LegResult result;  // read when the task is done

  void Run() {
    result.ran = true;
    result.start = Since(begin);
    result.status = CheckTime(deadline, stop);
    if (result.status.ok()) {
      absl::StatusOr<std::vector<ScoredChunk>> hits =
          view->lexical()->Search(text, limit, allowed.get());
      result.status = hits.status();
      if (hits.ok()) result.hits = *std::move(hits);
    }
    result.elapsed = Since(begin) - result.start;
  }
};

// Leaves the question's vector in `vector`.
void RunDense(const Query& query, const CollectionView& view,
              const Encoder& encoder, const ChunkBitmap* allowed,
              Clock::time_point begin, std::vector<float>* vector,
              SearchResult* result) {
  LegResult& leg = result->dense;
  leg.ran = true;
  leg.start = Since(begin);
  leg.status = [&]() -> absl::Status {
    if (absl::Status status = CheckTime(query.deadline, query.stop);
        !status.ok()) {
      return status;
    }
    vector->resize(encoder.dimension());
    const absl::string_view text = query.text;
    const Clock::time_point embed_begin = Clock::now();
    const absl::Status embedded =
        encoder.Embed(absl::MakeConstSpan(&text, 1), vector->data());
    result->embed_elapsed = Since(embed_begin);
    if (!embedded.ok()) return embedded;
    if (absl::Status status = CheckTime(query.deadline, query.stop);
        !status.ok()) {
      return status;
    }
    absl::StatusOr<std::vector<ScoredChunk>> hits =
        view.dense()->Search(*vector, query.limit_per_leg, allowed);
    if (!hits.ok()) return hits.status();
    leg.hits = *std::move(hits);
    return absl::OkStatus();
  }();
  leg.elapsed = Since(begin) - leg.start;
}

std::vector<ChunkId> NotIn(const LegResult& leg, const LegResult& other) {
  absl::flat_hash_set<ChunkId> found;
  for (const ScoredChunk& hit : leg.hits) found.insert(hit.chunk);
  std::vector<ChunkId> missing;
  for (const ScoredChunk& hit : other.hits) {
    if (!found.contains(hit.chunk)) missing.push_back(hit.chunk);
  }
  return missing;
}

// Takes the scores, or their error, for what another leg found.
void Complete(absl::StatusOr<std::vector<ScoredChunk>> scored, LegResult* leg) {
  if (scored.ok()) {
    leg->others = *std::move(scored);
  } else {
    leg->status = scored.status();
    leg->hits.clear();
  }
}

// A passage that one leg found has a score of the other too, whether or not it
// is among the best there.
void CompleteLegs(const Query& query, const CollectionView& view,
                  const std::vector<float>& vector, Clock::time_point begin,
                  SearchResult* result) {
  result->complete_start = Since(begin);
  const std::vector<ChunkId> bm25_only = NotIn(result->dense, result->bm25);
  const std::vector<ChunkId> dense_only = NotIn(result->bm25, result->dense);
  Complete(view.ScoreDense(vector, bm25_only), &result->dense);
  Complete(view.ScoreBm25(query.text, dense_only), &result->bm25);
  result->complete_elapsed = Since(begin) - result->complete_start;
}

}  // namespace

absl::StatusOr<SearchResult> SearchView(
    const Query& query, std::shared_ptr<const CollectionView> view,
    const Encoder& encoder, Clock::time_point begin, FilterCache* filters,
    AccessCache* access, SearchPool* pool) {
  SearchResult result;
  result.view = view;
  const Clock::time_point filter_begin = Clock::now();
  std::shared_ptr<const ChunkBitmap> allowed;
  if (query.filter.find_first_not_of(" \t\r\n") != std::string::npos) {
    absl::StatusOr<std::shared_ptr<const ChunkBitmap>> resolved =
        filters->Resolve(*view, query.filter, query.deadline, query.stop);
    if (!resolved.ok()) return resolved.status();
    allowed = *std::move(resolved);
  }
  if (access != nullptr) {
    absl::StatusOr<std::shared_ptr<const ChunkBitmap>> readable =
        access->Resolve(*view, query.viewer, query.deadline, query.stop);
    if (!readable.ok()) return readable.status();
    result.view = std::make_shared<AccessView>(view, *readable);
    if (allowed == nullptr) {
      allowed = *std::move(readable);
    } else {
      auto both = std::make_shared<ChunkBitmap>(*allowed);
      both->IntersectWith(**readable);
      allowed = std::move(both);
    }
  }
  if (allowed != nullptr) {
    result.allowed = allowed;
    result.filter_elapsed = Since(filter_begin);
  }

  std::shared_ptr<LexicalRun> lexical;
  std::shared_ptr<SearchTask> task;
  if (query.run_bm25) {
    lexical = std::make_shared<LexicalRun>();
    lexical->view = view;
    lexical->allowed = allowed;
    lexical->text = query.text;
    lexical->limit = query.limit_per_leg;
    lexical->deadline = query.deadline;
    lexical->stop = query.stop;
    lexical->begin = begin;
    task = std::make_shared<SearchTask>([lexical] { lexical->Run(); });
    // The other thread wakes up while this one embeds.
    if (query.run_dense) pool->Submit(task);
  }
  std::vector<float> vector;
  if (query.run_dense) {
    RunDense(query, *view, encoder, allowed.get(), begin, &vector, &result);
  }
  if (query.run_bm25) {
    // If no thread was free for it, this one is now.
    task->TryRun();
    if (task->Wait(query.deadline, query.stop)) {
      result.bm25 = std::move(lexical->result);
    } else {
      result.bm25.ran = true;
      result.bm25.status = CheckTime(query.deadline, query.stop);
      result.bm25.elapsed = Since(begin);
    }
  }

  if (query.complete && result.bm25.ran && result.bm25.status.ok() &&
      result.dense.ran && result.dense.status.ok()) {
    CompleteLegs(query, *view, vector, begin, &result);
  }
  if (result.dense.ran && result.dense.status.ok()) {
    result.query_vector = std::move(vector);
  }

  const bool bm25_failed = !query.run_bm25 || !result.bm25.status.ok();
  const bool dense_failed = !query.run_dense || !result.dense.status.ok();
  if (bm25_failed && dense_failed) {
    if (absl::Status status = CheckTime(query.deadline, query.stop);
        !status.ok()) {
      return status;
    }
    const absl::Status& first =
        query.run_bm25 ? result.bm25.status : result.dense.status;
    if (!query.run_bm25 || !query.run_dense) return first;
    return absl::Status(
        first.code(), absl::StrCat("both legs failed: ", first.message(), "; ",
                                   result.dense.status.message()));
  }
  return result;
}

}  // namespace braid::retrieval
