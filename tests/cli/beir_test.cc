#include "services/eval/beir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "services/eval/line_reader.h"

namespace braid::services {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class BeirTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(testing::TempDir()) /
                 testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_ / "qrels");
  }

  std::string Write(const std::string& name, const std::string& content) {
    const std::string path = (directory_ / name).string();
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  std::string WriteGzip(const std::string& name, const std::string& content) {
    const std::string path = (directory_ / name).string();
    const gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    gzclose(file);
    return path;
  }

  std::filesystem::path directory_;
};

TEST_F(BeirTest, FindsPlainAndGzipInEitherLayout) {
  WriteGzip("corpus.jsonl.gz", "{}");
  Write("queries.jsonl", "{}");
  Write("qrels/test.tsv", "");
  const auto files = FindDataset(directory_.string(), "", "");
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(files->corpus, HasSubstr("corpus.jsonl.gz"));
  EXPECT_THAT(files->qrels, HasSubstr("qrels/test.tsv"));
  Write("qrels.tsv", "");
  EXPECT_THAT(FindDataset(directory_.string(), "", "")->qrels,
              HasSubstr("/qrels.tsv"));
  EXPECT_EQ(FindDataset(directory_.string(), "other", "third")->queries,
            "other");
}

TEST_F(BeirTest, SaysWhatIsMissing) {
  const auto files = FindDataset(directory_.string(), "", "");
  EXPECT_EQ(files.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(files.status().message()), HasSubstr("corpus.jsonl"));
}

TEST_F(BeirTest, ReadsRowsPlainAndGzip) {
  const std::string rows =
      "{\"_id\":\"1\",\"title\":\"T\",\"text\":\"caf\\u00e9\"}\r\n"
      "\n"
      "{\"_id\":\"2\",\"text\":\"no title\",\"metadata\":{\"x\":1}}";
  for (const std::string& path :
       {Write("corpus.jsonl", rows), WriteGzip("corpus.jsonl.gz", rows)}) {
    std::vector<retrieval::InlineDocument> read;
    const absl::Status status =
        ForEachCorpusRow(path, [&read](retrieval::InlineDocument row) {
          read.push_back(std::move(row));
          return true;
        });
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(read.size(), 2u);
    EXPECT_EQ(read[0].document_id, "1");
    EXPECT_EQ(read[0].title, "T");
    EXPECT_EQ(read[0].text, "café");
    EXPECT_EQ(read[1].title, "");
  }
}

TEST_F(BeirTest, NamesFileAndLineOfABadRow) {
  const std::string good = "{\"_id\":\"1\",\"text\":\"x\"}\n";
  for (const char* bad : {"{\"_id\":\"2\"}", "{\"_id\":\"2\",\"text\":3}",
                          "[1]", "{\"_id\":", "\xff\xfe"}) {
    const std::string path = Write("corpus.jsonl", good + bad + "\n");
    const absl::Status status = ForEachCorpusRow(
        path, [](const retrieval::InlineDocument&) { return true; });
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("corpus.jsonl:2: "));
  }
}

TEST_F(BeirTest, ReadsTypesAndAnswersOfQueries) {
  const auto queries = ReadQueries(Write(
      "queries.jsonl",
      R"({"_id":"1","text":"a","metadata":{"type":"nl","answers":["x","y"]}})"
      "\n"
      R"({"_id":"2","text":"b"})"
      "\n"
      R"({"_id":"3","text":"c","metadata":{"type":7,"answers":null}})"
      "\n"
      R"({"_id":"4","text":"d","metadata":null})"));
  ASSERT_TRUE(queries.ok()) << queries.status();
  ASSERT_EQ(queries->size(), 4u);
  EXPECT_EQ((*queries)[0].type, "nl");
  EXPECT_EQ((*queries)[0].answers, (std::vector<std::string>{"x", "y"}));
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ((*queries)[i].type, "");
    EXPECT_TRUE((*queries)[i].answers.empty());
  }
}

TEST_F(BeirTest, NamesFileAndLineOfABadQuery) {
  const std::string good = "{\"_id\":\"1\",\"text\":\"x\"}\n";
  const std::pair<const char*, const char*> cases[] = {
      {R"({"_id":"2"})", "\"text\""},
      {R"({"text":"x"})", "\"_id\""},
      {R"({"_id":"1","text":"again"})", "second query"},
      {R"({"_id":"2","text":"x","metadata":{"answers":"y"}})", "answers"},
      {R"({"_id":"2","text":"x","metadata":{"answers":[1]}})", "answers"},
      {"[", "not a JSON object"}};
  for (const auto& [bad, says] : cases) {
    const auto queries = ReadQueries(Write("queries.jsonl", good + bad + "\n"));
    EXPECT_EQ(queries.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(queries.status().message()),
                AllOf(HasSubstr("queries.jsonl:2: "), HasSubstr(says)));
  }
}

TEST_F(BeirTest, JudgementsHaveAFingerprint) {
  const Qrels one = {{"q", {{"a", 1}, {"b", 2}}}};
  EXPECT_EQ(JudgementsFingerprint(one),
            JudgementsFingerprint(
                *ReadQrels(Write("qrels.tsv", "q\tb\t2\nq\ta\t1\n"))));
  EXPECT_NE(JudgementsFingerprint(one),
            JudgementsFingerprint({{"q", {{"a", 1}, {"b", 1}}}}));
  EXPECT_NE(JudgementsFingerprint({{"q1", {{"2", 3}}}}),
            JudgementsFingerprint({{"q", {{"12", 3}}}}));
}

TEST_F(BeirTest, StopsWhenToldTo) {
  const std::string path =
      Write("corpus.jsonl", "{\"_id\":\"1\",\"text\":\"x\"}\nnot json\n");
  size_t count = 0;
  EXPECT_TRUE(ForEachCorpusRow(path, [&](const retrieval::InlineDocument&) {
                return ++count < 1;
              }).ok());
  EXPECT_EQ(count, 1u);
}

TEST_F(BeirTest, ReadsQrelsOfBothKinds) {
  const auto beir = ReadQrels(
      Write("a.tsv", "query-id\tcorpus-id\tscore\nq1\td 1\t2\nq1\td2\t0\n"));
  ASSERT_TRUE(beir.ok()) << beir.status();
  EXPECT_EQ(beir->at("q1").at("d 1"), 2);
  EXPECT_EQ(beir->at("q1").at("d2"), 0);
  const auto trec = ReadQrels(Write("b.qrels", "q1 0 d1 1\nq2 0 d2 -1\n"));
  ASSERT_TRUE(trec.ok()) << trec.status();
  EXPECT_EQ(trec->at("q2").at("d2"), -1);
  const auto bad = ReadQrels(Write("c.tsv", "q1\td1\t1\nq1\td2\tmuch\n"));
  EXPECT_EQ(bad.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(bad.status().message()), HasSubstr("c.tsv:2: "));
  EXPECT_FALSE(ReadQrels(Write("d.tsv", "q1\td1\t1\nq1\n")).ok());
}

TEST_F(BeirTest, RefusesADamagedGzipFile) {
  std::string rows;
  for (int i = 0; i < 5000; ++i) {
    rows += "{\"_id\":\"" + std::to_string(i * 7919) + "\",\"text\":\"x\"}\n";
  }
  const std::string path = WriteGzip("corpus.jsonl.gz", rows);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const absl::Status status = ForEachCorpusRow(
      path, [](const retrieval::InlineDocument&) { return true; });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_EQ(
      ForEachLine(path + ".absent",
                  [](size_t, absl::string_view) { return absl::OkStatus(); })
          .code(),
      absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace braid::services
