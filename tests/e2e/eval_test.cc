// `braid eval` on a tiny judged set of our own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "absl/cleanup/cleanup.h"
#include "tests/e2e/braid_binary.h"

namespace braid::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kDataset = BRAID_SOURCE_DIR "/tests/data/beir";
constexpr const char* kMetrics[] = {"ndcg@10", "recall@50", "recall@100",
                                    "mrr@10",  "hits@4",    "hits@10",
                                    "all@10",  "map@10"};

// What trec_eval says of the runs, which were made in f32: see
// make_eval_golden.py.
TEST(Eval, EqualsTrecEval) {
  const ScratchDirectory scratch;
  setenv("BRAID_ENCODER_WEIGHTS", "f32", 1);
  const absl::Cleanup restore = [] { unsetenv("BRAID_ENCODER_WEIGHTS"); };
  const Output output =
      RunBraid({"eval", "--dataset", kDataset, "--run-out", scratch / "run",
                "--data", scratch / "data", "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json report = output.LastJson();
  // q6 has nothing relevant, q7 no judgement; q8 is judged but not asked.
  EXPECT_EQ(report["judged"], 6);
  EXPECT_EQ(report["missing"], 1);
  EXPECT_EQ(report["index"]["rows"], 12);
  EXPECT_EQ(report["index"]["written"], 12);
  const Json golden =
      Json::parse(ReadFile(BRAID_SOURCE_DIR "/tests/e2e/data/eval_golden.json"),
                  nullptr, false);
  for (const char* run : {"bm25", "dense", "rrf", "fused"}) {
    SCOPED_TRACE(run);
    ASSERT_TRUE(report["runs"].contains(run));
    for (const char* metric : kMetrics) {
      EXPECT_NEAR(report["runs"][run][metric].get<double>(),
                  golden[run][metric].get<double>(), 1e-6)
          << metric;
    }
  }
  // Against the better leg, from the same scores.
  const Json& significance = report["significance"];
  EXPECT_EQ(significance["against"], "dense");
  ASSERT_EQ(significance["runs"].size(), 3u);
  for (const char* metric : kMetrics) {
    const Json& fused = significance["runs"]["fused"][metric];
    EXPECT_NEAR(fused["delta"].get<double>(),
                report["runs"]["fused"][metric].get<double>() -
                    report["runs"]["dense"][metric].get<double>(),
                1e-9)
        << metric;
    EXPECT_LE(fused["low"], fused["high"]);
  }
  for (const char* stage : {"bm25", "dense", "embed", "fuse", "total"}) {
    ASSERT_TRUE(report["latency_ms"].contains(stage)) << stage;
    const Json& latency = report["latency_ms"][stage];
    EXPECT_LE(latency["p50"], latency["p95"]);
    EXPECT_LE(latency["p95"], latency["p99"]);
  }
  for (const char* suffix : {"", ".bm25", ".dense", ".rrf"}) {
    EXPECT_THAT(ReadFile((scratch / "run") + suffix), HasSubstr("q1 Q0 d"));
  }

  // The index is used again: nothing is embedded twice.
  const Output again = RunBraid(
      {"eval", "--dataset", kDataset, "--data", scratch / "data", "--json"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.LastJson()["index"]["unchanged"], 12);
  EXPECT_EQ(again.LastJson()["runs"], report["runs"]);
}

TEST(Eval, TakesOtherQueriesAndJudgements) {
  const ScratchDirectory scratch;
  const std::string queries = scratch.Write(
      "queries.jsonl", "{\"_id\":\"x\",\"text\":\"slate roofs\"}\n");
  const std::string qrels = scratch.Write("qrels.tsv", "x\td5\t1\n");
  const Output output = RunBraid({"eval", "--dataset", kDataset, "--queries",
                                  queries, "--qrels", qrels, "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(output.LastJson()["judged"], 1);
  EXPECT_EQ(output.LastJson()["runs"]["bm25"]["mrr@10"], 1.0);
}

TEST(Eval, BreaksResultsDownByType) {
  const ScratchDirectory scratch;
  const std::string queries = scratch.Write(
      "queries.jsonl",
      "{\"_id\":\"x\",\"text\":\"slate roofs\","
      "\"metadata\":{\"type\":\"stone/roof\"}}\n"
      "{\"_id\":\"y\",\"text\":\"light and dark bands of gneiss\","
      "\"metadata\":{\"type\":\"stone/band\"}}\n"
      "{\"_id\":\"z\",\"text\":\"sourdough bread\","
      "\"metadata\":{\"type\":\"food\"}}\n");
  // The third is judged wrongly, so that the types differ.
  const std::string qrels =
      scratch.Write("qrels.tsv", "x\td5\t1\ny\td9\t1\nz\tabsent\t1\n");
  const std::vector<std::string> arguments = {
      "eval",    "--dataset", kDataset, "--queries",     queries,
      "--qrels", qrels,       "--data", scratch / "data"};
  std::vector<std::string> json = arguments;
  json.push_back("--json");
  const Output output = RunBraid(json);
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json types = output.LastJson()["types"];
  ASSERT_EQ(types.size(), 2u) << types;
  EXPECT_EQ(types["stone"]["queries"], 2);
  EXPECT_EQ(types["stone"]["runs"]["fused"]["ndcg@10"], 1.0);
  EXPECT_EQ(types["food"]["queries"], 1);
  EXPECT_EQ(types["food"]["runs"]["fused"]["ndcg@10"], 0.0);

  const Output table = RunBraid(arguments);
  ASSERT_EQ(table.exit_code, 0) << table.err;
  for (const char* word :
       {"Recall@50", "All@10", "95 % interval", "food", "stone", "p99 ms"}) {
    EXPECT_THAT(table.out, HasSubstr(word));
  }
}

TEST(Eval, ComparesWithAnEarlierResult) {
  const ScratchDirectory scratch;
  const std::string result = scratch / "then.json";
  const std::vector<std::string> eval = {"eval", "--dataset", kDataset,
                                         "--data", scratch / "data"};
  const auto run = [&eval](std::vector<std::string> flags) {
    flags.insert(flags.begin(), eval.begin(), eval.end());
    return RunBraid(flags);
  };
  const Output first = run({"--out", result, "--out", scratch / "then.csv"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const Json then = Json::parse(ReadFile(result), nullptr, false);
  ASSERT_TRUE(then.is_object());
  EXPECT_EQ(then["per_query"].size(), 6u);
  EXPECT_EQ(then["per_query"][0]["text"],
            "Which rock is limestone changed by heat?");
  EXPECT_EQ(then["runs"].size(), 4u);
  // A line for each query and run, and the names.
  const std::string csv = ReadFile(scratch / "then.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 6 * 4 + 1);

  // The same again: nothing changed, nothing fell.
  const Output same = run({"--compare", result, "--max-drop", "0", "--json"});
  EXPECT_EQ(same.exit_code, 0) << same.err;
  const Json compare = same.LastJson()["compare"];
  EXPECT_EQ(compare["final"]["ndcg@10"]["delta"], 0.0);
  EXPECT_EQ(compare["final"]["ndcg@10"]["p"], 1.0);
  EXPECT_TRUE(compare["improved"].empty());
  EXPECT_TRUE(compare["worsened"].empty());

  // As if it had been perfect: four of six are already, so the fall is the two.
  Json better = then;
  for (Json& query : better["per_query"]) {
    query["runs"]["fused"]["ndcg@10"] = 1.0;
    query["runs"]["fused"]["first_relevant"] = 1;
  }
  const std::string perfect = scratch.Write("perfect.json", better.dump());
  const Output fell = run({"--compare", perfect, "--max-drop", "0.01"});
  EXPECT_EQ(fell.exit_code, 1);
  EXPECT_THAT(fell.err, HasSubstr("nDCG@10 of the fused run fell by 0.20"));
  EXPECT_THAT(fell.err, HasSubstr("more than 0.01"));
  // With their text, and the rank of the first relevant document.
  EXPECT_THAT(fell.out, HasSubstr("worsened"));
  EXPECT_THAT(fell.out, HasSubstr("rock made from lava"));
  const Output told = run({"--compare", perfect, "--json"});
  EXPECT_EQ(told.exit_code, 0) << "only --max-drop fails";
  const Json worsened = told.LastJson()["compare"]["worsened"];
  ASSERT_FALSE(worsened.empty());
  // Judged, but not among the queries.
  EXPECT_EQ(worsened[0]["query"], "q8");
  EXPECT_EQ(worsened[0]["first_relevant_before"], 1);
  EXPECT_EQ(worsened[0]["first_relevant_after"], 0);
}

TEST(Eval, AsksForAnswers) {
  const ScratchDirectory scratch;
  const std::string queries = scratch.Write(
      "queries.jsonl",
      "{\"_id\":\"x\",\"text\":\"What does slate cover?\",\"metadata\":{"
      "\"answers\":[\"slate splits into thin sheets, and covers roofs\"]}}\n"
      "{\"_id\":\"y\",\"text\":\"What does gneiss show?\",\"metadata\":{"
      "\"answers\":[\"bands\",\"dark bands\"]}}\n");
  // The answer to the second will cite what is not judged relevant.
  const std::string qrels = scratch.Write("qrels.tsv", "x\td5\t1\ny\td12\t1\n");
  const std::string unanswerable = scratch.Write(
      "unanswerable.jsonl",
      "{\"_id\":\"n\",\"text\":\"Who won the 1987 chess tournament in "
      "Zanzibar?\",\"doc\":\"d1\"}\n");
  const std::vector<std::string> arguments = {
      "eval",           "--dataset",  kDataset, "--queries",
      queries,          "--qrels",    qrels,    "--answers",
      "--unanswerable", unanswerable, "--data", scratch / "data"};
  std::vector<std::string> json = arguments;
  json.insert(json.end(), {"--json", "--out", scratch / "result.json"});
  const Output output = RunBraid(json);
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json answers = output.LastJson()["answers"];
  EXPECT_EQ(answers["answerer"], "extractive");
  EXPECT_EQ(answers["questions"], 3);
  EXPECT_EQ(answers["with_gold"], 2);
  EXPECT_EQ(answers["exact_match"], 0.5) << answers;
  EXPECT_GT(answers["f1"], 0.5);
  EXPECT_LT(answers["f1"], 1.0);
  EXPECT_EQ(answers["contains"], 1.0);
  EXPECT_EQ(answers["citations"]["recall"], 0.5);
  EXPECT_GT(answers["citations"]["precision"], 0.0);
  EXPECT_LT(answers["citations"]["precision"], 1.0);
  EXPECT_EQ(answers["abstention"]["unanswerable"], 1);
  EXPECT_EQ(answers["abstention"]["abstained"], 1);
  EXPECT_EQ(answers["abstention"]["f1"], 1.0);
  EXPECT_EQ(answers["abstain_reasons"]["no_support"], 1);
  EXPECT_GT(answers["latency_ms"]["generate"]["p50"], 0.0);
  const Json file =
      Json::parse(ReadFile(scratch / "result.json"), nullptr, false);
  const Json& questions = file["answers"]["per_question"];
  ASSERT_EQ(questions.size(), 3u);
  EXPECT_EQ(questions[0]["answer"],
            "Slate splits into thin sheets and covers roofs.");
  EXPECT_EQ(questions[2]["abstained"], true);

  const Output table = RunBraid(arguments);
  ASSERT_EQ(table.exit_code, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("answers by extractive"));
  EXPECT_THAT(table.out, HasSubstr("abstentions"));

  const Output bad = RunBraid(
      {"eval", "--dataset", kDataset, "--answers", "--unanswerable", qrels});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, HasSubstr("qrels.tsv:1: "));
}

// Python's parser says whether it is XML, and what is in it.
TEST(Eval, DrawsAPlot) {
  const ScratchDirectory scratch;
  // The name of the set is part of the title.
  const std::string dataset = scratch / "a<b>&c";
  std::filesystem::copy(kDataset, dataset,
                        std::filesystem::copy_options::recursive);
  const std::string plot = scratch / "runs.svg";
  const Output output =
      RunBraid({"eval", "--dataset", dataset, "--plot", plot, "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const std::string script =
      scratch.Write("read.py",
                    "import sys, xml.etree.ElementTree as tree\n"
                    "root = tree.parse(sys.argv[1]).getroot()\n"
                    "svg = '{http://www.w3.org/2000/svg}'\n"
                    "assert root.tag == svg + 'svg', root.tag\n"
                    "for text in root.iter(svg + 'text'): print(text.text)\n"
                    "assert len(list(root.iter(svg + 'rect'))) == 5\n");
  const std::string command =
      "python3 '" + script + "' '" + plot + "' > '" + (scratch / "texts") + "'";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const std::string texts = ReadFile(scratch / "texts");
  for (const char* text : {"a<b>&c", "bm25", "dense", "rrf", "fused"}) {
    EXPECT_THAT(texts, HasSubstr(text));
  }
  char fused[16];
  std::snprintf(fused, sizeof(fused), "%.4f",
                output.LastJson()["runs"]["fused"]["ndcg@10"].get<double>());
  EXPECT_THAT(texts, HasSubstr(fused));
}

TEST(Eval, RefusesResultsThatAreNone) {
  const ScratchDirectory scratch;
  const std::string queries = scratch.Write(
      "queries.jsonl", "{\"_id\":\"x\",\"text\":\"slate roofs\"}\n");
  const std::string qrels = scratch.Write("qrels.tsv", "x\td5\t1\n");
  const std::string result = scratch / "other.json";
  ASSERT_EQ(RunBraid({"eval", "--dataset", kDataset, "--queries", queries,
                      "--qrels", qrels, "--out", result})
                .exit_code,
            0);
  const std::vector<std::pair<std::vector<std::string>, const char*>> cases = {
      {{"--compare", result}, "other.json: per_query: query \"q1\""},
      {{"--compare", scratch / "absent.json"}, "absent.json: no such file"},
      {{"--compare", scratch.Write("cut.json", "{\"format\":")}, "cut.json"},
      {{"--compare", scratch.Write("list.json", "[]")}, "list.json"},
      {{"--compare", scratch.Write("a.json", "{\"format\":\"braid-eval\"}")},
       "a.json: version"},
      {{"--out", scratch / "result.txt"}, ".json or .csv"},
      {{"--plot", scratch / "plot.png"}, "must end in .svg"},
      {{"--out", scratch / "absent/result.json"}, "there is no directory"}};
  for (const auto& [flags, says] : cases) {
    std::vector<std::string> arguments = {"eval", "--dataset", kDataset};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Output output = RunBraid(arguments);
    EXPECT_NE(output.exit_code, 0) << says;
    EXPECT_THAT(output.err, HasSubstr(says));
    // Before anything was indexed.
    EXPECT_THAT(output.err, Not(HasSubstr("Indexing")));
    EXPECT_EQ(std::count(output.err.begin(), output.err.end(), '\n'), 1)
        << output.err;
  }
  EXPECT_EQ(
      RunBraid({"eval", "--dataset", kDataset, "--max-drop", "0.1"}).exit_code,
      2);
}

TEST(Eval, NamesWhatIsMissing) {
  const ScratchDirectory scratch;
  const Output output = RunBraid({"eval", "--dataset", scratch / "absent"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.err, HasSubstr("corpus.jsonl"));
}

// The benchmarks print what scripts read, on the same tiny set.
TEST(Bench, SearchPrintsItsFields) {
  const Output output = RunBraid(
      {"bench", "search", "--dataset", kDataset, "--seconds", "0.3", "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json report = output.LastJson();
  for (const char* field : {"p50_ms", "p95_ms", "p99_ms"}) {
    EXPECT_GT(report[field], 0.0) << field;
    EXPECT_GT(report["legs"]["bm25"][field], 0.0) << field;
    EXPECT_GT(report["legs"]["dense"][field], 0.0) << field;
    EXPECT_GT(report["embedded_before"][field], 0.0) << field;
  }
  EXPECT_GT(report["embedded_before_to_raw"], 0.0);
  for (const char* engine : {"tantivy", "faiss_flat", "faiss_hnsw", "embed"}) {
    EXPECT_GT(report["floor"][engine]["p50"], 0.0) << engine;
  }
  EXPECT_GT(report["queries_per_second"]["1"], 0.0);
  EXPECT_GT(report["queries_per_second"]["2"], 0.0);
}

TEST(Bench, DensePrintsItsFields) {
  const Output output =
      RunBraid({"bench", "dense", "--rows", "20000", "--dimension", "16",
                "--queries", "20", "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json report = output.LastJson();
  EXPECT_EQ(report["hnsw_segments"], 1);
  ASSERT_EQ(report["search"].size(), 4u);
  for (const Json& row : report["search"]) {
    EXPECT_GT(row["p50"], 0.0) << row;
    EXPECT_GE(row["recall@10"], 0.9) << row;
  }
  EXPECT_GT(report["search_while_adding"]["p95"], 0.0);
  EXPECT_GT(report["peak_anonymous_bytes"], 1 << 20);
}

TEST(Bench, IngestAndEncodePrintTheirFields) {
  const Output ingest =
      RunBraid({"bench", "ingest", "--dataset", kDataset, "--json"});
  ASSERT_EQ(ingest.exit_code, 0) << ingest.err;
  const Json rate = ingest.LastJson()["documents_per_second"];
  EXPECT_GT(rate["with_embedding"], 0.0);
  EXPECT_GT(rate["without_embedding"], 0.0);
  EXPECT_GT(ingest.LastJson()["peak_rss_bytes"], 1 << 20);
  EXPECT_EQ(ingest.LastJson()["with_embedding"]["documents"], 12);
  const Output encode = RunBraid(
      {"bench", "encode", "--seconds", "0.3", "--batch", "8", "--json"});
  ASSERT_EQ(encode.exit_code, 0) << encode.err;
  EXPECT_GT(encode.LastJson()["texts_per_second_per_core"], 0.0);
  EXPECT_GT(encode.LastJson()["query_ms"], 0.0);
  EXPECT_GT(encode.LastJson()["floor_ratio"], 0.0);
}

}  // namespace
}  // namespace braid::testing
