// Three processes on loopback that together are one service.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <string>

#include "tests/e2e/braid_binary.h"

namespace braid::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kDocs = BRAID_SOURCE_DIR "/tests/data/docs";

TEST(Roles, ThreeProcessesAnswerAsOne) {
  const ScratchDirectory scratch;
  // One directory, twice: documents become durable in any order, and chunks are
  // numbered in that.
  const Output ingested =
      RunBraid({"ingest", kDocs, "--data", scratch / "one", "--json"});
  ASSERT_EQ(ingested.exit_code, 0) << ingested.err;
  std::filesystem::copy(scratch / "one", scratch / "three",
                        std::filesystem::copy_options::recursive);
  ServerProcess one(scratch / "one");
  ServerProcess retrieval(scratch / "three", {"--roles", "retrieval"});
  ServerProcess generation("", {"--roles", "generation"});
  ASSERT_FALSE(retrieval.address().empty());
  ASSERT_FALSE(generation.address().empty()) << generation.process().Wait().err;
  const std::string config = scratch.Write(
      "gateway.toml", "roles = \"gateway\"\n[upstream]\nretrieval = \"" +
                          retrieval.address() + "\"\ngeneration = \"" +
                          generation.address() + "\"\n");
  ServerProcess gateway("", {"--config", config});
  ASSERT_FALSE(gateway.address().empty()) << gateway.process().Wait().err;

  for (const char* question :
       {"What does E4417 mean?", "When does the ferry leave?",
        "How high is the lighthouse?", "Who painted the ceiling?"}) {
    Json answers[2];
    const std::string addresses[] = {one.address(), gateway.address()};
    for (int i = 0; i < 2; ++i) {
      const Output asked =
          RunBraid({"ask", question, "--address", addresses[i], "--json"});
      ASSERT_EQ(asked.exit_code, 0) << asked.err;
      answers[i] = asked.LastJson();
      answers[i].erase("stages_ms");
    }
    EXPECT_EQ(answers[0], answers[1]);
    EXPECT_EQ(answers[1]["sequence"], 5);
  }
  // Writes through the gateway, too.
  const Output again = RunBraid(
      {"ingest", kDocs, "--address", gateway.address(), "--force", "--json"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  const Output found =
      RunBraid({"search", "E4417", "--address", gateway.address(), "--json"});
  EXPECT_EQ(found.exit_code, 0) << found.err;
  EXPECT_THAT(found.out, HasSubstr("E4417"));
  const Output checked =
      RunBraid({"doctor", "--address", gateway.address(), "--json"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;

  // Each ends in order; a gateway without its upstream says so.
  retrieval.process().Signal(SIGTERM);
  EXPECT_EQ(retrieval.process().Wait().exit_code, 0);
  const Output gone =
      RunBraid({"search", "E4417", "--address", gateway.address()});
  EXPECT_EQ(gone.exit_code, 4) << gone.err;
  EXPECT_THAT(gone.err, HasSubstr("retrieval cannot be reached"));
  for (ServerProcess* server : {&gateway, &generation}) {
    server->process().Signal(SIGTERM);
    EXPECT_EQ(server->process().Wait().exit_code, 0);
  }
}

TEST(Roles, WrongOnesAreRefused) {
  const ScratchDirectory scratch;
  const Output lonely = RunBraid({"serve", "--roles", "gateway"});
  EXPECT_EQ(lonely.exit_code, 2);
  EXPECT_THAT(lonely.err, HasSubstr("`upstream.retrieval` is missing"));
  const Output unknown = RunBraid({"serve", "--roles", "retrieval,indexer"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("`indexer`"));
  const Output diskless = RunBraid({"serve", "--roles", "retrieval"});
  EXPECT_EQ(diskless.exit_code, 2);
  EXPECT_THAT(diskless.err, HasSubstr("no data directory"));
}

}  // namespace
}  // namespace braid::testing
