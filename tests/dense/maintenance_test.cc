#include "retrieval/dense/maintenance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kSeal = 1000;
constexpr SegmentKind kFlat = SegmentKind::kFlat;
constexpr SegmentKind kHnsw = SegmentKind::kHnsw;

TEST(PlanRebuildTest, LeavesHealthySegmentsAlone) {
  const std::vector<SealedState> segments = {
      {kHnsw, 1000, 1000}, {kHnsw, 1000, 801}, {kHnsw, 1000, 900}};
  EXPECT_THAT(PlanRebuild(segments, kSeal), IsEmpty());
}

TEST(PlanRebuildTest, SealsFlatSegmentsFirst) {
  const std::vector<SealedState> segments = {{kHnsw, 1000, 100},
                                             {kFlat, 1000, 1000}};
  EXPECT_THAT(PlanRebuild(segments, kSeal), ElementsAre(1));
}

TEST(PlanRebuildTest, CompactsAboveAFifthDeleted) {
  EXPECT_THAT(PlanRebuild({{kHnsw, 1000, 800}}, kSeal), IsEmpty());
  EXPECT_THAT(PlanRebuild({{kHnsw, 1000, 799}}, kSeal), ElementsAre(0));
}

TEST(PlanRebuildTest, JoinsSmallRemainders) {
  const std::vector<SealedState> segments = {
      {kHnsw, 1000, 1000}, {kHnsw, 300, 290}, {kHnsw, 1000, 300}};
  EXPECT_THAT(PlanRebuild(segments, kSeal), ElementsAre(2, 1));
}

TEST(PlanRebuildTest, MergesFourOfOneSize) {
  const std::vector<SealedState> segments = {{kHnsw, 4000, 4000},
                                             {kHnsw, 1000, 1000},
                                             {kHnsw, 1000, 1000},
                                             {kHnsw, 1000, 1000}};
  EXPECT_THAT(PlanRebuild(segments, kSeal), IsEmpty());
  std::vector<SealedState> more = segments;
  more.push_back({kHnsw, 1100, 1100});
  EXPECT_THAT(PlanRebuild(more, kSeal), ElementsAre(1, 2, 3, 4));
}

TEST(PlanRebuildTest, StopsMergingAtTheLargestSize) {
  const SealedState large = {kHnsw, kMaxMergedVectors / 2,
                             kMaxMergedVectors / 2};
  EXPECT_THAT(PlanRebuild({large, large, large, large}, kSeal), IsEmpty());
}

TEST(PlanRebuildTest, DoesNotRepeatWhatFailedOrIsEmpty) {
  EXPECT_THAT(PlanRebuild({{kFlat, 1000, 1000, true}, {kFlat, 1000, 0}}, kSeal),
              IsEmpty());
}

}  // namespace
}  // namespace braid::retrieval
