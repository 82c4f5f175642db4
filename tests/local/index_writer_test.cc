// The indexer's log following against indexes that crash and fail at will.
#include "retrieval/local/index_writer.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/local/fakes.h"
#include "tests/store/store_test_util.h"

namespace braid::retrieval {
namespace {

constexpr uint32_t kDimension = 4;

class IndexWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = Store::Open(directory_.path(), StoreOptions());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    ASSERT_TRUE(store_->CreateCollection(TestCollection("c", kDimension)).ok());
    Restart();
  }
  // As after a crash: what was not committed is gone.
  void Restart() {
    writer_ = std::make_unique<IndexWriter>(
        *store_->GetCollection("c"), directory_.path("indexes"),
        /*seal_vectors=*/32, FakeFactories(disk_));
    const absl::Status opened = writer_->Open();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  absl::Status CatchUp() {
    const auto snapshot = store_->snapshot();
    return writer_->CatchUp(*snapshot, snapshot->Counters("c")->last_sequence,
                            std::stop_token());
  }
  void Put(const std::string& id, uint32_t chunks) {
    PutOne(store_.get(), "c",
           RandomDocument(random_, id, kDimension, chunks, 40));
  }
  // Both indexes hold exactly the chunks of the store, with their contents.
  void ExpectCurrent() {
    const auto snapshot = store_->snapshot();
    const std::vector<ChunkId> ids = *snapshot->ListChunks("c");
    const std::vector<Passage> passages = *snapshot->GetPassages("c", ids);
    std::map<ChunkId, std::string> lexical;
    std::map<ChunkId, std::string> dense;
    for (const Passage& passage : passages) {
      std::string title = passage.title;
      for (const std::string& heading : passage.chunk.span.headings) {
        title += " " + heading;
      }
      lexical[passage.chunk.id] = absl::StrCat(title, "|", passage.text);
      const std::vector<float> vector =
          *snapshot->GetVectors("c", passage.chunk.id, 1);
      dense[passage.chunk.id] =
          std::string(reinterpret_cast<const char*>(vector.data()),
                      vector.size() * sizeof(float));
    }
    const auto lexical_snapshot =
        std::dynamic_pointer_cast<const FakeLexicalSnapshot>(
            writer_->lexical_snapshot());
    const auto dense_snapshot =
        std::dynamic_pointer_cast<const FakeDenseSnapshot>(
            writer_->dense_snapshot());
    ASSERT_EQ(lexical_snapshot->contents(), lexical);
    ASSERT_EQ(dense_snapshot->contents(), dense);
  }

  TemporaryDirectory directory_;
  std::mt19937_64 random_{7};
  std::unique_ptr<Store> store_;
  std::shared_ptr<FakeDisk> disk_ = std::make_shared<FakeDisk>();
  std::unique_ptr<IndexWriter> writer_;
};

TEST_F(IndexWriterTest, SkipsVersionsThatALaterEntryReplaced) {
  Put("a", 2);
  ASSERT_TRUE(CatchUp().ok());
  Put("a", 3);
  Put("b", 1);
  Put("a", 1);
  ASSERT_TRUE(store_->DeleteDocument("c", "b").ok());
  ASSERT_TRUE(CatchUp().ok());
  ExpectCurrent();
  EXPECT_EQ(*store_->snapshot()->ListChunks("c"), std::vector<ChunkId>{7});
}

TEST_F(IndexWriterTest, RebuildsWhatTheLogNoLongerReaches) {
  for (int i = 0; i < 20; ++i) Put(absl::StrCat(i % 7), 2);
  ASSERT_TRUE(CatchUp().ok());
  ASSERT_TRUE(writer_->Commit().ok());
  ASSERT_TRUE(store_->TruncateLog("c", writer_->committed()).ok());
  std::filesystem::remove_all(directory_.path("indexes") + "/dense");
  Put("new", 1);
  Restart();
  ASSERT_TRUE(CatchUp().ok());
  ExpectCurrent();
  std::filesystem::remove_all(directory_.path("indexes"));
  Restart();
  ASSERT_TRUE(CatchUp().ok());
  ExpectCurrent();
}

TEST_F(IndexWriterTest, RebuildsAnIndexThatIsNotOfThisStore) {
  Put("a", 2);
  ASSERT_TRUE(CatchUp().ok());
  ASSERT_TRUE(writer_->Commit().ok());
  // Ahead of the store, as after restoring an older backup of it.
  disk_->states[directory_.path("indexes") + "/lexical"].sequence = 1000;
  disk_->states[directory_.path("indexes") + "/lexical"].chunks[99] = "stale";
  // At the right sequence with the wrong contents.
  disk_->states[directory_.path("indexes") + "/dense"].chunks.erase(1);
  Restart();
  ASSERT_TRUE(CatchUp().ok());
  ExpectCurrent();
}

TEST_F(IndexWriterTest, AStopLeavesAStateToGoOnFrom) {
  for (int i = 0; i < 50; ++i) Put(absl::StrCat(i), 1);
  std::stop_source stop;
  int adds = 0;
  disk_->fail = [&](const std::string& what) {
    if (what == "dense add" && ++adds == 20) stop.request_stop();
    return absl::OkStatus();
  };
  const auto snapshot = store_->snapshot();
  const Sequence last = snapshot->Counters("c")->last_sequence;
  EXPECT_TRUE(
      absl::IsCancelled(writer_->CatchUp(*snapshot, last, stop.get_token())));
  ASSERT_TRUE(writer_->Commit().ok());
  EXPECT_EQ(writer_->committed(), 20u);
  disk_->fail = nullptr;
  Restart();
  ASSERT_TRUE(CatchUp().ok());
  ExpectCurrent();
}

TEST_F(IndexWriterTest, AStoppedRebuildIsNotMadeDurable) {
  for (int i = 0; i < 50; ++i) Put(absl::StrCat(i), 1);
  ASSERT_TRUE(store_->TruncateLog("c", 50).ok());
  std::stop_source stop;
  int adds = 0;
  disk_->fail = [&](const std::string& what) {
    if (what == "lexical add" && ++adds == 20) stop.request_stop();
    return absl::OkStatus();
  };
  const auto snapshot = store_->snapshot();
  EXPECT_TRUE(
      absl::IsCancelled(writer_->CatchUp(*snapshot, 50, stop.get_token())));
  ASSERT_TRUE(writer_->Commit().ok());
  EXPECT_EQ(writer_->committed(), 0u);
  disk_->fail = nullptr;
  Restart();
  ASSERT_TRUE(CatchUp().ok());
  ExpectCurrent();
}

// Whatever happens between rounds, a round that succeeds leaves both indexes
// with exactly what the store holds.
TEST_F(IndexWriterTest, ConvergesUnderRandomCrashesAndFailures) {
  random_.seed(TestSeed());
  int rounds = 0;
  int failures = 0;
  for (int step = 0; step < 600; ++step) {
    const uint64_t kind = random_() % 20;
    if (kind < 10) {
      std::vector<DocumentWrite> writes;
      for (uint64_t i = random_() % 5; i > 0; --i) {
        writes.push_back(RandomDocument(random_, absl::StrCat(random_() % 12),
                                        kDimension, random_() % 4, 30));
      }
      store_->PutDocuments("c", writes, false);
    } else if (kind < 13) {
      (void)store_->DeleteDocument("c", absl::StrCat(random_() % 12));
    } else if (kind < 15) {
      Restart();
    } else if (kind < 16) {
      ASSERT_TRUE(writer_->Commit().ok());
    } else if (kind < 17) {
      ASSERT_TRUE(store_->TruncateLog("c", writer_->committed()).ok());
    } else if (kind < 18 && random_() % 4 == 0) {
      const char* leg = random_() % 2 == 0 ? "/lexical" : "/dense";
      std::filesystem::remove_all(directory_.path("indexes") + leg);
      Restart();
    } else {
      if (random_() % 3 == 0) {
        disk_->fail = [this](const std::string&) {
          return random_() % 10 == 0 ? absl::UnavailableError("disk")
                                     : absl::OkStatus();
        };
      }
      const absl::Status status = CatchUp();
      disk_->fail = nullptr;
      if (!status.ok()) {
        ++failures;
        ASSERT_TRUE(absl::IsUnavailable(status)) << status;
        ASSERT_TRUE(writer_->Open().ok());
        continue;
      }
      ++rounds;
      ExpectCurrent();
      if (HasFatalFailure()) FAIL() << "at step " << step;
    }
  }
  EXPECT_GT(rounds, 10);
  EXPECT_GT(failures, 2);
}

TEST(IndexedTitleTest, JoinsTitleAndHeadings) {
  Passage passage;
  EXPECT_EQ(IndexedTitle(passage), "");
  passage.title = "Title";
  EXPECT_EQ(IndexedTitle(passage), "Title");
  passage.chunk.span.headings = {"Title", "One", "Two"};
  EXPECT_EQ(IndexedTitle(passage), "Title One Two");
  passage.chunk.span.headings = {"One", "Title"};
  EXPECT_EQ(IndexedTitle(passage), "Title One Title");
  passage.title = "";
  EXPECT_EQ(IndexedTitle(passage), "One Title");
}

}  // namespace
}  // namespace braid::retrieval
