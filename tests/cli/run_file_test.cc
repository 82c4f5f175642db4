#include "services/eval/run_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <sstream>

namespace braid::services {
namespace {

struct Line {
  std::string query, iteration, document, tag;
  int rank = 0;
  float score = 0;  // trec_eval reads scores as float
};

std::vector<Line> ReadLines(const std::string& path) {
  std::ifstream file(path);
  std::vector<Line> lines;
  std::string text;
  while (std::getline(file, text)) {
    Line line;
    std::istringstream(text) >> line.query >> line.iteration >> line.document >>
        line.rank >> line.score >> line.tag;
    lines.push_back(line);
  }
  return lines;
}

TEST(TrecRun, KeepsOurOrderForReadersThatSortByScore) {
  const std::string path = testing::TempDir() + "/ties.trec";
  // Equal scores, and scores that differ in double only. A reader that breaks
  // ties by document id would turn these around.
  const braid::services::Run run = {
      {"q",
       {{"a", 0.5}, {"z", 0.5}, {"b", 0.5 - 1e-12}, {"c", 0.25}, {"d", 0.25}}}};
  ASSERT_TRUE(WriteTrecRun(run, "tag", path).ok());
  const std::vector<Line> lines = ReadLines(path);
  ASSERT_EQ(lines.size(), 5u);
  float previous = std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_LT(lines[i].score, previous);
    previous = lines[i].score;
    EXPECT_EQ(lines[i].rank, static_cast<int>(i) + 1);
    EXPECT_EQ(lines[i].document, run.at("q")[i].id);
    EXPECT_EQ(lines[i].iteration, "Q0");
    EXPECT_EQ(lines[i].tag, "tag");
  }
  EXPECT_NEAR(lines[2].score, 0.5, 1e-6);
}

TEST(TrecRun, RefusesIdsTheFormatCannotHold) {
  const std::string path = testing::TempDir() + "/blanks.trec";
  const absl::Status status =
      WriteTrecRun({{"q", {{"two words", 1.0}}}}, "tag", path);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("two words"));
  EXPECT_FALSE(WriteTrecRun({{"", {{"d", 1.0}}}}, "tag", path).ok());
}

TEST(TrecRun, NamesAFileThatCannotBeWritten) {
  const absl::Status status = WriteTrecRun({}, "tag", "/no/such/directory/run");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("/no/such/directory/run"));
}

TEST(AppendRanked, KeepsTheBestRankAndTheLimit) {
  std::vector<RankedDocument> list;
  for (const char* id : {"a", "b", "a", "c", "d"}) {
    AppendRanked(&list, {id, 1.0}, 3);
  }
  const Rankings rankings = ToRankings({{"q", list}});
  EXPECT_THAT(rankings.at("q"), testing::ElementsAre("a", "b", "c"));
}

}  // namespace
}  // namespace braid::services
