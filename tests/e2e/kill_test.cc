// SIGKILL at random moments of an ingest: what was acknowledged stays, and both
// legs converge on the store.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "tests/e2e/braid_binary.h"

namespace braid::testing {
namespace {

constexpr int kRounds = 10;
constexpr int kDocuments = 3000;  // ids that are written again and again
constexpr int kRowsPerRound = 3000;
constexpr int kDeletesPerRound = 3;

std::string TextOf(int document, int round) {
  return "Document " + std::to_string(document) + " in round " +
         std::to_string(round) +
         ": the harbour master notes the tide, the wind and every ship.";
}

// What has to be there.
struct Acknowledged {
  std::map<std::string, uint64_t> versions;  // at least this version
  std::set<std::string> deleted;             // and not written since
};

class KillTest : public ::testing::Test {
 protected:
  KillTest() {
    const char* fixed = std::getenv("BRAID_TEST_SEED");
    seed_ = fixed != nullptr ? std::strtoul(fixed, nullptr, 10)
                             : std::random_device()();
    random_.seed(seed_);
    std::cout << "seed " << seed_ << " (BRAID_TEST_SEED repeats it)"
              << std::endl;
  }

  // Rows of one round: new documents and replacements, in random order.
  std::string Rows(int round) {
    std::string rows;
    for (int i = 0; i < kRowsPerRound; ++i) {
      const int document = static_cast<int>(random_() % kDocuments);
      rows += Json{{"id", "d" + std::to_string(document)},
                   {"text", TextOf(document, round * kRowsPerRound + i)}}
                  .dump() +
              "\n";
    }
    return rows;
  }

  static void WaitForOutput(BraidProcess& ingest) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (ingest.OutSoFar().empty() && ingest.Running() &&
           std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  void TakeAcknowledgements(const Output& ingest) {
    for (const Json& line : ingest.JsonLines()) {
      if (!line.is_object() || !line.contains("document_id")) continue;
      ASSERT_NE(line["outcome"], "failed") << line.dump();
      const std::string id = line["document_id"];
      uint64_t& version = acknowledged_.versions[id];
      version = std::max<uint64_t>(version, line["version"]);
      acknowledged_.deleted.erase(id);
      ++acknowledged_writes_;
    }
  }

  void DeleteSome(const std::string& address) {
    for (int i = 0; i < kDeletesPerRound; ++i) {
      if (acknowledged_.versions.empty()) return;
      auto victim = acknowledged_.versions.begin();
      std::advance(victim, random_() % acknowledged_.versions.size());
      const Output deleted = RunBraid(
          {"documents", "delete", victim->first, "--address", address});
      ASSERT_EQ(deleted.exit_code, 0) << deleted.err;
      acknowledged_.deleted.insert(victim->first);
      acknowledged_.versions.erase(victim);
    }
  }

  void CheckStore(const std::string& address) {
    const Output list =
        RunBraid({"documents", "list", "--address", address, "--json"});
    ASSERT_EQ(list.exit_code, 0) << list.err;
    std::map<std::string, uint64_t> stored;
    for (const Json& line : list.JsonLines()) {
      if (line.contains("document_id")) {
        stored[line["document_id"]] = line["version"];
      }
    }
    for (const auto& [id, version] : acknowledged_.versions) {
      const auto there = stored.find(id);
      ASSERT_NE(there, stored.end()) << id << " was acknowledged and is lost";
      // A write that was in flight may have become durable as well.
      EXPECT_GE(there->second, version) << id;
    }
    // A delete stands unless a later write, acknowledged or not, was under way.
    for (const std::string& id : acknowledged_.deleted) {
      if (!rewritten_.contains(id)) {
        EXPECT_FALSE(stored.contains(id)) << id << " came back";
      }
    }
  }

  void CheckLegs(const std::string& address) {
    const Output doctor =
        RunBraid({"doctor", "--verify", "--address", address, "--json"});
    ASSERT_EQ(doctor.exit_code, 0) << doctor.out << doctor.err;
    for (const Json& collection : doctor.LastJson()["collections"]) {
      EXPECT_EQ(collection["consistent"], true);
      EXPECT_EQ(collection["store_chunks"], collection["bm25_chunks"]);
      EXPECT_EQ(collection["store_chunks"], collection["dense_chunks"]);
    }
  }

  unsigned long seed_ = 0;
  std::mt19937 random_;
  Acknowledged acknowledged_;
  std::set<std::string> rewritten_;  // ids sent after their delete
  uint64_t acknowledged_writes_ = 0;
};

TEST_F(KillTest, LosesNothingAcknowledgedAndConverges) {
  const ScratchDirectory scratch;
  const std::string data = scratch / "data";
  int killed_in_flight = 0;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(::testing::Message()
                 << "round " << round << ", seed " << seed_);
    ServerProcess server(data);
    ASSERT_FALSE(server.address().empty()) << server.process().Wait().err;
    if (round > 0) {
      CheckStore(server.address());
      CheckLegs(server.address());
      if (HasFatalFailure()) return;
      DeleteSome(server.address());
    }
    const std::string rows = Rows(round);
    for (const std::string& id : acknowledged_.deleted) {
      if (rows.find("\"" + id + "\"") != std::string::npos) {
        rewritten_.insert(id);
      }
    }
    BraidProcess ingest({"ingest", scratch.Write("rows.jsonl", rows),
                         "--address", server.address(), "--json"});
    // From the first acknowledgement on, so that a slow machine is not killed
    // before it has begun.
    WaitForOutput(ingest);
    std::this_thread::sleep_for(std::chrono::milliseconds(random_() % 1500));
    killed_in_flight += ingest.Running() ? 1 : 0;
    server.process().Signal(SIGKILL);
    EXPECT_EQ(server.process().Wait().exit_code, 128 + SIGKILL);
    const Output output = ingest.Wait();
    EXPECT_TRUE(output.exit_code == 4 || output.exit_code == 0) << output.err;
    TakeAcknowledgements(output);
    if (HasFatalFailure()) return;
  }
  ServerProcess server(data);
  ASSERT_FALSE(server.address().empty()) << server.process().Wait().err;
  CheckStore(server.address());
  CheckLegs(server.address());
  std::cout << acknowledged_writes_ << " acknowledged writes, "
            << killed_in_flight << " of " << kRounds
            << " kills in the middle of an ingest" << std::endl;
  // The test would prove nothing if the kills had come too early or too late.
  EXPECT_GT(acknowledged_writes_, 0u);
  EXPECT_GT(killed_in_flight, kRounds / 2);
}

}  // namespace
}  // namespace braid::testing
