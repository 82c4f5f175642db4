#include "fusion/context_plan.h"

#include <gtest/gtest.h>

namespace braid::fusion {
namespace {

ContextCandidate Candidate(uint64_t id, const char* document, uint64_t begin,
                           uint64_t end, uint32_t tokens, double score) {
  return {id, document, 1, begin, end, tokens, score};
}

TEST(ContextPlanTest, KeepsTheBudgetAndSaysWhatItDropped) {
  const ContextPlan plan = PlanContext(
      {Candidate(1, "a", 0, 100, 60, 0.9), Candidate(2, "b", 0, 100, 60, 0.8),
       Candidate(3, "c", 0, 50, 30, 0.7)},
      {.max_tokens = 100, .max_passages = 8});
  ASSERT_EQ(plan.passages.size(), 2u);
  EXPECT_EQ(plan.passages[0].document_id, "a");
  EXPECT_EQ(plan.passages[1].document_id, "c");
  EXPECT_EQ(plan.token_count, 90u);
  ASSERT_EQ(plan.dropped.size(), 1u);
  EXPECT_EQ(plan.dropped[0].id, 2u);
  EXPECT_EQ(plan.dropped[0].reason, "token_budget");
}

TEST(ContextPlanTest, PassageLimit) {
  const ContextPlan plan = PlanContext(
      {Candidate(1, "a", 0, 9, 5, 3), Candidate(2, "b", 0, 9, 5, 2)},
      {.max_tokens = 100, .max_passages = 1});
  ASSERT_EQ(plan.passages.size(), 1u);
  EXPECT_EQ(plan.dropped[0].reason, "passage_limit");
}

TEST(ContextPlanTest, MergesNeighboursOfOneDocumentVersion) {
  const ContextPlan plan = PlanContext(
      {Candidate(5, "a", 100, 200, 20, 0.9), Candidate(6, "z", 0, 10, 2, 0.8),
       Candidate(4, "a", 0, 98, 20, 0.5)},
      {.max_tokens = 1000, .max_passages = 8});
  ASSERT_EQ(plan.passages.size(), 2u);
  EXPECT_EQ(plan.passages[0].text_begin, 0u);
  EXPECT_EQ(plan.passages[0].text_end, 200u);
  EXPECT_EQ(plan.passages[0].token_count, 40u);
  EXPECT_DOUBLE_EQ(plan.passages[0].score, 0.9);
  EXPECT_EQ(plan.passages[0].ids, (std::vector<uint64_t>{5, 4}));
  EXPECT_EQ(plan.passages[1].document_id, "z");
}

TEST(ContextPlanTest, DoesNotMergeAcrossVersionsOrWideGaps) {
  ContextCandidate other_version = Candidate(2, "a", 10, 20, 5, 0.5);
  other_version.version = 2;
  EXPECT_EQ(PlanContext({Candidate(1, "a", 0, 10, 5, 0.9), other_version}, {})
                .passages.size(),
            2u);
  EXPECT_EQ(PlanContext({Candidate(1, "a", 0, 10, 5, 0.9),
                         Candidate(2, "a", 13, 20, 5, 0.5)},
                        {})
                .passages.size(),
            2u);
}

TEST(ContextPlanTest, OverlappingAndNestedRangesStayOneRange) {
  const ContextPlan plan = PlanContext(
      {Candidate(1, "a", 0, 100, 5, 0.9), Candidate(2, "a", 20, 40, 5, 0.5),
       Candidate(3, "a", 50, 120, 5, 0.4)},
      {});
  ASSERT_EQ(plan.passages.size(), 1u);
  EXPECT_EQ(plan.passages[0].text_end, 120u);
}

TEST(ContextPlanTest, NothingInNothingOut) {
  EXPECT_TRUE(PlanContext({}, {}).passages.empty());
  const ContextPlan plan =
      PlanContext({Candidate(1, "a", 0, 10, 5, 1)}, {.max_tokens = 0});
  EXPECT_TRUE(plan.passages.empty());
  EXPECT_EQ(plan.dropped.size(), 1u);
}

}  // namespace
}  // namespace braid::fusion
