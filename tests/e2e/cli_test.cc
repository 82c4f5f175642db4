// A small corpus of our own, ingested, searched and asked through the binary on
// a data directory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <sstream>

#include "tests/e2e/braid_binary.h"

namespace braid::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kDocs = BRAID_SOURCE_DIR "/tests/data/docs";

// Ingests the corpus once for all tests of the suite.
class CliTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory();
    ingested_ = new Output(
        RunBraid({"ingest", kDocs, "--data", data(), "--json", "--wait",
                  "--metadata", "origin=tests", "--metadata", "shelf=7"}));
  }
  static void TearDownTestSuite() {
    delete ingested_;
    delete scratch_;
  }
  void SetUp() override {
    ASSERT_EQ(ingested_->exit_code, 0) << ingested_->err;
  }

  static std::string data() { return *scratch_ / "data"; }
  static Output Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--data", data(), "--json"});
    return RunBraid(arguments);
  }
  // The stored text of a document.
  static std::string StoredText(const std::string& id) {
    const Output output = Run({"documents", "get", id});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    return output.LastJson().value("text", "");
  }

  // That the answer's citations are what the documents say.
  static void ExpectStoredBytes(const Json& answer) {
    for (const Json& citation : answer["citations"]) {
      const std::string stored = StoredText(citation["document_id"]);
      const size_t begin = citation["source_range"]["begin"];
      const size_t end = citation["source_range"]["end"];
      ASSERT_LE(end, stored.size());
      EXPECT_LT(begin, end);
      EXPECT_EQ(stored.substr(begin, end - begin), citation["quote"]);
      EXPECT_LE(citation["answer_range"]["end"],
                answer["answer"].get<std::string>().size());
      EXPECT_LT(citation["answer_range"]["begin"],
                citation["answer_range"]["end"]);
      EXPECT_EQ(citation["version"], 1);
    }
    EXPECT_EQ(answer["rejected_citations"], 0);
  }

  static ScratchDirectory* scratch_;
  static Output* ingested_;
};

ScratchDirectory* CliTest::scratch_ = nullptr;
Output* CliTest::ingested_ = nullptr;

TEST_F(CliTest, IngestCountsDocumentsAndThenSkipsThem) {
  const Json summary = ingested_->LastJson();
  EXPECT_EQ(summary["created"], 5);
  EXPECT_EQ(summary["failed"], 0);
  EXPECT_GE(summary["chunks"], 5);
  EXPECT_EQ(ingested_->JsonLines().size(), 6u);

  const Output again = Run(
      {"ingest", kDocs, "--metadata", "origin=tests", "--metadata", "shelf=7"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.LastJson()["unchanged"], 5);
  EXPECT_EQ(again.LastJson()["created"], 0);
}

TEST_F(CliTest, SearchFindsAnExactIdentifier) {
  const Output output = Run({"search", "E4417", "--explain"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json found = output.LastJson();
  ASSERT_FALSE(found["passages"].empty());
  const Json& best = found["passages"][0];
  EXPECT_THAT(best["text"].get<std::string>(), HasSubstr("E4417"));
  EXPECT_EQ(best["rank"], 1);
  EXPECT_EQ(best["legs"]["bm25"]["rank"], 1);
  EXPECT_GT(best["legs"]["bm25"]["score"], 0.0);
  EXPECT_EQ(best["explanation"]["fused_rank"], 1);
  EXPECT_EQ(best["metadata"]["origin"], "tests");
  EXPECT_EQ(best["metadata"]["shelf"], 7);
  EXPECT_THAT(found["degraded"], IsEmpty());
  // A passage is the bytes of the stored text that it says it is.
  const std::string stored = StoredText(best["document_id"]);
  const size_t begin = best["text_range"]["begin"];
  const size_t end = best["text_range"]["end"];
  EXPECT_EQ(stored.substr(begin, end - begin), best["text"]);
}

TEST_F(CliTest, SearchFindsAParaphrase) {
  const Output output =
      Run({"search", "vessel timetable when visibility is poor", "--legs",
           "dense", "--top-k", "1"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json passages = output.LastJson()["passages"];
  ASSERT_EQ(passages.size(), 1u);
  EXPECT_THAT(passages[0]["text"].get<std::string>(), HasSubstr("ferry"));
  EXPECT_FALSE(passages[0]["legs"].contains("bm25"));
}

TEST_F(CliTest, SearchFilters) {
  const Output output =
      Run({"search", "bread or soup", "--filter", "minutes < 60"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json passages = output.LastJson()["passages"];
  ASSERT_FALSE(passages.empty());
  for (const Json& passage : passages) {
    EXPECT_EQ(passage["document_id"], "recipes/soup");
  }
  const Output nothing =
      Run({"search", "bread", "--filter", "course = \"dessert\""});
  ASSERT_EQ(nothing.exit_code, 0);
  EXPECT_THAT(nothing.LastJson()["passages"], IsEmpty());
}

TEST_F(CliTest, AskCitesStoredBytes) {
  for (const char* question :
       {"What does error code E4417 mean?",
        "When was the tower of the lighthouse built?",
        "How long does the sourdough rest?", "When does the ferry leave?"}) {
    SCOPED_TRACE(question);
    const Output output = Run({"ask", question});
    ASSERT_EQ(output.exit_code, 0) << output.err;
    const Json answer = output.LastJson();
    ASSERT_TRUE(answer.is_object());
    EXPECT_EQ(answer["finish_reason"], "stop");
    EXPECT_FALSE(answer["answer"].get<std::string>().empty());
    ASSERT_FALSE(answer["citations"].empty());
    ExpectStoredBytes(answer);
    ASSERT_FALSE(answer["retrieved"].empty());
    EXPECT_TRUE(answer["retrieved"][0]["legs"].contains("bm25") ||
                answer["retrieved"][0]["legs"].contains("dense"));
    for (const char* stage : {"bm25", "dense", "embed", "generate"}) {
      EXPECT_TRUE(answer["stages_ms"].contains(stage)) << stage;
    }
    EXPECT_THAT(answer["degraded"], IsEmpty());
  }
}

// What it says may be wrong; what it cites is there.
TEST_F(CliTest, TheModelThatComesWithBraidCitesStoredBytes) {
  int answered = 0;
  for (const char* question :
       {"What does error code E4417 mean?",
        "When was the tower of the lighthouse built?",
        "How long does the sourdough rest?", "When does the ferry leave?"}) {
    SCOPED_TRACE(question);
    const Output output =
        Run({"ask", question, "--answerer", "generator", "--model",
             BRAID_SOURCE_DIR "/generation/seed/braid-seed"});
    ASSERT_EQ(output.exit_code, 0) << output.err;
    const Json answer = output.LastJson();
    ASSERT_TRUE(answer.is_object());
    EXPECT_GT(answer["usage"]["completion_tokens"], 0);
    EXPECT_FALSE(answer["answer"].get<std::string>().empty());
    ExpectStoredBytes(answer);
    if (answer["finish_reason"] == "stop") {
      ++answered;
      EXPECT_FALSE(answer["citations"].empty());
    } else {
      EXPECT_EQ(answer["finish_reason"], "abstained");
    }
  }
  EXPECT_GE(answered, 2);
}

TEST_F(CliTest, AskAbstainsWhenThereIsNothing) {
  const Output output = Run(
      {"ask", "When was the tower built?", "--filter", "course = \"dessert\""});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json answer = output.LastJson();
  EXPECT_EQ(answer["finish_reason"], "abstained");
  EXPECT_EQ(answer["abstain_reason"], "no_passages");
  EXPECT_THAT(answer["citations"], IsEmpty());
}

TEST_F(CliTest, HumansGetTablesAndCitationMarks) {
  const Output search = RunBraid({"search", "E4417", "--data", data()});
  ASSERT_EQ(search.exit_code, 0) << search.err;
  EXPECT_THAT(search.out, HasSubstr("bm25"));
  EXPECT_THAT(search.out, HasSubstr("Turbine T-400"));
  const Output ask =
      RunBraid({"ask", "What does E4417 mean?", "--data", data()});
  ASSERT_EQ(ask.exit_code, 0) << ask.err;
  EXPECT_THAT(ask.out, HasSubstr("[1]"));
  EXPECT_THAT(ask.out, HasSubstr("Ended: stop"));
}

TEST_F(CliTest, ListsAndDescribesWhatIsStored) {
  const Output list = Run({"documents", "list"});
  ASSERT_EQ(list.exit_code, 0) << list.err;
  EXPECT_EQ(list.LastJson()["count"], 5);
  const Output collections = Run({"collections", "list"});
  ASSERT_EQ(collections.exit_code, 0) << collections.err;
  const Json collection = collections.LastJson()["collections"][0];
  EXPECT_EQ(collection["name"], "collections/default");
  EXPECT_EQ(collection["document_count"], 5);
  EXPECT_EQ(collection["dimension"], 384);
  const Output html =
      Run({"documents", "list", "--filter", "media_type = \"text/html\""});
  ASSERT_EQ(html.exit_code, 0) << html.err;
  EXPECT_EQ(html.LastJson()["count"], 1);
  const Json lighthouse = html.JsonLines()[0];
  EXPECT_EQ(lighthouse["title"], "The lighthouse at Cape Aldern");
  const std::string text = StoredText(lighthouse["document_id"]);
  EXPECT_THAT(text, HasSubstr("1887 & stands"));
  EXPECT_THAT(text, Not(HasSubstr("never indexed")));
}

TEST_F(CliTest, DoctorFindsItWhole) {
  const Output output = Run({"doctor", "--verify"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json report = output.LastJson();
  EXPECT_EQ(report["ok"], true);
  EXPECT_EQ(report["health"], "SERVING");
  EXPECT_FALSE(report["kernel_target"].get<std::string>().empty());
  EXPECT_GT(report["disk_free_bytes"], 0);
  const Json collection = report["collections"][0];
  EXPECT_EQ(collection["consistent"], true);
  EXPECT_GT(collection["store_chunks"], 0);
  EXPECT_EQ(collection["store_chunks"], collection["bm25_chunks"]);
  EXPECT_EQ(collection["store_chunks"], collection["dense_chunks"]);
}

TEST_F(CliTest, ABadFilterNamesTheField) {
  const Output output = Run({"search", "bread", "--filter", "minutes <"});
  EXPECT_EQ(output.exit_code, 2);
  EXPECT_THAT(output.err, HasSubstr("filter"));
  EXPECT_THAT(output.out, IsEmpty());
}

// The tests below have directories of their own.

TEST(CliIngest, AFileThatFailsDoesNotStopTheRun) {
  const ScratchDirectory scratch;
  scratch.Write("in/good.md", "# Good\n\nThis one can be read.\n");
  scratch.Write("in/binary.txt", std::string("a\0b\xff\xfe", 5));
  scratch.Write("in/rows.jsonl",
                "{\"id\":\"row\",\"text\":\"a row\"}\nnot json\n");
  const Output output = RunBraid({"ingest", scratch / "in", scratch / "absent",
                                  "--data", scratch / "data", "--json"});
  EXPECT_EQ(output.exit_code, 3) << output.err;
  const Json summary = output.LastJson();
  EXPECT_EQ(summary["created"], 2);
  EXPECT_EQ(summary["failed"], 3);
  std::vector<std::string> codes;
  for (const Json& line : output.JsonLines()) {
    if (line.value("outcome", "") == "failed") {
      codes.push_back(line["error"]["code"]);
    }
  }
  EXPECT_THAT(codes, Contains("NOT_FOUND"));
  EXPECT_THAT(codes, Contains("INVALID_ARGUMENT").Times(2));

  const Output all_failed =
      RunBraid({"ingest", scratch / "absent", "--data", scratch / "data"});
  EXPECT_EQ(all_failed.exit_code, 1);
  EXPECT_THAT(all_failed.err, HasSubstr("absent"));
}

TEST(CliIngest, ReadsStandardInputAndReplaces) {
  const ScratchDirectory scratch;
  const std::string data = scratch / "data";
  const Output first =
      RunBraid({"ingest", "-", "--stdin-name", "rows.jsonl", "--data", data,
                "--json", "--chunking", "whole"},
               "{\"id\":\"a\",\"title\":\"One\",\"text\":\"first text\"}\n"
               "{\"id\":\"b\",\"text\":\"second text\"}\n");
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.LastJson()["created"], 2);
  const Output second = RunBraid(
      {"ingest", "-", "--stdin-name", "rows.jsonl", "--data", data, "--json"},
      "{\"id\":\"a\",\"title\":\"One\",\"text\":\"changed text\"}\n");
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(second.LastJson()["replaced"], 1);
  const Output got =
      RunBraid({"documents", "get", "a", "--chunks", "--data", data, "--json"});
  EXPECT_EQ(got.LastJson()["version"], 2);
  EXPECT_EQ(got.LastJson()["text"], "changed text");
  EXPECT_EQ(got.LastJson()["chunks"].size(), 1u);
  const Output removed =
      RunBraid({"documents", "delete", "a", "--data", data, "--json"});
  EXPECT_EQ(removed.exit_code, 0) << removed.err;
  const Output gone =
      RunBraid({"documents", "get", "a", "--data", data, "--json"});
  EXPECT_EQ(gone.exit_code, 1);
  EXPECT_THAT(gone.err, HasSubstr("NOT_FOUND"));
  // A collection keeps the way of cutting it was created with.
  const Output other =
      RunBraid({"ingest", "-", "--data", data, "--chunking", "structure"}, "x");
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, HasSubstr("chunking"));
}

TEST(CliIngest, ReportsEveryFile) {
  const ScratchDirectory scratch;
  scratch.Write("in/good.md", "# Good\n\nThis one can be read.\n");
  scratch.Write("in/binary.txt", std::string("a\0b\xff\xfe", 5));
  const Output output =
      RunBraid({"ingest", scratch / "in", scratch / "absent", "--data",
                scratch / "data", "--report", scratch / "report.jsonl"});
  EXPECT_EQ(output.exit_code, 3) << output.err;
  std::map<std::string, Json> lines;
  std::istringstream report(ReadFile(scratch / "report.jsonl"));
  for (std::string line; std::getline(report, line);) {
    const Json json = Json::parse(line);
    lines[json["path"]] = json;
  }
  ASSERT_EQ(lines.size(), 3u);
  const Json& good = lines[scratch / "in/good.md"];
  EXPECT_EQ(good["outcome"], "created");
  EXPECT_EQ(good["document_id"], "good.md");
  EXPECT_EQ(good["version"], 1);
  const Json& bad = lines[scratch / "in/binary.txt"];
  EXPECT_EQ(bad["outcome"], "failed");
  EXPECT_EQ(bad["stage"], "parse");
  EXPECT_EQ(bad["error"]["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(lines[scratch / "absent"]["stage"], "read");
  EXPECT_EQ(lines[scratch / "absent"]["error"]["code"], "NOT_FOUND");

  const Output refused =
      RunBraid({"ingest", scratch / "in", "--data", scratch / "data",
                "--report", scratch / "absent/report.jsonl"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("--report"));
}

TEST(CliIngest, MirrorsDeletionsAndForeseesThem) {
  const ScratchDirectory scratch;
  scratch.Write("in/kept.md", "Kept.\n");
  scratch.Write("in/changed.md", "Before.\n");
  const std::string gone = scratch.Write("in/gone.md", "Gone.\n");
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"ingest", scratch / "in", "--data",
                                          scratch / "data", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunBraid(arguments);
  };
  const auto expect = [](const Output& output, int created, int replaced,
                         int unchanged, int deleted) {
    EXPECT_EQ(output.exit_code, 0) << output.err;
    const Json summary = output.LastJson();
    EXPECT_EQ(summary["created"], created);
    EXPECT_EQ(summary["replaced"], replaced);
    EXPECT_EQ(summary["unchanged"], unchanged);
    EXPECT_EQ(summary["deleted"], deleted);
  };
  expect(run({"--dry-run"}), 3, 0, 0, 0);
  expect(run({}), 3, 0, 0, 0);  // the dry run wrote nothing
  // A document that is none of the files, and stays.
  RunBraid(
      {"ingest", "-", "--stdin-name", "row.jsonl", "--data", scratch / "data"},
      "{\"id\":\"row\",\"text\":\"a row\"}\n");
  std::filesystem::remove(gone);
  scratch.Write("in/changed.md", "After.\n");
  scratch.Write("in/new.md", "New.\n");
  expect(run({"--dry-run", "--sync"}), 1, 1, 1, 1);
  expect(run({"--sync"}), 1, 1, 1, 1);
  expect(run({"--sync"}), 0, 0, 3, 0);
  const Output list =
      RunBraid({"documents", "list", "--data", scratch / "data", "--json"});
  EXPECT_EQ(list.LastJson()["count"], 4);

  // Nothing is deleted because a directory went away.
  std::filesystem::remove_all(scratch / "in");
  const Output missing = run({"--sync"});
  EXPECT_NE(missing.exit_code, 0);
  EXPECT_EQ(missing.LastJson()["deleted"], 0);
  std::filesystem::create_directory(scratch / "in");
  const Output empty = run({"--sync"});
  EXPECT_NE(empty.exit_code, 0);
  EXPECT_THAT(empty.err, HasSubstr("no files"));
}

TEST(CliIngest, SaysWhoMayRead) {
  const ScratchDirectory scratch;
  scratch.Write("in/note.md", "# Note\n\nOnly for some.\n");
  const std::string data = scratch / "data";
  const auto ingest = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"ingest", scratch / "in"});
    arguments.insert(arguments.end(), {"--data", data, "--json"});
    return RunBraid(arguments);
  };
  // A collection that an ingest makes protects nothing.
  const Output refused = ingest({"--reader", "group:board"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.out, HasSubstr("document access"));

  const std::vector<std::string> flags = {"--document-access", "--reader",
                                          "group:board", "--reader", "key:ci"};
  const Output first = ingest(flags);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.LastJson()["created"], 1);
  EXPECT_EQ(ingest(flags).LastJson()["unchanged"], 1);
  EXPECT_EQ(ingest({"--reader", "*", "--dry-run"}).LastJson()["replaced"], 1);
  const auto readers = [&] {
    const Output list =
        RunBraid({"documents", "list", "--data", data, "--json"});
    EXPECT_EQ(list.exit_code, 0) << list.err;
    return list.JsonLines()[0]["readers"].get<std::vector<std::string>>();
  };
  EXPECT_THAT(readers(), ElementsAre("group:board", "key:ci"));
  EXPECT_THAT(RunBraid({"documents", "list", "--data", data}).out,
              HasSubstr("note.md  [group:board, key:ci]"));
  const auto patch = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"documents", "patch", "note.md", "--data",
                                    data};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return RunBraid(all);
  };
  EXPECT_EQ(patch({"--reader", "*"}).exit_code, 0);
  EXPECT_THAT(readers(), ElementsAre("*"));
  EXPECT_EQ(patch({"--no-readers"}).exit_code, 0);
  EXPECT_THAT(readers(), IsEmpty());
  const Output misspelt = patch({"--reader", "gruop:board"});
  EXPECT_EQ(misspelt.exit_code, 2);
  EXPECT_THAT(misspelt.err, HasSubstr("readers.names[0]"));
  const Output collections =
      RunBraid({"collections", "get", "default", "--data", data, "--json"});
  EXPECT_EQ(collections.LastJson()["document_access"], true);
}

TEST(CliUsage, DescribesItself) {
  const Output manual = RunBraid({"man"});
  EXPECT_EQ(manual.exit_code, 0);
  EXPECT_THAT(manual.out, HasSubstr(".SS braid documents get\n"));
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Output completion = RunBraid({"completion", shell});
    EXPECT_EQ(completion.exit_code, 0) << shell;
    EXPECT_THAT(completion.out, HasSubstr("max-context-tokens")) << shell;
  }
  EXPECT_EQ(RunBraid({"completion", "tcsh"}).exit_code, 2);
}

TEST(CliUsage, ExitCodes) {
  EXPECT_EQ(RunBraid({}).exit_code, 2);
  EXPECT_EQ(RunBraid({"no-such-verb"}).exit_code, 2);
  EXPECT_EQ(RunBraid({"search"}).exit_code, 2);
  EXPECT_EQ(RunBraid({"search", "x", "--top-k", "0"}).exit_code, 2);
  EXPECT_EQ(RunBraid({"search", "x", "--legs", "telepathy"}).exit_code, 2);
  EXPECT_EQ(RunBraid({"--help"}).exit_code, 0);
  EXPECT_EQ(RunBraid({"search", "--help"}).exit_code, 0);
  EXPECT_THAT(RunBraid({"--version"}).out, HasSubstr("braid "));
  // Port 1 refuses: nothing is behind it.
  const Output unreachable =
      RunBraid({"search", "x", "--address", "127.0.0.1:1"});
  EXPECT_EQ(unreachable.exit_code, 4);
  EXPECT_THAT(unreachable.err, HasSubstr("127.0.0.1:1"));
  const ScratchDirectory scratch;
  const Output unknown = RunBraid(
      {"search", "x", "--collection", "nowhere", "--data", scratch / "data"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("nowhere"));
  const Output config = RunBraid(
      {"doctor", "--config", scratch.Write("bad.toml", "adress = \"x\"\n")});
  EXPECT_EQ(config.exit_code, 2);
  EXPECT_THAT(config.err, HasSubstr("adress"));
}

}  // namespace
}  // namespace braid::testing
