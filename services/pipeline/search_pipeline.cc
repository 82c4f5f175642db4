#include "services/pipeline/search_pipeline.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "fusion/near_duplicates.h"
#include "fusion/relative_score.h"
#include "fusion/rrf.h"
#include "services/pipeline/second_hop.h"
#include "services/pipeline/stage_clock.h"

namespace braid::services {
namespace {

// Passages fetched between two looks at the clock and at the byte budget.
constexpr size_t kFetchSlice = 16;
// Merging leaves gaps that are filled with the next candidates, so often at
// most: then fewer than top_k come back.
constexpr int kMaxFetchRounds = 3;
// Passages beyond their document's share that are read in search of others.
constexpr size_t kMaxSetAside = 64;
// Longer texts are whole documents: comparing their words costs more than a
// duplicate in the list does.
constexpr size_t kMaxComparedBytes = 16 << 10;
// A reranker that has less time than this left would not score one passage.
constexpr std::chrono::milliseconds kMinRerankTime(10);

class SearchRun {
 public:
  SearchRun(retrieval::RetrievalBackend& backend,
            const fusion::Reranker* reranker, const PipelineQuery& query)
      : backend_(backend),
        reranker_(query.rerank_depth == 0 ? nullptr : reranker),
        query_(query),
        clock_(query.begin.value_or(StageClock::Clock::now())) {}

  absl::StatusOr<PipelineResult> Run() {
    absl::Status status = Retrieve();
    if (status.ok()) {
      const absl::Duration start = clock_.Now();
      Fuse();
      AddStage(clock_.End("fuse", start));
      if (query_.multi_hop) status = Hop();
    }
    if (status.ok()) status = Collect();
    if (status.ok() && reranker_ != nullptr) status = Rerank();
    if (!status.ok()) return status;
    Select();
    return std::move(result_);
  }

 private:
  void AddStage(StageTime stage) {
    if (query_.on_stage) query_.on_stage(stage);
    result_.stages.push_back(std::move(stage));
  }

  absl::Status Alive() const {
    if (query_.query.stop.stop_requested()) {
      return absl::CancelledError("the search was cancelled");
    }
    if (StageClock::Clock::now() >= query_.query.deadline) {
      return absl::DeadlineExceededError("the search ran out of time");
    }
    return absl::OkStatus();
  }

  void AddLeg(const char* name, const retrieval::LegResult& leg,
              absl::Duration offset) {
    if (!leg.ran) return;
    AddStage({name, offset + leg.start, leg.elapsed});
    if (!leg.status.ok()) result_.degraded.push_back(name);
  }

  absl::Status Retrieve() {
    const absl::Duration offset = clock_.Now();
    retrieval::Query query = query_.query;
    // Ranks say nothing of what a leg did not find; scores can.
    query.complete = query_.fusion == FusionMethod::kRelativeScore;
    absl::StatusOr<retrieval::SearchResult> found = backend_.Search(query);
    if (!found.ok()) return found.status();
    legs_ = *std::move(found);
    result_.view = legs_.view;
    result_.sequence = result_.view->sequence();
    if (!query_.query.filter.empty() || legs_.allowed != nullptr) {
      AddStage({"filter", offset, legs_.filter_elapsed});
    }
    if (legs_.dense.ran) {
      AddStage({"embed", offset + legs_.dense.start, legs_.embed_elapsed});
    }
    AddLeg("bm25", legs_.bm25, offset);
    AddLeg("dense", legs_.dense, offset);
    if (legs_.complete_elapsed > absl::ZeroDuration()) {
      AddStage(
          {"complete", offset + legs_.complete_start, legs_.complete_elapsed});
    }
    return absl::OkStatus();
  }

  static fusion::RankedList ToList(const retrieval::LegResult& leg,
                                   double weight, fusion::ScoreScale scale) {
    fusion::RankedList list;
    list.weight = weight;
    list.scale = scale;
    list.hits.reserve(leg.hits.size());
    for (const retrieval::ScoredChunk& hit : leg.hits) {
      list.hits.push_back({hit.chunk, hit.score});
    }
    for (const retrieval::ScoredChunk& other : leg.others) {
      list.others.push_back({other.chunk, other.score});
    }
    return list;
  }

  void Fuse() {
    std::vector<fusion::RankedList> lists = {
        ToList(legs_.bm25, query_.bm25_weight, fusion::ScoreScale::kRelative),
        ToList(legs_.dense, query_.dense_weight,
               fusion::ScoreScale::kAbsolute)};
    if (query_.multi_hop) lists.push_back(named_);
    size_t all = 0;
    for (const fusion::RankedList& list : lists) all += list.hits.size();
    switch (query_.fusion) {
      case FusionMethod::kRelativeScore:
        fused_ = fusion::RelativeScoreFusion(lists, all);
        break;
      case FusionMethod::kRrf:
        fused_ = fusion::ReciprocalRankFusion(
            lists, {.rrf_k = query_.rrf_k, .limit = all});
        break;
    }
  }

  // The order of the first pass is a good order: without the second it stands.
  absl::Status Hop() {
    const absl::Duration start = clock_.Now();
    absl::flat_hash_set<retrieval::ChunkId> known;
    for (const fusion::FusedCandidate& candidate : fused_) {
      known.insert(candidate.id);
    }
    absl::StatusOr<fusion::RankedList> named =
        FindNamed(legs_, query_.query.text,
                  absl::MakeConstSpan(fused_).first(
                      std::min(fused_.size(), kHopPassages)));
    absl::Status status = named.status();
    if (status.ok()) {
      std::vector<retrieval::ChunkId> unknown;
      for (const fusion::RankedHit& hit : named->hits) {
        if (!known.contains(hit.id)) unknown.push_back(hit.id);
      }
      status = ScoreNamed(query_.query.text, unknown, &legs_);
    }
    if (status.ok()) {
      named_ = *std::move(named);
      Fuse();
    } else {
      result_.degraded.push_back("hop");
    }
    AddStage(clock_.End("hop", start));
    return Alive();
  }

  // Fetches from where the last round stopped until `want` passages are there.
  // What was fetched stays when the time runs out.
  absl::Status Fetch(size_t want) {
    const absl::Duration start = clock_.Now();
    auto& passages = result_.passages;
    while (passages.size() < want && next_ < fused_.size() && !full_) {
      if (absl::Status alive = Alive(); !alive.ok()) {
        if (absl::IsCancelled(alive) || passages.empty()) return alive;
        full_ = true;
        break;
      }
      const size_t count = std::min(
          {kFetchSlice, want - passages.size(), fused_.size() - next_});
      absl::Status status = FetchSlice(count);
      if (!status.ok()) return status;
    }
    AddStage(clock_.End("fetch", start));
    return absl::OkStatus();
  }

  absl::Status FetchSlice(size_t count) {
    std::vector<retrieval::ChunkId> ids;
    absl::flat_hash_map<retrieval::ChunkId, size_t> position;
    for (size_t i = next_; i < next_ + count; ++i) {
      position.emplace(fused_[i].id, i);
      ids.push_back(fused_[i].id);
    }
    next_ += count;
    absl::StatusOr<std::vector<retrieval::Passage>> fetched =
        result_.view->Fetch(ids);
    if (!fetched.ok()) return fetched.status();
    for (retrieval::Passage& passage : *fetched) {
      const auto at = position.find(passage.chunk.id);
      if (at == position.end()) continue;
      bytes_ += passage.text.size();
      if (bytes_ > query_.max_passage_bytes) {
        full_ = true;
        return absl::OkStatus();
      }
      FoundPassage found;
      found.passage = std::move(passage);
      found.fused = fused_[at->second];
      found.fused_rank = static_cast<uint32_t>(at->second + 1);
      found.score = found.fused.score;
      const bool beyond = SharesPlaces() && reranker_ == nullptr &&
                          set_aside_.size() < kMaxSetAside &&
                          of_document_[found.passage.chunk.document_id]++ >=
                              query_.max_per_document;
      (beyond ? set_aside_ : result_.passages).push_back(std::move(found));
    }
    return absl::OkStatus();
  }

  bool SharesPlaces() const { return query_.max_per_document > 0; }

  // The best `top_k`: first those within their document's share, and then,
  // where places are left, the best of the others.
  void Select() {
    auto& passages = result_.passages;
    if (!set_aside_.empty()) {
      std::move(set_aside_.begin(), set_aside_.end(),
                std::back_inserter(passages));
      std::sort(passages.begin(), passages.end(),
                [](const FoundPassage& a, const FoundPassage& b) {
                  return a.fused_rank < b.fused_rank;
                });
    }
    std::vector<bool> chosen(passages.size(), false);
    size_t places = query_.top_k;
    if (SharesPlaces()) {
      absl::flat_hash_map<absl::string_view, size_t> of_document;
      for (size_t i = 0; i < passages.size() && places > 0; ++i) {
        const std::string& document = passages[i].passage.chunk.document_id;
        chosen[i] = of_document[document]++ < query_.max_per_document;
        places -= chosen[i] ? 1 : 0;
      }
    }
    for (size_t i = 0; i < passages.size() && places > 0; ++i) {
      if (chosen[i]) continue;
      chosen[i] = true;
      --places;
    }
    size_t index = 0;
    std::erase_if(passages,
                  [&](const FoundPassage&) { return !chosen[index++]; });
  }

  void Merge() {
    const absl::Duration start = clock_.Now();
    auto& passages = result_.passages;
    std::vector<absl::string_view> texts;
    std::vector<size_t> compared;  // index into `passages` of each text
    for (size_t i = 0; i < passages.size(); ++i) {
      const std::string& text = passages[i].passage.text;
      if (text.size() > kMaxComparedBytes) continue;
      texts.push_back(text);
      compared.push_back(i);
    }
    const std::vector<size_t> first =
        fusion::FindNearDuplicates(texts, fusion::NearDuplicateOptions());
    std::vector<bool> dropped(passages.size(), false);
    for (size_t i = 0; i < first.size(); ++i) {
      if (first[i] == i) continue;
      FoundPassage& kept = passages[compared[first[i]]];
      FoundPassage& copy = passages[compared[i]];
      kept.merged.push_back(copy.passage.chunk.id);
      kept.merged.insert(kept.merged.end(), copy.merged.begin(),
                         copy.merged.end());
      dropped[compared[i]] = true;
    }
    size_t index = 0;
    std::erase_if(passages,
                  [&](const FoundPassage&) { return dropped[index++]; });
    AddStage(clock_.End("merge", start));
  }

  // The passages that are returned or reranked, without near-duplicates.
  absl::Status Collect() {
    const size_t want = reranker_ == nullptr
                            ? query_.top_k
                            : std::max(query_.top_k, query_.rerank_depth);
    for (int round = 0; round < kMaxFetchRounds; ++round) {
      absl::Status status = Fetch(want);
      if (!status.ok()) return status;
      if (!query_.merge_near_duplicates) break;
      Merge();
      if (result_.passages.size() >= want || next_ >= fused_.size()) break;
    }
    if (full_) result_.degraded.push_back("fetch");
    return absl::OkStatus();
  }

  absl::Status Rerank() {
    const absl::Duration start = clock_.Now();
    auto& passages = result_.passages;
    const size_t depth = std::min(passages.size(), query_.rerank_depth);
    if (depth == 0) return absl::OkStatus();
    if (query_.query.deadline - StageClock::Clock::now() < kMinRerankTime) {
      result_.degraded.push_back("rerank");
      return absl::OkStatus();
    }
    std::vector<fusion::RerankInput> inputs;
    inputs.reserve(depth);
    for (size_t i = 0; i < depth; ++i) {
      inputs.push_back({passages[i].passage.title, passages[i].passage.text});
    }
    absl::StatusOr<std::vector<float>> logits = reranker_->Score(
        query_.query.text, inputs, query_.query.deadline, query_.query.stop);
    if (query_.query.stop.stop_requested()) return Alive();
    AddStage(clock_.End("rerank", start));
    // The fused order is a good order: without logits it stands.
    if (!logits.ok() || logits->size() > depth) {
      result_.degraded.push_back("rerank");
      return absl::OkStatus();
    }
    if (logits->size() < depth) result_.degraded.push_back("rerank");
    Reorder(*logits);
    return absl::OkStatus();
  }

  // The first passages by their probability; those that were not looked at stay
  // behind them, with scores that fall on from the last one's.
  void Reorder(const std::vector<float>& logits) {
    if (logits.empty()) return;
    auto& passages = result_.passages;
    for (size_t i = 0; i < logits.size(); ++i) {
      passages[i].rerank_logit = logits[i];
      passages[i].score = fusion::RelevanceOf(
          reranker_->calibration(), logits[i], passages[i].fused.score);
    }
    const auto looked_at =
        passages.begin() + static_cast<ptrdiff_t>(logits.size());
    std::stable_sort(passages.begin(), looked_at,
                     [](const FoundPassage& a, const FoundPassage& b) {
                       return a.score > b.score;
                     });
    if (looked_at == passages.end()) return;
    const double last = std::prev(looked_at)->score;
    const double first_fused = looked_at->fused.score;
    for (auto it = looked_at; it != passages.end(); ++it) {
      it->score = first_fused > 0
                      ? last * std::max(0.0, it->fused.score / first_fused)
                      : 0.0;
    }
  }

  retrieval::RetrievalBackend& backend_;
  const fusion::Reranker* const reranker_;
  const PipelineQuery& query_;
  const StageClock clock_;
  retrieval::SearchResult legs_;
  // Of the second pass.
  fusion::RankedList named_ = {.scale = fusion::ScoreScale::kBonus};
  std::vector<fusion::FusedCandidate> fused_;
  std::vector<FoundPassage> set_aside_;  // beyond their document's share
  absl::flat_hash_map<std::string, size_t> of_document_;  // that were fetched
  size_t next_ = 0;    // first of `fused_` that was not fetched yet
  size_t bytes_ = 0;   // of the texts fetched
  bool full_ = false;  // no budget or no time for more
  PipelineResult result_;
};

}  // namespace

absl::StatusOr<PipelineResult> RunSearch(retrieval::RetrievalBackend& backend,
                                         const fusion::Reranker* reranker,
                                         const PipelineQuery& query) {
  return SearchRun(backend, reranker, query).Run();
}

}  // namespace braid::services
