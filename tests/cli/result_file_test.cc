#include "services/eval/result_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "services/eval/comparison.h"

namespace braid::services {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

QueryScores Scores(double ndcg, size_t first_relevant) {
  QueryScores scores;
  scores.metrics.ndcg_10 = ndcg;
  scores.metrics.map_10 = ndcg / 3;
  scores.first_relevant = first_relevant;
  return scores;
}

EvalResult Example() {
  EvalResult result;
  result.dataset = "sets/stones";
  result.rows = 12;
  result.judgements = "abc";
  result.queries = {{"q,1", "what \"is\" it", "nl"},
                    {"q2", "<b> & \xC3\xA9", "a/b"},
                    {"q3", "", ""}};
  result.runs = {{"bm25", {Scores(0.25, 3), Scores(1, 1), Scores(0, 0)}},
                 {"fused", {Scores(0.5, 2), Scores(1.0 / 3, 4), Scores(0, 0)}}};
  result.final_run = "fused";
  return result;
}

class ResultFileTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(testing::TempDir()) /
                 testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  std::string Path(const std::string& name) const {
    return (directory_ / name).string();
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // The message of reading `text`.
  std::string ErrorOf(const std::string& text) const {
    const std::string path = Path("bad.json");
    std::ofstream(path, std::ios::binary) << text;
    const auto read = ReadResult(path);
    EXPECT_FALSE(read.ok()) << text.substr(0, 200);
    EXPECT_THAT(std::string(read.status().message()), HasSubstr("bad.json: "));
    return std::string(read.status().message());
  }

  std::filesystem::path directory_;
};

TEST_F(ResultFileTest, ReadsWhatItWrote) {
  const EvalResult result = Example();
  const std::string path = Path("r.json");
  const absl::Status written =
      WriteResult(result, {{"runs", {{"bm25", 1}}}, {"missing", 1}}, path);
  ASSERT_TRUE(written.ok()) << written;
  const auto read = ReadResult(path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->dataset, result.dataset);
  EXPECT_EQ(read->rows, 12u);
  EXPECT_EQ(read->judgements, "abc");
  EXPECT_EQ(read->final_run, "fused");
  ASSERT_EQ(read->queries.size(), 3u);
  EXPECT_EQ(read->queries[1].text, result.queries[1].text);
  EXPECT_EQ(read->queries[1].type, "a/b");
  ASSERT_EQ(read->runs.size(), 2u);
  for (const ResultRun& run : result.runs) {
    const ResultRun* again = FindRun(*read, run.name);
    ASSERT_NE(again, nullptr);
    for (size_t i = 0; i < 3; ++i) {
      // Every bit of a score comes back.
      EXPECT_EQ(again->scores[i].metrics.ndcg_10,
                run.scores[i].metrics.ndcg_10);
      EXPECT_EQ(again->scores[i].first_relevant, run.scores[i].first_relevant);
    }
  }
  // What the report said is there, too.
  EXPECT_EQ(Json::parse(Read(path))["missing"], 1);
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST_F(ResultFileTest, CsvHasALineForEachQueryAndRun) {
  const std::string path = Path("r.csv");
  ASSERT_TRUE(WriteResult(Example(), Json::object(), path).ok());
  std::istringstream csv(Read(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(csv, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 7u);
  EXPECT_EQ(lines[0],
            "query,type,run,ndcg@10,recall@50,recall@100,mrr@10,hits@4,hits@10,"
            "all@10,map@10,first_relevant\r");
  EXPECT_EQ(lines[1],
            "\"q,1\",nl,bm25,0.250000,0.000000,0.000000,0.000000,0.000000,"
            "0.000000,0.000000,0.083333,3\r");
  EXPECT_EQ(lines[4].substr(0, 24), "q2,a/b,fused,0.333333,0.");
}

TEST_F(ResultFileTest, NamesOtherwise) {
  EXPECT_EQ(CheckResultPath("a.txt").code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      WriteResult(Example(), Json::object(), Path("absent/r.json")).code(),
      absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CheckResultPath(Path("absent/r.json")).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadResult(Path("absent.json")).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ResultFileTest, AHostileFileIsOneError) {
  ASSERT_TRUE(WriteResult(Example(), Json::object(), Path("r.json")).ok());
  const std::string good = Read(Path("r.json"));
  for (size_t end = 0; end + 2 < good.size(); end += 97) {
    ErrorOf(good.substr(0, end));
  }
  ErrorOf(std::string(1 << 20, '['));
  ErrorOf(good + "x");
  const nlohmann::json parsed = nlohmann::json::parse(good);
  const std::tuple<const char*, nlohmann::json, const char*> cases[] = {
      {"/format", "other", "format"},
      {"/version", 2, "version"},
      {"/dataset", 1, "dataset"},
      {"/rows", -1, "rows"},
      {"/judgements", nullptr, "judgements"},
      {"/final_run", "rrf", "final_run"},
      {"/per_query", 3, "per_query"},
      {"/per_query/1", 3, "per_query[1]"},
      {"/per_query/1/id", 3, "per_query[1].id"},
      {"/per_query/1/id", "q,1", "per_query[1].id"},
      {"/per_query/1/text", 3, "per_query[1].text"},
      {"/per_query/1/runs", {{"bm25", 1}}, "per_query[1].runs"},
      {"/per_query/1/runs/extra", 3, "per_query[1].runs"},
      {"/per_query/1/runs/bm25", 3, "per_query[1].runs"},
      {"/per_query/2/runs/bm25/all@10", "1", "per_query[2].runs.bm25.all@10"},
      {"/per_query/2/runs/bm25/ndcg@10", 1e9, "per_query[2].runs.bm25.ndcg@10"},
      {"/per_query/2/runs/bm25/ndcg@10", nullptr, "runs.bm25.ndcg@10"},
      {"/per_query/2/runs/bm25/first_relevant", 101, "first_relevant"},
      {"/per_query/2/runs/bm25/first_relevant", 1.5, "first_relevant"}};
  for (const auto& [pointer, value, says] : cases) {
    nlohmann::json changed = parsed;
    changed[nlohmann::json::json_pointer(pointer)] = value;
    EXPECT_THAT(ErrorOf(changed.dump()), HasSubstr(says)) << pointer;
  }
}

TEST_F(ResultFileTest, ComparesWhatChanged) {
  const EvalResult before = Example();
  EvalResult after = Example();
  after.runs[1].scores = {Scores(0.25, 3), Scores(1, 1), Scores(0, 0)};
  after.runs.push_back(
      {"reranked", {Scores(1, 1), Scores(0, 0), Scores(0, 7)}});
  after.final_run = "reranked";
  const auto got = Compare(before, after, "old.json");
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->runs.size(), 2u);
  EXPECT_EQ(got->runs[0].differences[0].mean, 0);
  EXPECT_NEAR(got->runs[1].differences[0].mean, (-0.25 + 2.0 / 3) / 3, 1e-12);
  EXPECT_EQ(got->runs[1].differences[0].better, 1u);
  EXPECT_EQ(got->runs[1].differences[0].worse, 1u);
  EXPECT_EQ(got->final_run.before, "fused");
  EXPECT_EQ(got->final_run.after, "reranked");
  ASSERT_EQ(got->improved.size(), 1u);
  EXPECT_EQ(got->improved[0].query->id, "q,1");
  EXPECT_EQ(got->improved[0].before.first_relevant, 2u);
  ASSERT_EQ(got->worsened.size(), 1u);
  const Json json = ToJson(*got);
  EXPECT_EQ(json["worsened"][0]["query"], "q2");
  EXPECT_EQ(json["worsened"][0]["first_relevant_before"], 4);
  EXPECT_EQ(json["worsened"][0]["first_relevant_after"], 0);
  EXPECT_EQ(json["final"]["before"], "fused");
  EXPECT_NEAR(json["final"]["ndcg@10"]["before"].get<double>(), 2.5 / 9, 1e-9);
}

TEST_F(ResultFileTest, KeepsTheLargestChanges) {
  EvalResult before;
  before.rows = 1;
  before.runs = {{"fused", {}}};
  before.final_run = "fused";
  EvalResult after = before;
  for (int i = 0; i < 40; ++i) {
    const std::string id = "q" + std::to_string(100 + i);
    for (EvalResult* result : {&before, &after}) {
      result->queries.push_back({id, "", ""});
    }
    before.runs[0].scores.push_back(Scores(0.5, 1));
    after.runs[0].scores.push_back(Scores(0.5 + (i - 20) * 0.01, 1));
  }
  const auto got = Compare(before, after, "old.json");
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->improved.size(), kMaxChangedQueries);
  ASSERT_EQ(got->worsened.size(), kMaxChangedQueries);
  EXPECT_EQ(got->improved[0].query->id, "q139");
  EXPECT_EQ(got->worsened[0].query->id, "q100");
  EXPECT_EQ(got->worsened[9].query->id, "q109");
}

TEST_F(ResultFileTest, RefusesAnotherSet) {
  const auto error = [](const EvalResult& before) {
    const auto got = Compare(before, Example(), "old.json");
    EXPECT_EQ(got.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(got.status().message()), HasSubstr("old.json: "));
    return std::string(got.status().message());
  };
  EvalResult other = Example();
  other.rows = 13;
  EXPECT_THAT(error(other), AllOf(HasSubstr("rows"), HasSubstr("13")));
  other = Example();
  other.judgements = "abd";
  EXPECT_THAT(error(other), HasSubstr("judgements"));
  other = Example();
  other.queries[1].text = "other";
  EXPECT_THAT(error(other), AllOf(HasSubstr("per_query"), HasSubstr("q2")));
  other = Example();
  other.queries[1].id = "q1x";
  EXPECT_THAT(error(other), HasSubstr("\"q1x\" is none of this set"));
  other.queries[1].id = "q2x";
  EXPECT_THAT(error(other), HasSubstr("\"q2\" is not there"));
  other = Example();
  other.queries.pop_back();
  EXPECT_THAT(error(other), HasSubstr("2 judged queries, not 3"));
  EvalResult empty;
  EXPECT_FALSE(Compare(empty, empty, "old.json").ok());
}

// 100 queries of which the last few lost their hit.
Comparison Lost(size_t lost) {
  EvalResult before;
  before.runs = {{"fused", {}}};
  before.final_run = "fused";
  EvalResult after = before;
  for (size_t i = 0; i < 100; ++i) {
    const std::string id = std::to_string(1000 + i);
    for (EvalResult* result : {&before, &after}) {
      result->queries.push_back({id, "", ""});
    }
    before.runs[0].scores.push_back(Scores(1, 1));
    after.runs[0].scores.push_back(i < 100 - lost ? Scores(1, 1)
                                                  : Scores(0, 0));
  }
  return *Compare(before, after, "old.json");
}

TEST_F(ResultFileTest, AFallIsARegression) {
  EXPECT_TRUE(CheckRegression(Lost(0), 0).ok());
  // One query of a hundred: within chance.
  EXPECT_TRUE(CheckRegression(Lost(1), 0.02).ok());
  const absl::Status more = CheckRegression(Lost(1), 0.005);
  EXPECT_EQ(more.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(more.message()),
              AllOf(HasSubstr("fell by 0.0100, from 1.0000 to 0.9900"),
                    HasSubstr("more than 0.005")));
  // Ten are not, however much is allowed.
  EXPECT_THAT(std::string(CheckRegression(Lost(10), 0.5).message()),
              HasSubstr("significant"));
}

}  // namespace
}  // namespace braid::services
