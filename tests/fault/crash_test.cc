// Processes killed at random moments and at named points of the file system,
// and machines whose power goes off: nothing acknowledged is lost, nothing is
// there by half, and both indexes are, or become, what the store is.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "retrieval/local/local_backend.h"
#include "tests/fault/fault_testing.h"
#include "tests/fault/file_faults.h"
#include "tests/steady.h"

extern char** environ;

namespace braid::retrieval {
namespace {

using testing::FileCall;
using testing::FileFault;
using testing::FileOperation;
namespace fs = std::filesystem;

constexpr char kDirectoryVariable[] = "BRAID_FAULT_DIRECTORY";
constexpr char kSeedVariable[] = "BRAID_FAULT_SEED";
constexpr char kPointVariable[] = "BRAID_FAULT_POINT";
constexpr char kCutVariable[] = "BRAID_FAULT_CUT";
constexpr int kDocuments = 60;

// Where a process can be stopped: a call on a file.
struct Point {
  const char* name;
  FileOperation operation;
  const char* directory;  // part of its path
  const char* file;       // end of its path; empty for any
};

constexpr Point kPoints[] = {
    {"store log write", FileOperation::kWrite, "/store/", ".log"},
    {"store log sync", FileOperation::kSync, "/store/", ".log"},
    {"flush or compaction", FileOperation::kWrite, "/store/", ".sst"},
    {"table sync", FileOperation::kSync, "/store/", ".sst"},
    {"table removal", FileOperation::kUnlink, "/store/", ".sst"},
    {"store manifest", FileOperation::kWrite, "/store/MANIFEST-", ""},
    {"store CURRENT", FileOperation::kRename, "/store/", "CURRENT"},
    {"seal write", FileOperation::kWrite, "/store/", "SEAL.tmp"},
    {"seal rename", FileOperation::kRename, "/store/", "SEAL"},
    {"seal removal", FileOperation::kUnlink, "/store/", "SEAL"},
    {"dense segment", FileOperation::kWrite, "/dense/", ".segment"},
    {"dense manifest", FileOperation::kWrite, "/dense/", "MANIFEST.tmp"},
    {"dense manifest rename", FileOperation::kRename, "/dense/", "MANIFEST"},
    {"dense directory sync", FileOperation::kSync, "", "/dense"},
    {"dense segment removal", FileOperation::kUnlink, "/dense/", ".segment"},
    {"lexical segment", FileOperation::kCreate, "/lexical/", ".term"},
    {"lexical segment write", FileOperation::kWrite, "/lexical/", ""},
    {"lexical commit", FileOperation::kRename, "/lexical/", "meta.json"},
    {"lexical file list", FileOperation::kRename, "/lexical/", ".managed.json"},
    {"lexical directory sync", FileOperation::kSync, "", "/lexical"},
    {"lexical removal", FileOperation::kUnlink, "/lexical/", ""},
    {"snapshot link", FileOperation::kLink, "/checkpoints/", ""},
    {"snapshot manifest", FileOperation::kWrite, "/checkpoints/", ""},
    {"snapshot removal", FileOperation::kUnlink, "/checkpoints/", ""},
};

bool Meets(const Point& point, const FileCall& call) {
  return call.operation == point.operation &&
         absl::StrContains(call.path, point.directory) &&
         absl::EndsWith(call.path, point.file);
}

LocalBackendOptions Options(const std::string& directory, uint64_t seed) {
  std::mt19937_64 random(seed);
  LocalBackendOptions options;
  options.directory = directory + "/data";
  constexpr size_t kSealVectors[] = {16, 64, 300};
  constexpr int kIntervals[] = {1, 5, 40};
  options.seal_vectors = kSealVectors[random() % 3];
  options.index_interval = absl::Milliseconds(kIntervals[random() % 3]);
  options.store.block_cache_bytes = random() % 2 == 0 ? 1 << 20 : 64 << 20;
  options.store.max_request_ids = random() % 2 == 0 ? 20 : 100000;
  // None of the past, some that is being forgotten, all of it.
  constexpr int kRetentions[] = {0, 50, 24 * 3600 * 1000};
  options.store.history_retention =
      absl::Milliseconds(kRetentions[random() % 3]);
  options.history_interval = absl::Milliseconds(10);
  return options;
}

// One line each: `? id content` before a write and `+ id content` after it was
// acknowledged; content 0 is a delete. `p` in place of `?` is a patch. Written
// with one call, so that a kill never leaves half a line that matters.
class Journal {
 public:
  explicit Journal(const std::string& path)
      : file_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644)) {}
  ~Journal() { close(file_); }
  void Note(char kind, const std::string& id, uint64_t content) const {
    const std::string line =
        absl::StrCat(std::string(1, kind), " ", id, " ", content, "\n");
    ASSERT_EQ(write(file_, line.data(), line.size()),
              static_cast<ssize_t>(line.size()));
  }

 private:
  const int file_;
};

void Work(LocalBackend& backend, const Journal& journal,
          std::mt19937_64& random) {
  for (uint64_t i = 0;; ++i) {
    const std::string id = absl::StrCat("d", random() % kDocuments);
    const uint64_t kind = random() % 20;
    if (kind < 4) {
      journal.Note('?', id, 0);
      const auto deleted = backend.store()->DeleteDocument("c", id);
      if (deleted.ok() || absl::IsNotFound(deleted.status())) {
        journal.Note('+', id, 0);
      }
    } else if (kind < 7) {
      MetadataPatch patch;
      patch.set["number"] = static_cast<double>(random() % 100);
      const auto patched = backend.store()->PatchMetadata("c", id, patch);
      if (patched.ok()) {
        journal.Note(
            'p', id,
            static_cast<uint64_t>(std::get<double>(patch.set["number"])));
      }
    } else if (kind == 7 && i % 5 == 0) {
      (void)backend.CreateCheckpoint();
    } else {
      const uint64_t content = 1 + random() % 1000000000;
      journal.Note('?', id, content);
      DocumentWrite write = ListedDocument(id, content);
      write.request_id = std::to_string(random());
      const auto results =
          backend.store()->PutDocuments("c", {write}, /*force=*/true);
      if (results[0].ok()) journal.Note('+', id, content);
    }
    if (random() % 100 == 0) {
      absl::SleepFor(absl::Milliseconds(random() % 20));
    }
  }
}

// The child. Opens, works, and now and then closes in order and opens again,
// until it is stopped.
TEST(FaultCrashChild, DISABLED_Work) {
  const std::string directory = getenv(kDirectoryVariable);
  const uint64_t seed = std::strtoull(getenv(kSeedVariable), nullptr, 10);
  const int point = std::atoi(getenv(kPointVariable));
  const bool cut = std::string(getenv(kCutVariable)) == "1";
  std::mt19937_64 random(seed);
  std::atomic<int64_t> left = 0;
  FileFault::Kind kind = FileFault::Kind::kPowerCut;
  if (cut) {
    // Anywhere: counted in calls that change something.
    left =
        1 + static_cast<int64_t>(random() % (random() % 3 == 0 ? 4000 : 400));
  } else if (point >= 0) {
    left = 1 + static_cast<int64_t>(random() % (random() % 2 == 0 ? 2 : 12));
    kind = random() % 2 == 0 ? FileFault::Kind::kKillBefore
                             : FileFault::Kind::kKillAfter;
  }
  testing::WatchFiles(
      directory + "/data", random(), [&, point](const FileCall& call) {
        if (cut ? call.operation == FileOperation::kRead
                : point < 0 || !Meets(kPoints[point], call)) {
          return FileFault();
        }
        return left.fetch_sub(1) == 1 ? FileFault{kind} : FileFault();
      });
  const Journal journal(directory + "/journal");
  HashEncoder encoder;
  for (;;) {
    auto backend = LocalBackend::Open(Options(directory, seed), &encoder);
    ASSERT_TRUE(backend.ok()) << backend.status();
    CollectionConfig config;
    config.id = "c";
    config.document_access = true;
    const absl::Status created = (*backend)->CreateCollection(config);
    ASSERT_TRUE(created.ok() || absl::IsAlreadyExists(created)) << created;
    journal.Note('o', "open", 0);
    if (random() % 3 == 0) {
      // An orderly end in the middle, for the points that lie there.
      std::mt19937_64 some(random());
      for (uint64_t i = some() % 30; i > 0; --i) {
        const std::string id = absl::StrCat("d", some() % kDocuments);
        const uint64_t content = 1 + some() % 1000000000;
        journal.Note('?', id, content);
        if ((*backend)
                ->store()
                ->PutDocuments("c", {ListedDocument(id, content)}, true)[0]
                .ok()) {
          journal.Note('+', id, content);
        }
      }
      continue;
    }
    Work(**backend, journal, random);
  }
}

struct Expected {
  std::map<std::string, uint64_t> acknowledged;  // content, 0 for none
  std::map<std::string, double> numbers;         // by patches
  // Under way at the end, by id.
  std::map<std::string, uint64_t> unsure;
  uint64_t lines = 0;
  bool opened = false;
};

class FaultCrashTest : public ::testing::Test {
 protected:
  FaultCrashTest() { fs::create_directory(path_); }

  // Starts the child and stops it. True if it met its point by itself.
  bool RunChild(uint64_t seed, int point, bool cut, std::mt19937_64& random) {
    setenv(kDirectoryVariable, path_.c_str(), 1);
    setenv(kSeedVariable, std::to_string(seed).c_str(), 1);
    setenv(kPointVariable, std::to_string(point).c_str(), 1);
    setenv(kCutVariable, cut ? "1" : "0", 1);
    char program[] = "/proc/self/exe";
    char filter[] = "--gtest_filter=FaultCrashChild.DISABLED_Work";
    char disabled[] = "--gtest_also_run_disabled_tests";
    char brief[] = "--gtest_brief=1";
    char* const arguments[] = {program, filter, disabled, brief, nullptr};
    pid_t child = 0;
    EXPECT_EQ(
        posix_spawn(&child, program, nullptr, nullptr, arguments, environ), 0);
    // A power cut comes by itself; a point is met soon or not in this run.
    const absl::Time deadline =
        absl::Now() + (cut          ? absl::Seconds(30)
                       : point >= 0 ? absl::Milliseconds(1500)
                                    : absl::Milliseconds(100 + random() % 500));
    int status = 0;
    pid_t ended = 0;
    while (ended == 0 && absl::Now() < deadline) {
      ended = waitpid(child, &status, WNOHANG);
      if (ended == 0) absl::SleepFor(absl::Milliseconds(2));
    }
    const bool met = ended == child;
    if (!met) {
      kill(child, SIGKILL);
      EXPECT_EQ(waitpid(child, &status, 0), child);
    }
    // A power cut takes the end off files that other threads may have mapped,
    // and one of those may be the first to end the process.
    EXPECT_TRUE(WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL ||
                                        (cut && WTERMSIG(status) == SIGBUS)))
        << "the child ended by itself: " << status;
    return met;
  }

  Expected ReadJournal() const {
    Expected expected = base_;
    std::istringstream lines(ReadBytes(path_ + "/journal"));
    std::string line;
    while (std::getline(lines, line)) {
      std::istringstream fields(line);
      char kind = 0;
      std::string id;
      uint64_t content = 0;
      if (!(fields >> kind >> id >> content)) break;
      ++expected.lines;
      if (kind == 'o') expected.opened = true;
      if (kind == '?') expected.unsure[id] = content;
      if (kind == '+') {
        expected.acknowledged[id] = content;
        expected.unsure.erase(id);
        expected.numbers.erase(id);
      }
      if (kind == 'p') expected.numbers[id] = static_cast<double>(content);
    }
    return expected;
  }

  // After a stop: the data directory is whole before anything repairs it, and
  // right after it is opened.
  void Check(const std::string& what) {
    SCOPED_TRACE(what);
    const Expected expected = ReadJournal();
    const std::string data = path_ + "/data";
    if (!fs::exists(data + "/store/CURRENT")) {
      // Stopped while the store was being made.
      ASSERT_TRUE(expected.acknowledged.empty()) << "the store is gone";
    } else {
      const auto report = VerifyData(data, /*repair=*/false, std::stop_token());
      ASSERT_TRUE(report.ok()) << report.status();
      ASSERT_TRUE(report->whole()) << Describe(*report);
    }
    HashEncoder encoder;
    const absl::Time begin = absl::Now();
    auto backend = LocalBackend::Open(Options(path_, 0), &encoder);
    ASSERT_TRUE(backend.ok()) << backend.status();
    if (absl::IsNotFound((*backend)->store()->GetCollection("c").status())) {
      ASSERT_TRUE(expected.acknowledged.empty()) << "the collection is gone";
      return;
    }
    const absl::Status current =
        (*backend)->WaitUntilCurrent("c", SteadyIn(absl::Seconds(60)));
    ASSERT_TRUE(current.ok()) << current;
    slowest_ = std::max(slowest_, absl::Now() - begin);
    const auto report =
        (*backend)->CheckConsistency("c", SteadyIn(absl::Seconds(60)), {});
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_THAT(report->differences, ::testing::IsEmpty());
    ASSERT_EQ(report->store_chunks, report->bm25_chunks);
    ASSERT_EQ(report->store_chunks, report->dense_chunks);

    const auto snapshot = (*backend)->store()->snapshot();
    std::map<std::string, DocumentInfo> stored;
    const absl::Status listed =
        snapshot->ForEachDocument("c", [&](const DocumentInfo& info) {
          stored[info.id] = info;
          return true;
        });
    ASSERT_TRUE(listed.ok()) << listed;
    for (const auto& [id, info] : stored) {
      ASSERT_EQ(CompareContent(*snapshot, "c", info), "") << id;
      ASSERT_EQ(info.readers, ContentReaders(std::strtoull(
                                  info.content_hash.c_str(), nullptr, 10)));
    }
    for (int i = 0; i < kDocuments; ++i) {
      const std::string id = absl::StrCat("d", i);
      const auto there = stored.find(id);
      const uint64_t content =
          there == stored.end()
              ? 0
              : std::strtoull(there->second.content_hash.c_str(), nullptr, 10);
      const auto acknowledged = expected.acknowledged.find(id);
      const uint64_t want = acknowledged == expected.acknowledged.end()
                                ? 0
                                : acknowledged->second;
      const auto unsure = expected.unsure.find(id);
      if (unsure != expected.unsure.end() && content == unsure->second) {
        continue;
      }
      ASSERT_EQ(content, want) << id << " is not what was acknowledged";
      const auto number = expected.numbers.find(id);
      if (number != expected.numbers.end() && there != stored.end()) {
        // A later patch may have been under way.
        unpatched_ += there->second.metadata.at("number") !=
                      MetadataValue(number->second);
      }
    }
    acknowledged_ += expected.lines;
    // From here on the store is the starting point.
    base_ = {};
    for (const auto& [id, info] : stored) {
      base_.acknowledged[id] =
          std::strtoull(info.content_hash.c_str(), nullptr, 10);
    }
    fs::remove(path_ + "/journal");
    fs::remove_all(data + ".saved");
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path("run");
  Expected base_;
  absl::Duration slowest_;
  uint64_t acknowledged_ = 0;
  uint64_t unpatched_ = 0;
};

TEST_F(FaultCrashTest, KillsLoseNothing) {
  std::mt19937_64 random(FaultSeed());
  const uint64_t rounds = Count(25, 500);
  std::map<std::string, int> met;
  uint64_t at_points = 0;
  uint64_t next = random();
  for (uint64_t round = 0; round < rounds; ++round) {
    // Every fifth kill comes at any moment.
    const int point =
        round % 5 == 4 ? -1 : static_cast<int>(next++ % std::size(kPoints));
    const uint64_t seed = random();
    if (RunChild(seed, point, false, random)) {
      ++met[kPoints[point].name];
      ++at_points;
    }
    Check(absl::StrCat("round ", round, ", point ",
                       point < 0 ? "random" : kPoints[point].name, ", seed ",
                       seed));
    if (HasFatalFailure()) return;
  }
  std::printf(
      "%lu kills, %lu of them at %zu named points; %lu journal lines; "
      "slowest recovery %.3f s\n",
      rounds, at_points, met.size(), acknowledged_,
      absl::ToDoubleSeconds(slowest_));
  for (const auto& [name, times] : met) {
    std::printf("  %s: %d\n", name.c_str(), times);
  }
  EXPECT_GT(at_points, rounds / 3);
  EXPECT_GT(acknowledged_, rounds * 5);
  // One patch may be under way in each round.
  EXPECT_LE(unpatched_, rounds);
}

TEST_F(FaultCrashTest, PowerCutsLoseNothing) {
  std::mt19937_64 random(FaultSeed());
  const uint64_t rounds = Count(100, 2000);
  uint64_t cuts = 0;
  for (uint64_t round = 0; round < rounds; ++round) {
    const uint64_t seed = random();
    cuts += RunChild(seed, -1, true, random) ? 1 : 0;
    Check(absl::StrCat("cut ", round, ", seed ", seed));
    if (HasFatalFailure()) return;
  }
  std::printf("%lu power cuts; %lu journal lines; slowest recovery %.3f s\n",
              cuts, acknowledged_, absl::ToDoubleSeconds(slowest_));
  EXPECT_GT(cuts, rounds * 9 / 10);
  EXPECT_LE(unpatched_, rounds);
}

}  // namespace
}  // namespace braid::retrieval
