// A disk that is full, that fails, and that does less than it was asked:
// writes are refused with the reason, searches go on, and all is well again
// when the disk is.
#include <atomic>
#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "retrieval/local/local_backend.h"
#include "tests/fault/fault_testing.h"
#include "tests/fault/file_faults.h"
#include "tests/steady.h"

namespace braid::retrieval {
namespace {

using testing::FileCall;
using testing::FileFault;
using testing::FileOperation;

bool Writes(FileOperation operation) {
  return operation == FileOperation::kWrite ||
         operation == FileOperation::kCreate ||
         operation == FileOperation::kRename ||
         operation == FileOperation::kLink;
}

class FaultDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(path_);
    testing::WatchFiles(path_, 0, [this](const FileCall& call) {
      if ((full_ || (full_for_tables_ && absl::EndsWith(call.path, ".sst")) ||
           (full_for_indexes_ && absl::StrContains(call.path, "/lexical/"))) &&
          Writes(call.operation)) {
        ++faults_;
        return FileFault{FileFault::Kind::kError, ENOSPC};
      }
      const uint64_t odds = one_in_;
      if (odds == 0) return FileFault();
      // Cheap, and the same for all threads.
      uint64_t number = calls_.fetch_add(1) + seed_;
      number = (number ^ number >> 31) * 0x9E3779B97F4A7C15u;
      if ((number >> 20) % odds != 0) return FileFault();
      ++faults_;
      switch ((number >> 50) % 4) {
        case 0:
          return FileFault{FileFault::Kind::kShort};
        case 1:
          return FileFault{FileFault::Kind::kError,
                           Writes(call.operation) ? ENOSPC : EIO};
        default:
          return FileFault{FileFault::Kind::kError, EIO};
      }
    });
    Open();
    if (HasFatalFailure()) return;
    CollectionConfig config;
    config.id = "c";
    ASSERT_TRUE(backend_->CreateCollection(config).ok());
  }
  void TearDown() override {
    full_ = false;
    full_for_tables_ = false;
    full_for_indexes_ = false;
    one_in_ = 0;
    backend_.reset();
    testing::StopWatchingFiles();
  }

  void Open() {
    backend_.reset();
    auto opened = TryOpen();
    ASSERT_TRUE(opened.ok()) << opened.status();
    backend_ = *std::move(opened);
  }
  absl::StatusOr<std::unique_ptr<LocalBackend>> TryOpen() {
    LocalBackendOptions options;
    options.directory = path_ + "/data";
    options.index_interval = absl::Milliseconds(1);
    options.seal_vectors = 64;
    return LocalBackend::Open(options, &encoder_);
  }

  // The outcome of writing one document; remembers what was acknowledged.
  absl::Status Put() {
    const std::string id = absl::StrCat("d", random_() % 60);
    const uint64_t content = 1 + random_() % 1000000000;
    const auto results = backend_->store()->PutDocuments(
        "c", {ContentDocument(id, content)}, true);
    if (results[0].ok()) {
      acknowledged_[id] = {content};
    } else {
      // May be there all the same; before the first there is nothing.
      acknowledged_.try_emplace(id, std::set<uint64_t>{0})
          .first->second.insert(content);
    }
    return results[0].status();
  }

  absl::Status Search(absl::Duration deadline = absl::Seconds(5)) {
    Query query;
    query.collection = "c";
    query.text = Word(random_() % kWords);
    query.deadline = SteadyIn(deadline);
    const auto found = backend_->Search(query);
    if (!found.ok()) return found.status();
    if (!found->bm25.status.ok()) return found->bm25.status;
    if (!found->dense.status.ok()) return found->dense.status;
    std::vector<ChunkId> ids;
    for (const ScoredChunk& hit : found->bm25.hits) ids.push_back(hit.chunk);
    for (const ScoredChunk& hit : found->dense.hits) ids.push_back(hit.chunk);
    return found->view->Fetch(ids).status();
  }

  void ExpectWhole() {
    const absl::Status current =
        backend_->WaitUntilCurrent("c", SteadyIn(absl::Seconds(60)));
    ASSERT_TRUE(current.ok()) << current;
    const auto report =
        backend_->CheckConsistency("c", SteadyIn(absl::Seconds(60)), {});
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_THAT(report->differences, ::testing::IsEmpty());
    const auto snapshot = backend_->store()->snapshot();
    for (const auto& [id, contents] : acknowledged_) {
      const auto info = snapshot->GetDocument("c", id);
      if (absl::IsNotFound(info.status()) && contents.contains(0)) continue;
      ASSERT_TRUE(info.ok()) << info.status();
      ASSERT_TRUE(contents.contains(
          std::strtoull(info->content_hash.c_str(), nullptr, 10)))
          << id;
      ASSERT_EQ(CompareContent(*snapshot, "c", *info), "");
    }
  }

  const uint64_t seed_ = FaultSeed();
  std::mt19937_64 random_{seed_};
  TemporaryDirectory directory_;
  const std::string path_ = directory_.path("files");
  HashEncoder encoder_;
  std::atomic<bool> full_ = false;
  std::atomic<bool> full_for_tables_ = false;
  std::atomic<bool> full_for_indexes_ = false;
  std::atomic<uint64_t> one_in_ = 0;
  std::atomic<uint64_t> calls_ = 0;
  std::atomic<uint64_t> faults_ = 0;
  // What a document may be: the contents since the last acknowledged one.
  std::map<std::string, std::set<uint64_t>> acknowledged_;
  std::unique_ptr<LocalBackend> backend_;
};

TEST_F(FaultDiskTest, AFullDiskRefusesWritesAndRecovers) {
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(Put().ok());
    ASSERT_TRUE(backend_->WaitUntilCurrent("c", kNever).ok());
    full_ = true;
    for (int i = 0; i < 20; ++i) {
      const absl::Status refused = Put();
      ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
      ASSERT_TRUE(Search().ok());
    }
    full_ = false;
    // Without a restart, and soon.
    absl::Status status;
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    do {
      status = Put();
      absl::SleepFor(absl::Milliseconds(10));
    } while (!status.ok() && absl::Now() < deadline);
    ASSERT_TRUE(status.ok()) << status;
    ExpectWhole();
    if (HasFatalFailure()) return;
  }
}

TEST_F(FaultDiskTest, AFullDiskAtTheFirstWriteRecovers) {
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(Put().ok());
  for (int round = 0; round < 3; ++round) {
    // Nothing is in memory that would have to be flushed.
    Open();
    if (HasFatalFailure()) return;
    full_ = true;
    for (int i = 0; i < 2; ++i) {
      const absl::Status refused = Put();
      ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
    }
    full_ = false;
    const absl::Status status = Put();
    ASSERT_TRUE(status.ok()) << status;
    ExpectWhole();
    if (HasFatalFailure()) return;
  }
}

// Some space came back, but not enough for what RocksDB must write to go on.
TEST_F(FaultDiskTest, TooLittleSpaceToGoOnIsNotTheEnd) {
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(Put().ok());
    full_ = true;
    ASSERT_TRUE(absl::IsResourceExhausted(Put()));
    full_for_tables_ = true;
    full_ = false;
    for (int i = 0; i < 3; ++i) {
      const absl::Status refused = Put();
      ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
    }
    full_for_tables_ = false;
    const absl::Status status = Put();
    ASSERT_TRUE(status.ok()) << status;
    ExpectWhole();
    if (HasFatalFailure()) return;
  }
}

// What is stored waits for its index, and one can know why.
TEST_F(FaultDiskTest, IndexingThatFailsIsToldAndTriedAgain) {
  ASSERT_TRUE(Put().ok());
  ASSERT_TRUE(backend_->WaitUntilCurrent("c", kNever).ok());
  std::mutex mutex;
  std::vector<absl::Status> told;
  const auto listener = [&](const std::string& collection,
                            const absl::Status& status) {
    EXPECT_EQ(collection, "c");
    const std::lock_guard<std::mutex> lock(mutex);
    told.push_back(status);
  };
  backend_->SetIndexListener(listener);
  const auto wait_until_told = [&](size_t times) {
    for (int i = 0; i < 2000; ++i) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        if (told.size() >= times) return told.back();
      }
      absl::SleepFor(absl::Milliseconds(10));
    }
    return absl::DeadlineExceededError("nobody was told");
  };
  full_for_indexes_ = true;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Put().ok());
  const absl::Status failed = wait_until_told(1);
  EXPECT_THAT(std::string(failed.message()),
              ::testing::StartsWith("lexical index: "));
  const auto state = backend_->DescribeIndexes("c");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->error, failed);
  EXPECT_LT(state->visible_sequence,
            backend_->store()->snapshot()->Counters("c")->last_sequence);
  EXPECT_TRUE(Search().ok());
  // Whoever comes later hears of it, too.
  backend_->SetIndexListener(nullptr);
  backend_->SetIndexListener(listener);
  EXPECT_FALSE(wait_until_told(2).ok());

  full_for_indexes_ = false;
  EXPECT_TRUE(wait_until_told(3).ok());
  ExpectWhole();
  EXPECT_TRUE(backend_->DescribeIndexes("c")->error.ok());
  backend_->SetIndexListener(nullptr);
}

TEST_F(FaultDiskTest, FailingCallsCrashNothingAndLoseNothing) {
  const uint64_t faults = Count(150, 10000);
  uint64_t written = 0;
  uint64_t refused = 0;
  uint64_t searched = 0;
  uint64_t reopened = 0;
  while (faults_ < faults && !HasFatalFailure()) {
    one_in_ = 100;
    const uint64_t until = faults_ + 40;
    int row = 0;
    while (faults_ < until && row < 25) {
      const absl::Status put = Put();
      ++(put.ok() ? written : refused);
      row = put.ok() ? 0 : row + 1;
      searched += Search(absl::Milliseconds(50)).ok() ? 1 : 0;
    }
    one_in_ = 0;
    // A store whose log could not be synced stays closed for writes until it is
    // opened again.
    if (!Put().ok()) {
      ++reopened;
      Open();
      if (HasFatalFailure()) return;
    }
    if (faults_ % 5 == 0) ExpectWhole();
  }
  one_in_ = 0;
  Open();
  if (HasFatalFailure()) return;
  ExpectWhole();
  std::printf(
      "%lu faults: %lu writes, %lu refused; %lu searches; opened again "
      "%lu times\n",
      faults_.load(), written, refused, searched, reopened);
  EXPECT_GT(written, faults / 50);
  EXPECT_GT(searched, faults / 50);
}

}  // namespace
}  // namespace braid::retrieval
