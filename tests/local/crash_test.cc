// SIGKILL at random moments of an ingest: nothing acknowledged is lost and both
// indexes end up with the ids of the store.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "retrieval/local/local_backend.h"
#include "tests/local/fakes.h"
#include "tests/steady.h"
#include "tests/store/store_test_util.h"

extern char** environ;

namespace braid::retrieval {
namespace {

constexpr char kDirectoryVariable[] = "BRAID_CRASH_TEST_DIRECTORY";
constexpr char kSeedVariable[] = "BRAID_CRASH_TEST_SEED";

LocalBackendOptions Options(const std::string& directory) {
  LocalBackendOptions options;
  options.directory = directory + "/data";
  options.index_interval = absl::Milliseconds(5);
  options.seal_vectors = 64;  // seals and commits often
  return options;
}

// The child: writes and deletes until it is killed, noting in `acknowledged`
// what the store has accepted: id and version, or 0 for a delete.
TEST(CrashTest, DISABLED_Child) {
  const char* directory = getenv(kDirectoryVariable);
  ASSERT_NE(directory, nullptr);
  std::mt19937_64 random(std::strtoull(getenv(kSeedVariable), nullptr, 10));
  HashEncoder encoder;
  auto backend = LocalBackend::Open(Options(directory), &encoder);
  ASSERT_TRUE(backend.ok()) << backend.status();
  CollectionConfig config;
  config.id = "c";
  const absl::Status created = (*backend)->CreateCollection(config);
  ASSERT_TRUE(created.ok() || absl::IsAlreadyExists(created)) << created;
  std::ofstream acknowledged(absl::StrCat(directory, "/acknowledged"),
                             std::ios::app);
  for (;;) {
    const std::string id = absl::StrCat("d", random() % 60);
    if (random() % 4 == 0) {
      if ((*backend)->store()->DeleteDocument("c", id).ok()) {
        acknowledged << id << " 0" << std::endl;
      }
    } else {
      const WriteResult result =
          PutOne((*backend)->store(), "c",
                 RandomDocument(random, id, 32, 1 + random() % 3, 60));
      acknowledged << id << " " << result.version << std::endl;
    }
  }
}

// Until somebody has written to the file; a minute at most.
void WaitUntilGrown(const std::string& path) {
  const auto size = [&path] {
    std::error_code none;
    const auto bytes = std::filesystem::file_size(path, none);
    return none ? 0 : bytes;
  };
  const auto before = size();
  const absl::Time end = absl::Now() + absl::Minutes(1);
  while (size() <= before && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(5));
  }
}

TEST(CrashTest, KillsLoseNothingAndTheIndexesConverge) {
  const uint64_t seed = TestSeed();
  std::mt19937_64 random(seed);
  TemporaryDirectory directory;
  const std::string path = directory.path("");
  setenv(kDirectoryVariable, path.c_str(), 1);
  uint64_t acknowledgements = 0;
  for (int round = 0; round < 5; ++round) {
    setenv(kSeedVariable, std::to_string(seed + round).c_str(), 1);
    char program[] = "/proc/self/exe";
    char filter[] = "--gtest_filter=CrashTest.DISABLED_Child";
    char disabled[] = "--gtest_also_run_disabled_tests";
    char* const arguments[] = {program, filter, disabled, nullptr};
    pid_t child = 0;
    ASSERT_EQ(
        posix_spawn(&child, program, nullptr, nullptr, arguments, environ), 0);
    // While it opens, or anywhere in its work.
    if (round % 2 == 0) {
      WaitUntilGrown(path + "/acknowledged");
    }
    absl::SleepFor(absl::Milliseconds(random() % 700));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";

    std::map<std::string, uint64_t> expected;
    std::ifstream acknowledged(path + "/acknowledged");
    std::string id;
    uint64_t version = 0;
    acknowledgements = 0;
    while (acknowledged >> id >> version) {
      expected[id] = version;
      ++acknowledgements;
    }
    HashEncoder encoder;
    auto backend = LocalBackend::Open(Options(path), &encoder);
    ASSERT_TRUE(backend.ok()) << backend.status();
    if (absl::IsNotFound((*backend)->store()->GetCollection("c").status())) {
      ASSERT_EQ(acknowledgements, 0u);
      continue;
    }
    const absl::Status current =
        (*backend)->WaitUntilCurrent("c", SteadyIn(absl::Seconds(60)));
    ASSERT_TRUE(current.ok()) << current;
    const auto report =
        (*backend)->CheckConsistency("c", SteadyIn(absl::Seconds(60)), {});
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->differences, ::testing::IsEmpty());
    EXPECT_EQ(report->store_chunks, report->bm25_chunks);
    EXPECT_EQ(report->store_chunks, report->dense_chunks);
    // One write may have reached the disk without being noted.
    int unnoted = 0;
    const auto snapshot = (*backend)->store()->snapshot();
    for (const auto& [document, last] : expected) {
      const auto info = snapshot->GetDocument("c", document);
      const uint64_t stored = info.ok() ? info->version : 0;
      if (stored != last) ++unnoted;
    }
    EXPECT_LE(unnoted, 1) << "round " << round;
    // From here on the store is the starting point of the next round.
    std::ofstream rewritten(path + "/acknowledged");
    const auto documents = snapshot->ListDocuments("c", "", 1000);
    ASSERT_TRUE(documents.ok()) << documents.status();
    for (const DocumentInfo& info : *documents) {
      rewritten << info.id << " " << info.version << "\n";
    }
  }
  EXPECT_GT(acknowledgements, 10u);
}

}  // namespace
}  // namespace braid::retrieval
