// BM25 on the evaluation sets, which lie beside the repository where there are
// any, against figures that Tantivy's Python binding gave for one field of
// words.
#include <zlib.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "nlohmann/json.hpp"
#include "tests/lexical/lexical_testing.h"

namespace braid::retrieval {
namespace {

std::vector<nlohmann::json> ReadJsonLines(const std::string& path) {
  std::vector<nlohmann::json> rows;
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return rows;
  std::string text;
  char buffer[1 << 16];
  for (int got = 0; (got = gzread(file, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, got);
  }
  gzclose(file);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    rows.push_back(nlohmann::json::parse(line));
  }
  return rows;
}

using Judgements = std::map<std::string, std::map<std::string, int>>;

Judgements ReadJudgements(const std::string& path) {
  Judgements judgements;
  std::ifstream file(path);
  std::string query;
  std::string document;
  std::string score;
  for (file >> query >> document >> score;
       file >> query >> document >> score;) {
    judgements[query][document] = std::stoi(score);
  }
  return judgements;
}

// trec_eval's: linear gain, the ideal from all judged documents.
double NdcgAt10(const std::vector<std::string>& ranked,
                const std::map<std::string, int>& judged) {
  double gain = 0;
  for (size_t i = 0; i < ranked.size() && i < 10; ++i) {
    const auto found = judged.find(ranked[i]);
    if (found != judged.end()) gain += found->second / std::log2(i + 2.0);
  }
  std::vector<int> ideal;
  for (const auto& [document, score] : judged) ideal.push_back(score);
  std::sort(ideal.rbegin(), ideal.rend());
  double best = 0;
  for (size_t i = 0; i < ideal.size() && i < 10; ++i) {
    best += ideal[i] / std::log2(i + 2.0);
  }
  return best > 0 ? gain / best : -1;
}

struct Baseline {
  std::string set;
  double ndcg;
};

class LexicalQualityTest : public testing::TestWithParam<Baseline> {};

TEST_P(LexicalQualityTest, ReachesTheBaseline) {
  const std::string set = BRAID_SHARED_DIR "/data/" + GetParam().set;
  const auto corpus = ReadJsonLines(set + "/corpus.jsonl.gz");
  if (corpus.empty()) GTEST_SKIP() << "there is no " << set;
  const TestDirectory directory;
  const auto index = OpenIndex(directory.path());
  for (size_t i = 0; i < corpus.size(); ++i) {
    AddText(*index, i + 1, corpus[i].at("text"), corpus[i].value("title", ""));
  }
  ASSERT_TRUE(index->Commit(1).ok());
  const auto snapshot = index->snapshot();
  double sum = 0;
  int judged_queries = 0;
  const Judgements judgements = ReadJudgements(set + "/qrels.tsv");
  for (const auto& query : ReadJsonLines(set + "/queries.jsonl.gz")) {
    const auto judged = judgements.find(query.at("_id"));
    if (judged == judgements.end()) continue;
    const auto found =
        snapshot->Search(query.at("text").get<std::string>(), 10, nullptr);
    ASSERT_TRUE(found.ok());
    std::vector<std::string> ranked;
    for (const ScoredChunk& hit : *found) {
      ranked.push_back(corpus[hit.chunk - 1].at("_id"));
    }
    const double ndcg = NdcgAt10(ranked, judged->second);
    if (ndcg < 0) continue;
    sum += ndcg;
    ++judged_queries;
  }
  ASSERT_GT(judged_queries, 200);
  const double ndcg = sum / judged_queries;
  RecordProperty("ndcg_at_10", std::to_string(ndcg));
  // Identifiers may lift a set, but nothing may cost one more than this.
  EXPECT_GE(ndcg, GetParam().ndcg - 0.002);
}

INSTANTIATE_TEST_SUITE_P(
    Sets, LexicalQualityTest,
    testing::Values(Baseline{"squad", .9060}, Baseline{"multihop", .6813},
                    Baseline{"multihoprag_ev", .7702},
                    Baseline{"scifact", .6915}, Baseline{"techdocs", .7114}),
    [](const auto& instance) { return instance.param.set; });

}  // namespace
}  // namespace braid::retrieval
