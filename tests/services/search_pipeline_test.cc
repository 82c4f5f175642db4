#include "services/pipeline/search_pipeline.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "fakes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/pipeline/second_hop.h"
#include "tests/steady.h"

namespace braid::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<retrieval::ChunkId> IdsOf(const PipelineResult& result) {
  std::vector<retrieval::ChunkId> ids;
  for (const FoundPassage& found : result.passages) {
    ids.push_back(found.passage.chunk.id);
  }
  return ids;
}

std::vector<std::string> StagesOf(const PipelineResult& result) {
  std::vector<std::string> names;
  for (const StageTime& stage : result.stages) names.push_back(stage.stage);
  return names;
}

class SearchPipelineTest : public ::testing::Test {
 protected:
  SearchPipelineTest() {
    // Ranks: 1 is first and third, 2 second and first, 3 third, 4 second.
    backend_.result.bm25.hits = {{1, 9.f}, {2, 8.f}, {3, 7.f}};
    backend_.result.dense.hits = {{2, .9f}, {4, .8f}, {1, .7f}};
    for (retrieval::ChunkId id = 1; id <= 4; ++id) {
      backend_.view->AddChunk(
          id, "d",
          absl::StrCat("chunk number ", id, " tells of topic ", id * 7,
                       " in its very own words ", id * 13));
    }
    query_.query.text = "q";
    query_.fusion = FusionMethod::kRrf;
  }
  FakeBackend backend_;
  PipelineQuery query_;
};

TEST_F(SearchPipelineTest, FusesByReciprocalRanks) {
  const auto result = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(result.ok()) << result.status();
  // 2: 1/62 + 1/61; 1: 1/61 + 1/63; 4: 1/62; 3: 1/63.
  EXPECT_THAT(IdsOf(*result), ElementsAre(2, 1, 4, 3));
  const FoundPassage& best = result->passages[0];
  EXPECT_NEAR(best.score, 1.0 / 62 + 1.0 / 61, 1e-12);
  EXPECT_EQ(best.fused_rank, 1u);
  EXPECT_EQ(best.fused.legs[0].rank, 2u);
  EXPECT_EQ(best.fused.legs[1].rank, 1u);
  EXPECT_THAT(result->degraded, IsEmpty());
  EXPECT_THAT(StagesOf(*result),
              ElementsAre("embed", "bm25", "dense", "fuse", "fetch", "merge"));
  EXPECT_EQ(result->view->sequence(), 7u);
}

TEST_F(SearchPipelineTest, FusesByRelativeScores) {
  query_.fusion = FusionMethod::kRelativeScore;
  backend_.result.bm25.hits = {{1, 16.0f}, {2, 6.0f}, {3, 3.0f}};
  backend_.result.dense.hits = {{2, 0.75f}, {4, 0.5f}};
  backend_.result.dense.others = {{1, 0.25f}, {3, 0.5f}};
  backend_.result.complete_elapsed = absl::Microseconds(5);
  const auto result = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(result.ok()) << result.status();
  // BM25 is divided by 3 * 16 ^ 0.75 = 24. 2: (1/4 + 3/4) / 2;
  // 1: (2/3 + 1/4) / 2; 3: (1/8 + 1/2) / 2; 4: 1/2 / 2.
  EXPECT_THAT(IdsOf(*result), ElementsAre(2, 1, 3, 4));
  EXPECT_NEAR(result->passages[0].score, 0.5, 1e-6);
  EXPECT_NEAR(result->passages[1].score, (2.0 / 3 + 0.25) / 2, 1e-6);
  EXPECT_NEAR(result->passages[2].score, 0.3125, 1e-6);
  EXPECT_TRUE(backend_.seen.complete);
  EXPECT_THAT(StagesOf(*result),
              ElementsAre("embed", "bm25", "dense", "complete", "fuse", "fetch",
                          "merge"));
  query_.fusion = FusionMethod::kRrf;
  ASSERT_TRUE(RunSearch(backend_, nullptr, query_).ok());
  EXPECT_FALSE(backend_.seen.complete) << "ranks need no scores";
}

// Chunk 2, the best, names document z; chunk 9 is that, chunk 1 is in the best
// three and named by nobody, chunk 8 has a title that is not named whole.
TEST_F(SearchPipelineTest, ASecondHopFindsWhatTheBestName) {
  query_.query.text = "who made the film";
  query_.fusion = FusionMethod::kRelativeScore;
  FakeView& view = *backend_.view;
  view.AddChunk(2, "m",
                "a film, as the Title of z says, by Fritz Lang in 1927");
  view.AddChunk(9, "z", "born in a town");
  view.AddChunk(8, "zz", "born elsewhere");
  view.titled = {{9, 5.0f}, {8, 4.0f}, {2, 1.0f}};
  view.bm25_score = 4.0f;
  view.cosine = 0.375f;
  backend_.result.bm25.hits = {{2, 16.0f}, {1, 6.0f}};
  backend_.result.dense.hits = {{2, 0.75f}, {1, 0.5f}};
  backend_.result.query_vector = {1, 0};
  const auto once = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(once.ok()) << once.status();
  EXPECT_THAT(IdsOf(*once), ElementsAre(2, 1));
  EXPECT_THAT(view.titles_searched, IsEmpty());

  query_.multi_hop = true;
  const auto twice = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(twice.ok()) << twice.status();
  // Half each: 2: 2/3 + 3/4; 1: 1/4 + 1/2; 9: 4/24 + 3/8, and as a whole a
  // share of the score of 2, which is what it was without the second pass.
  EXPECT_THAT(IdsOf(*twice), ElementsAre(2, 9, 1));
  const double source = (2.0 / 3 + 0.75) / 2;
  EXPECT_NEAR(twice->passages[0].score, source, 1e-6);
  EXPECT_NEAR(twice->passages[1].score,
              (4.0 / 24 + 0.375) / 2 + kNamedShare * source, 1e-6);
  ASSERT_EQ(twice->passages[1].fused.legs.size(), 3u);
  EXPECT_EQ(twice->passages[1].fused.legs[2].rank, 1u);
  EXPECT_FALSE(twice->passages[2].fused.legs[2].scored);
  EXPECT_THAT(view.titles_searched, ElementsAre("title fritz lang 1927"))
      << "chunk 1 names nothing";
  EXPECT_THAT(StagesOf(*twice), ElementsAre("embed", "bm25", "dense", "fuse",
                                            "hop", "fetch", "merge"));

  view.titled = absl::InternalError("no titles");
  const auto failed = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(failed.ok()) << failed.status();
  EXPECT_THAT(IdsOf(*failed), ElementsAre(2, 1)) << "the first pass stands";
  EXPECT_THAT(failed->degraded, ElementsAre("hop"));
}

TEST_F(SearchPipelineTest, WeightsAndLimitCount) {
  query_.dense_weight = 0.1;
  query_.top_k = 2;
  const auto result = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(result.ok());
  // 1: 1/61 + .1/63; 2: 1/62 + .1/61: 0.017981 against 0.017768.
  EXPECT_THAT(IdsOf(*result), ElementsAre(1, 2));
}

TEST_F(SearchPipelineTest, FailedLegIsNamed) {
  backend_.result.dense.status = absl::DeadlineExceededError("late");
  backend_.result.dense.hits.clear();
  const auto result = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(1, 2, 3));
  EXPECT_THAT(result->degraded, ElementsAre("dense"));
}

TEST_F(SearchPipelineTest, MergesNearDuplicatesUnlessToldNotTo) {
  const std::string text =
      "the quick brown fox jumps over the lazy dog near the river bank today";
  backend_.view->AddChunk(11, "x", text);
  backend_.view->AddChunk(12, "y", text);
  backend_.result.bm25.hits = {{11, 9.f}, {12, 8.f}, {3, 7.f}};
  backend_.result.dense.hits.clear();
  query_.top_k = 2;
  auto result = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(11, 3)) << "the gap is filled";
  EXPECT_THAT(result->passages[0].merged, ElementsAre(12));
  EXPECT_EQ(result->passages[1].fused_rank, 3u);
  query_.merge_near_duplicates = false;
  result = RunSearch(backend_, nullptr, query_);
  EXPECT_THAT(IdsOf(*result), ElementsAre(11, 12));
}

// A document that has every best chunk leaves places to others, as far as there
// are others.
TEST_F(SearchPipelineTest, ADocumentHasItsShare) {
  backend_.result.bm25.hits.clear();
  backend_.result.dense.hits.clear();
  for (retrieval::ChunkId id = 100; id < 140; ++id) {
    backend_.view->AddChunk(
        id, "loud", absl::StrCat("louder ", id, " and ", id * 7, " ", id * 13));
    backend_.result.bm25.hits.push_back({id, 9.f});
  }
  backend_.view->AddChunk(50, "x", "what somebody else has to say of it");
  backend_.view->AddChunk(51, "y", "a third voice with another opinion");
  backend_.result.bm25.hits.push_back({50, 2.f});
  backend_.result.bm25.hits.push_back({51, 1.f});
  query_.top_k = 4;
  auto result = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(100, 101, 102, 103));
  query_.max_per_document = 2;
  result = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(100, 101, 50, 51));
  // Places that nobody else wants, in order.
  query_.top_k = 6;
  result = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(100, 101, 102, 103, 50, 51));
}

// The reranker sees all of them; the share is of its order.
TEST_F(SearchPipelineTest, TheShareIsOfTheRerankedOrder) {
  backend_.view->AddChunk(9, "x", "what somebody else has to say of it");
  backend_.result.bm25.hits.push_back({9, 1.f});
  FakeReranker reranker;
  reranker.logits = {-1.f, 0.5f, 2.f, 1.f, -3.f};  // of 2, 1, 4, 3, 9
  query_.top_k = 3;
  query_.max_per_document = 2;
  const auto result = RunSearch(backend_, &reranker, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(4, 3, 9));
}

TEST_F(SearchPipelineTest, EvaluationGetsAHundredDistinctChunks) {
  backend_.result.bm25.hits.clear();
  backend_.result.dense.hits.clear();
  for (retrieval::ChunkId id = 100; id < 200; ++id) {
    backend_.view->AddChunk(id, "same", "one and the same text for all");
    backend_.result.bm25.hits.push_back({id, 1.f});
  }
  query_.top_k = 100;
  query_.merge_near_duplicates = false;
  const auto result = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->passages.size(), 100u);
  for (size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(result->passages[i].passage.chunk.id, 100 + i);
  }
}

TEST_F(SearchPipelineTest, StopsAtTheByteBudget) {
  query_.max_passage_bytes = 120;
  const auto result = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(2, 1));
  EXPECT_THAT(result->degraded, ElementsAre("fetch"));
}

TEST_F(SearchPipelineTest, ChunkThatVanishedIsLeftOut) {
  backend_.view->chunks.erase(2);
  const auto result = RunSearch(backend_, nullptr, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(1, 4, 3));
}

TEST_F(SearchPipelineTest, RerankerOrders) {
  FakeReranker reranker;
  reranker.logits = {-1.f, 0.5f, 2.f, -3.f};
  query_.top_k = 3;
  const auto result = RunSearch(backend_, &reranker, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(4, 1, 2));
  EXPECT_EQ(*result->passages[0].rerank_logit, 2.f);
  EXPECT_EQ(result->passages[0].fused_rank, 3u);
  EXPECT_EQ(StagesOf(*result).back(), "rerank");
  EXPECT_THAT(result->degraded, IsEmpty());
}

TEST_F(SearchPipelineTest, ScoresAreTheRerankersProbabilities) {
  FakeReranker reranker;
  reranker.logits = {-1.f, 0.5f, 2.f, -3.f};  // of 2, 1, 4, 3
  // Two legs that agree on 2 outweigh the logits.
  reranker.probability = {.scale = 0.01, .fused_weight = 1000, .bias = -20};
  const auto result = RunSearch(backend_, &reranker, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(2, 1, 4, 3));
  const double fused = 1.0 / 62 + 1.0 / 61;
  EXPECT_NEAR(result->passages[0].score,
              1 / (1 + std::exp(-(-0.01 + 1000 * fused - 20))), 1e-9);
}

TEST_F(SearchPipelineTest, WhatTheRerankerDidNotSeeComesLast) {
  FakeReranker reranker;
  reranker.logits = {-5.f, -4.f, 9.f, 9.f};
  query_.rerank_depth = 2;
  const auto result = RunSearch(backend_, &reranker, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(1, 2, 4, 3));
  EXPECT_FALSE(result->passages[2].rerank_logit.has_value());
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_LE(result->passages[i].score, result->passages[i - 1].score);
    EXPECT_GT(result->passages[i].score, 0);
  }
  EXPECT_THAT(result->degraded, IsEmpty());
}

TEST_F(SearchPipelineTest, RerankerThatFailsOrStopsEarlyIsNamed) {
  FakeReranker reranker;
  reranker.status = absl::InternalError("broken");
  auto result = RunSearch(backend_, &reranker, query_);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(IdsOf(*result), ElementsAre(2, 1, 4, 3));
  EXPECT_THAT(result->degraded, ElementsAre("rerank"));
  reranker.status = absl::OkStatus();
  reranker.logits = {1.f, 2.f};
  result = RunSearch(backend_, &reranker, query_);
  EXPECT_THAT(IdsOf(*result), ElementsAre(1, 2, 4, 3));
  EXPECT_THAT(result->degraded, ElementsAre("rerank"));
}

TEST_F(SearchPipelineTest, ErrorsAndStops) {
  std::stop_source stop;
  query_.query.stop = stop.get_token();
  stop.request_stop();
  EXPECT_EQ(RunSearch(backend_, nullptr, query_).status().code(),
            absl::StatusCode::kCancelled);
  query_.query.stop = {};
  query_.query.deadline = SteadyIn(-absl::Seconds(1));
  EXPECT_EQ(RunSearch(backend_, nullptr, query_).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  query_.query.deadline = kNever;
  backend_.status = absl::NotFoundError("no such collection");
  EXPECT_EQ(RunSearch(backend_, nullptr, query_).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace braid::services
