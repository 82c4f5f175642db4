// The server as a process: ready line, calls from another process, SIGTERM.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <sstream>
#include <thread>

#include "tests/e2e/braid_binary.h"

namespace braid::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kDocs = BRAID_SOURCE_DIR "/tests/data/docs";

TEST(Serve, AnswersOtherProcessesAndEndsCleanlyOnSigterm) {
  const ScratchDirectory scratch;
  ServerProcess server(scratch / "data");
  ASSERT_FALSE(server.address().empty()) << server.process().Wait().err;
  const Output ingested = RunBraid(
      {"ingest", kDocs, "--address", server.address(), "--wait", "--json"});
  ASSERT_EQ(ingested.exit_code, 0) << ingested.err;
  const Output asked = RunBraid({"ask", "What does E4417 mean?", "--address",
                                 server.address(), "--json"});
  ASSERT_EQ(asked.exit_code, 0) << asked.err;
  EXPECT_THAT(asked.LastJson()["answer"].get<std::string>(),
              HasSubstr("E4417"));
  EXPECT_TRUE(asked.LastJson()["stages_ms"].contains("hop"));
  const Output once =
      RunBraid({"ask", "What does E4417 mean?", "--no-multi-hop", "--address",
                server.address(), "--json"});
  EXPECT_FALSE(once.LastJson()["stages_ms"].contains("hop"));
  const Output doctor =
      RunBraid({"doctor", "--verify", "--address", server.address(), "--json"});
  EXPECT_EQ(doctor.exit_code, 0) << doctor.err;
  const Output health =
      RunBraid({"doctor", "--health", "--address", server.address()});
  EXPECT_EQ(health.exit_code, 0) << health.err;
  EXPECT_EQ(health.out, "SERVING\n");

  // A second process cannot open the directory of the first.
  const Output locked = RunBraid({"doctor", "--data", scratch / "data"});
  EXPECT_EQ(locked.exit_code, 4);

  server.process().Signal(SIGTERM);
  const Output ended = server.process().Wait();
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(
      RunBraid({"doctor", "--health", "--address", server.address()}).exit_code,
      4);

  // What was acknowledged is there afterwards, searchable.
  const Output after =
      RunBraid({"search", "fennel", "--data", scratch / "data", "--json"});
  ASSERT_EQ(after.exit_code, 0) << after.err;
  EXPECT_EQ(after.LastJson()["passages"][0]["document_id"], "recipes/soup");
}

TEST(Serve, RefusesAnAddressInUse) {
  const ScratchDirectory scratch;
  ServerProcess server(scratch / "one");
  ASSERT_FALSE(server.address().empty());
  const Output second = RunBraid(
      {"serve", "--data", scratch / "two", "--address", server.address()});
  EXPECT_EQ(second.exit_code, 4) << second.err;
  EXPECT_THAT(second.err, HasSubstr(server.address()));
}

TEST(Serve, SaysWhereItsMetricsAre) {
  const ScratchDirectory scratch;
  const std::string config =
      scratch.Write("braid.toml", "metrics_address = \"127.0.0.1:0\"\n");
  BraidProcess process({"serve", "--data", scratch / "data", "--address",
                        "127.0.0.1:0", "--config", config, "--json"});
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (process.OutSoFar().find('\n') == std::string::npos &&
         process.Running() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  process.Signal(SIGTERM);
  const Output ended = process.Wait();
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  const std::string address = ended.LastJson().value("metrics_address", "");
  EXPECT_THAT(address, ::testing::StartsWith("127.0.0.1:"));
  EXPECT_NE(address, "127.0.0.1:0");
}

TEST(Serve, NeedsADataDirectory) {
  EXPECT_EQ(RunBraid({"serve", "--address", "127.0.0.1:0"}).exit_code, 2);
}

// The path of a file of 20,000 documents.
std::string WriteRows(const ScratchDirectory& scratch) {
  std::string rows;
  for (int i = 0; i < 20000; ++i) {
    rows += Json{{"id", "row-" + std::to_string(i)},
                 {"text", "Row " + std::to_string(i) +
                              " speaks of rivers, bridges and the weather."}}
                .dump() +
            "\n";
  }
  return scratch.Write("rows.jsonl", rows);
}

TEST(Operations, AreListedFollowedAndCancelled) {
  const ScratchDirectory scratch;
  ServerProcess server(scratch / "data");
  ASSERT_FALSE(server.address().empty());
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "operations");
    arguments.insert(arguments.end(),
                     {"--address", server.address(), "--json"});
    return RunBraid(arguments);
  };
  EXPECT_EQ(run({"list"}).LastJson()["count"], 0);
  ASSERT_EQ(
      RunBraid({"ingest", kDocs, "--address", server.address()}).exit_code, 0);
  Output listed = run({"list", "--kind", "ingest", "--state", "succeeded"});
  ASSERT_EQ(listed.exit_code, 0) << listed.err;
  ASSERT_EQ(listed.JsonLines().size(), 2u) << listed.out;
  const Json done = listed.JsonLines()[0];
  EXPECT_EQ(done["kind"], "ingest");
  EXPECT_EQ(done["collection"], "collections/default");
  EXPECT_EQ(done["progress"]["done"], 5);
  EXPECT_EQ(run({"get", done["name"]}).LastJson(), done);
  EXPECT_EQ(run({"watch", done["name"]}).exit_code, 0);

  BraidProcess ingest(
      {"ingest", WriteRows(scratch), "--address", server.address(), "--json"});
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (ingest.OutSoFar().empty() &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  listed = run({"list", "--state", "running"});
  ASSERT_EQ(listed.JsonLines().size(), 2u) << listed.out;
  const std::string name = listed.JsonLines()[0]["name"];
  BraidProcess watch(
      {"operations", "watch", name, "--address", server.address(), "--json"});
  const Output cancelled = run({"cancel", name});
  EXPECT_EQ(cancelled.exit_code, 0) << cancelled.err;
  EXPECT_EQ(cancelled.LastJson()["cancel_requested"], true);
  const Output stopped = ingest.Wait();
  EXPECT_EQ(stopped.exit_code, 130);
  EXPECT_THAT(stopped.err, HasSubstr(name));
  const Output watched = watch.Wait();
  EXPECT_EQ(watched.exit_code, 1) << "it did not succeed";
  EXPECT_EQ(watched.LastJson()["state"], "cancelled");
  EXPECT_EQ(watched.LastJson()["error"]["code"], "CANCELLED");
  // Every acknowledged row, and perhaps some more, is there.
  const Output documents =
      RunBraid({"documents", "list", "--address", server.address(), "--json"});
  EXPECT_GE(documents.LastJson()["count"],
            watched.LastJson()["progress"]["done"]);
  EXPECT_LT(documents.LastJson()["count"], 20000);

  EXPECT_EQ(run({"get", "operations/0-1"}).exit_code, 1);
  EXPECT_EQ(run({"get", "no such name"}).exit_code, 2);
  EXPECT_EQ(run({"list", "--kind", "answer"}).exit_code, 2);
}

TEST(Ingest, SigintFinishesWhatIsInFlightAndSaysSo) {
  const ScratchDirectory scratch;
  BraidProcess ingest(
      {"ingest", WriteRows(scratch), "--data", scratch / "data", "--json"});
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (ingest.OutSoFar().empty() &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ingest.Signal(SIGINT);
  const Output output = ingest.Wait();
  EXPECT_EQ(output.exit_code, 130) << output.err;
  const Json summary = output.LastJson();
  ASSERT_TRUE(summary.is_object()) << output.err;
  EXPECT_EQ(summary["interrupted"], true);
  EXPECT_EQ(summary["unacknowledged"], 0);
  const int created = summary["created"];
  EXPECT_GT(created, 0);
  EXPECT_LT(created, 20000);
  const Output list =
      RunBraid({"documents", "list", "--data", scratch / "data", "--json"});
  EXPECT_EQ(list.LastJson()["count"], created);
}

// Waits until a line of the watching process says so.
bool WaitForLine(const BraidProcess& process, const std::string& document,
                 const std::string& outcome) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < deadline) {
    std::istringstream lines(process.OutSoFar());
    for (std::string line; std::getline(lines, line);) {
      const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (json.is_object() && json.value("document_id", "") == document &&
          json.value("outcome", "") == outcome) {
        return true;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

TEST(Ingest, WatchFollowsAFolderUntilItIsStopped) {
  const ScratchDirectory scratch;
  const std::string first = scratch.Write("in/first.md", "First.\n");
  BraidProcess ingest({"ingest", scratch / "in", "--data", scratch / "data",
                       "--json", "--watch", "--sync", "--watch-interval",
                       "0.05"});
  ASSERT_TRUE(WaitForLine(ingest, "first.md", "created"));
  scratch.Write("in/sub/second.md", "Second.\n");
  EXPECT_TRUE(WaitForLine(ingest, "sub/second.md", "created"));
  scratch.Write("in/first.md", "First, changed.\n");
  EXPECT_TRUE(WaitForLine(ingest, "first.md", "replaced"));
  std::filesystem::remove(first);
  EXPECT_TRUE(WaitForLine(ingest, "first.md", "deleted"));
  ingest.Signal(SIGTERM);
  const Output output = ingest.Wait();
  EXPECT_EQ(output.exit_code, 0) << output.err;
  const Json summary = output.LastJson();
  EXPECT_EQ(summary["created"], 2);
  EXPECT_EQ(summary["replaced"], 1);
  EXPECT_EQ(summary["deleted"], 1);
}

}  // namespace
}  // namespace braid::testing
