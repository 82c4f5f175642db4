#include "retrieval/store/store.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/steady.h"
#include "tests/store/store_test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint32_t kDimension = 3;

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Reopen();
    ASSERT_TRUE(store_->CreateCollection(TestCollection("c", kDimension)).ok());
  }
  void Reopen() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<Store>> store =
        Store::Open(directory_.path(), options_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  DocumentWrite Document(const std::string& id, uint32_t chunks = 1,
                         size_t bytes = 100) {
    return RandomDocument(random_, id, kDimension, chunks, bytes);
  }

  TemporaryDirectory directory_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
  std::mt19937_64 random_{42};
};

TEST_F(StoreTest, KeepsEveryFieldAcrossReopening) {
  options_.clock = [] { return absl::FromUnixSeconds(1234567890); };
  Reopen();
  CollectionConfig config = TestCollection("other-1", kDimension);
  config.language = "de";
  config.chunking = {ChunkingStrategy::kWhole, 123, 45};
  ASSERT_TRUE(store_->CreateCollection(config).ok());
  const DocumentWrite write = Document("a/b\xC3\xA4", 3, 100000);
  const WriteResult result = PutOne(store_.get(), "other-1", write);
  EXPECT_EQ(result.outcome, WriteOutcome::kCreated);
  EXPECT_EQ(result.version, 1u);
  EXPECT_EQ(result.chunk_count, 3u);
  Reopen();

  const absl::StatusOr<CollectionConfig> read =
      store_->GetCollection("other-1");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->language, "de");
  EXPECT_EQ(read->chunking, config.chunking);
  EXPECT_EQ(read->encoder, "test encoder");
  EXPECT_EQ(read->dimension, kDimension);
  EXPECT_EQ(read->create_time, absl::FromUnixSeconds(1234567890));

  const auto snapshot = store_->snapshot();
  const absl::StatusOr<DocumentInfo> info =
      snapshot->GetDocument("other-1", write.id);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->id, write.id);
  EXPECT_EQ(info->title, write.title);
  EXPECT_EQ(info->media_type, write.media_type);
  EXPECT_EQ(info->content_hash, write.content_hash);
  EXPECT_EQ(info->metadata, write.metadata);
  EXPECT_EQ(info->sequence, result.sequence);
  EXPECT_EQ(info->text_bytes, write.text.size());
  EXPECT_EQ(info->update_time, absl::FromUnixSeconds(1234567890));
  EXPECT_EQ(*snapshot->GetText("other-1", write.id), write.text);

  const std::vector<ChunkId> ids = {info->first_chunk + 2, 999,
                                    info->first_chunk};
  const absl::StatusOr<std::vector<Passage>> passages =
      snapshot->GetPassages("other-1", ids);
  ASSERT_TRUE(passages.ok()) << passages.status();
  ASSERT_EQ(passages->size(), 2u);  // 999 is left out
  const Passage& last = (*passages)[0];
  const ChunkSpan& span = write.chunks[2];
  EXPECT_EQ(last.chunk.id, info->first_chunk + 2);
  EXPECT_EQ(last.chunk.document_id, write.id);
  EXPECT_EQ(last.chunk.version, 1u);
  EXPECT_EQ(last.chunk.ordinal, 2u);
  EXPECT_EQ(last.chunk.span.text_range, span.text_range);
  EXPECT_EQ(last.chunk.span.source_range, span.source_range);
  EXPECT_EQ(last.chunk.span.headings, span.headings);
  EXPECT_EQ(last.chunk.span.page, span.page);
  EXPECT_EQ(last.chunk.span.token_count, span.token_count);
  EXPECT_EQ(last.title, write.title);
  EXPECT_EQ(last.metadata, write.metadata);
  EXPECT_EQ(last.text,
            write.text.substr(span.text_range.begin, span.text_range.size()));
  EXPECT_EQ(*snapshot->GetVectors("other-1", info->first_chunk, 3),
            write.vectors);
  EXPECT_TRUE(absl::IsDataLoss(
      snapshot->GetVectors("other-1", info->first_chunk, 4).status()));
}

TEST_F(StoreTest, ReadsTextRangesAcrossPieces) {
  const DocumentWrite write = Document("long", 1, 200001);
  PutOne(store_.get(), "c", write);
  const auto snapshot = store_->snapshot();
  const DocumentInfo info = *snapshot->GetDocument("c", "long");
  for (int i = 0; i < 200; ++i) {
    uint64_t begin = random_() % 200002;
    uint64_t end = random_() % 200002;
    if (begin > end) std::swap(begin, end);
    ASSERT_EQ(*snapshot->GetTextRange("c", info, {begin, end}),
              write.text.substr(begin, end - begin));
  }
  EXPECT_TRUE(absl::IsOutOfRange(
      snapshot->GetTextRange("c", info, {0, 200002}).status()));
  EXPECT_TRUE(
      absl::IsOutOfRange(snapshot->GetTextRange("c", info, {5, 4}).status()));
}

TEST_F(StoreTest, ReplacingRemovesTheOldVersionInTheSameWrite) {
  const DocumentWrite first = Document("d", 2);
  const WriteResult one = PutOne(store_.get(), "c", first);
  const auto before = store_->snapshot();
  const WriteResult two = PutOne(store_.get(), "c", Document("d", 3));
  EXPECT_EQ(two.outcome, WriteOutcome::kReplaced);
  EXPECT_EQ(two.version, 2u);
  EXPECT_EQ(two.sequence, one.sequence + 1);
  const auto after = store_->snapshot();
  EXPECT_THAT(*before->ListChunks("c"), ElementsAre(1, 2));
  EXPECT_THAT(*after->ListChunks("c"), ElementsAre(3, 4, 5));
  EXPECT_EQ(*before->GetText("c", "d"), first.text);
  EXPECT_EQ(before->GetPassages("c", {1, 2})->size(), 2u);
  EXPECT_TRUE(after->GetPassages("c", {1, 2})->empty());
  EXPECT_TRUE(absl::IsDataLoss(after->GetVectors("c", 1, 1).status()));

  const std::vector<LogEntry> log = *after->ReadLog("c", one.sequence, 10);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(log[0].kind, LogEntry::Kind::kPut);
  EXPECT_EQ(log[0].first_chunk, 3u);
  EXPECT_EQ(log[0].chunk_count, 3u);
  EXPECT_EQ(log[0].removed_first_chunk, 1u);
  EXPECT_EQ(log[0].removed_chunk_count, 2u);
}

TEST_F(StoreTest, UnchangedDocumentsAreNotWrittenAgain) {
  const DocumentWrite write = Document("d");
  const WriteResult one = PutOne(store_.get(), "c", write);
  const WriteResult two = PutOne(store_.get(), "c", write);
  EXPECT_EQ(two.outcome, WriteOutcome::kUnchanged);
  EXPECT_EQ(two.version, 1u);
  EXPECT_EQ(two.sequence, one.sequence);
  DocumentWrite other = write;
  other.metadata["number"] = -1.0;
  EXPECT_EQ(PutOne(store_.get(), "c", other).outcome, WriteOutcome::kReplaced);
  other.title += "!";
  EXPECT_EQ(PutOne(store_.get(), "c", other).outcome, WriteOutcome::kReplaced);
  EXPECT_EQ(PutOne(store_.get(), "c", other, /*force=*/true).version, 4u);
}

TEST_F(StoreTest, VersionsGoOnAfterADelete) {
  PutOne(store_.get(), "c", Document("d"));
  PutOne(store_.get(), "c", Document("d"));
  EXPECT_EQ(*store_->DeleteDocument("c", "d"), 3u);
  EXPECT_TRUE(absl::IsNotFound(store_->DeleteDocument("c", "d").status()));
  EXPECT_TRUE(
      absl::IsNotFound(store_->snapshot()->GetDocument("c", "d").status()));
  Reopen();
  const WriteResult again = PutOne(store_.get(), "c", Document("d"));
  EXPECT_EQ(again.outcome, WriteOutcome::kCreated);
  EXPECT_EQ(again.version, 3u);
  // Nor is a chunk id used again.
  EXPECT_THAT(*store_->snapshot()->ListChunks("c"), ElementsAre(3));
}

TEST_F(StoreTest, OneBatchMayHoldADocumentTwiceAndRefusesOneByOne) {
  std::vector<DocumentWrite> writes = {Document("d", 2), Document(""),
                                       Document("d", 1), Document("e", 1)};
  writes.push_back(Document("bad\xFF"));
  writes.push_back(Document(std::string(513, 'x')));
  writes.push_back(Document("short vectors"));
  writes.back().vectors.pop_back();
  writes.push_back(Document("outside"));
  writes.back().chunks[0].text_range.end += 1;
  writes.push_back(Document(std::string(512, 'x')));
  const auto results = store_->PutDocuments("c", writes, false);
  ASSERT_EQ(results.size(), writes.size());
  EXPECT_EQ(results[0]->version, 1u);
  EXPECT_EQ(results[2]->version, 2u);
  EXPECT_EQ(results[2]->outcome, WriteOutcome::kReplaced);
  EXPECT_EQ(results[3]->sequence, 3u);
  for (const int refused : {1, 4, 5, 6, 7}) {
    EXPECT_TRUE(absl::IsInvalidArgument(results[refused].status()))
        << refused << results[refused].status();
  }
  EXPECT_TRUE(results[8].ok());
  const auto snapshot = store_->snapshot();
  EXPECT_THAT(*snapshot->ListChunks("c"), ElementsAre(3, 4, 5));
  const CollectionCounters counters = *snapshot->Counters("c");
  EXPECT_EQ(counters.documents, 3u);
  EXPECT_EQ(counters.chunks, 3u);
  EXPECT_EQ(counters.last_sequence, 4u);
}

TEST_F(StoreTest, RequestIdsAreIdempotentAndBounded) {
  options_.max_request_ids = 3;
  Reopen();
  DocumentWrite write = Document("d");
  write.request_id = "r0";
  const WriteResult first = PutOne(store_.get(), "c", write);
  DocumentWrite other = Document("d");
  other.request_id = "r0";
  EXPECT_EQ(PutOne(store_.get(), "c", other).sequence, first.sequence);
  EXPECT_EQ(store_->snapshot()->GetDocument("c", "d")->content_hash,
            write.content_hash);
  Reopen();
  const auto found = store_->FindRequest("c", "r0");
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->sequence, first.sequence);
  EXPECT_EQ((*found)->outcome, WriteOutcome::kCreated);

  // Four more push the first out, within one batch as well.
  std::vector<DocumentWrite> writes;
  for (int i = 1; i <= 4; ++i) {
    writes.push_back(Document(absl::StrCat("d", i)));
    writes.back().request_id = absl::StrCat("r", i);
  }
  store_->PutDocuments("c", writes, false);
  EXPECT_FALSE(store_->FindRequest("c", "r0")->has_value());
  EXPECT_FALSE(store_->FindRequest("c", "r1")->has_value());
  for (const char* id : {"r2", "r3", "r4"}) {
    EXPECT_TRUE(store_->FindRequest("c", id)->has_value()) << id;
  }
  EXPECT_FALSE(store_->FindRequest("c", "unknown")->has_value());
}

TEST_F(StoreTest, ListsDocumentsInPagesByByteOrder) {
  const std::vector<std::string> ids = {
      "a", "a/", "a/b", "aa", std::string("a\0b", 3), "\xC3\xA4"};
  for (const std::string& id : ids) PutOne(store_.get(), "c", Document(id));
  // Another collection's documents never appear.
  ASSERT_TRUE(store_->CreateCollection(TestCollection("b", kDimension)).ok());
  PutOne(store_.get(), "b", Document("z"));
  std::vector<std::string> sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  const auto snapshot = store_->snapshot();
  std::vector<std::string> listed;
  std::string after;
  for (;;) {
    const auto page = *snapshot->ListDocuments("c", after, 2);
    if (page.empty()) break;
    for (const DocumentInfo& info : page) listed.push_back(info.id);
    after = listed.back();
  }
  EXPECT_EQ(listed, sorted);
  std::vector<std::string> visited;
  ASSERT_TRUE(snapshot
                  ->ForEachDocument("c",
                                    [&](const DocumentInfo& info) {
                                      visited.push_back(info.id);
                                      return visited.size() < 3;
                                    })
                  .ok());
  sorted.resize(3);
  EXPECT_EQ(visited, sorted);
}

TEST_F(StoreTest, TruncatesTheLog) {
  for (int i = 0; i < 5; ++i) {
    PutOne(store_.get(), "c", Document(absl::StrCat("d", i)));
  }
  const auto before = store_->snapshot();
  ASSERT_TRUE(store_->TruncateLog("c", 3).ok());
  ASSERT_TRUE(store_->TruncateLog("c", 2).ok());  // does nothing
  const auto after = store_->snapshot();
  EXPECT_EQ(before->ReadLog("c", 0, 10)->size(), 5u);
  EXPECT_TRUE(absl::IsOutOfRange(after->ReadLog("c", 2, 10).status()));
  EXPECT_EQ(after->ReadLog("c", 3, 10)->size(), 2u);
  EXPECT_EQ(after->ReadLog("c", 3, 1)->size(), 1u);
  EXPECT_THAT(*after->ReadLog("c", 5, 10), IsEmpty());
  ASSERT_TRUE(store_->TruncateLog("c", 1000).ok());
  EXPECT_EQ(PutOne(store_.get(), "c", Document("new")).sequence, 6u);
  EXPECT_EQ(store_->snapshot()->ReadLog("c", 5, 10)->size(), 1u);
}

TEST_F(StoreTest, ARecreatedCollectionIsEmpty) {
  PutOne(store_.get(), "c", Document("d"));
  const auto before = store_->snapshot();
  ASSERT_TRUE(store_->DeleteCollection("c").ok());
  EXPECT_TRUE(absl::IsNotFound(store_->DeleteCollection("c")));
  EXPECT_TRUE(absl::IsNotFound(store_->GetCollection("c").status()));
  EXPECT_TRUE(absl::IsNotFound(
      store_->PutDocuments("c", {Document("d")}, false)[0].status()));
  EXPECT_TRUE(before->GetDocument("c", "d").ok());
  ASSERT_TRUE(store_->CreateCollection(TestCollection("c", kDimension)).ok());
  EXPECT_TRUE(store_->snapshot()->ListChunks("c")->empty());
  EXPECT_EQ(store_->snapshot()->Counters("c")->last_sequence, 0u);
  const WriteResult result = PutOne(store_.get(), "c", Document("d"));
  EXPECT_EQ(result.version, 1u);
  EXPECT_EQ(result.sequence, 2u);  // sequences are the store's
}

TEST_F(StoreTest, ChecksCollections) {
  for (const char* id : {"", "A", "1a", "a_b", "a/b", "-a"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        store_->CreateCollection(TestCollection(id, 3))))
        << id;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(
      store_->CreateCollection(TestCollection(std::string(64, 'a'), 3))));
  EXPECT_TRUE(
      store_->CreateCollection(TestCollection(std::string(63, 'a'), 3)).ok());
  EXPECT_TRUE(
      absl::IsAlreadyExists(store_->CreateCollection(TestCollection("c", 3))));
  EXPECT_TRUE(absl::IsInvalidArgument(
      store_->CreateCollection(TestCollection("d", 0))));
  const auto collections = *store_->ListCollections();
  ASSERT_EQ(collections.size(), 2u);
  EXPECT_EQ(collections[1].id, "c");
}

TEST_F(StoreTest, WaitsForWrites) {
  EXPECT_EQ(store_->WaitForWrite("unknown", 0, kNever), 0u);
  const absl::Time start = absl::Now();
  EXPECT_EQ(store_->WaitForWrite("c", 0, SteadyIn(absl::Milliseconds(30))), 0u);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(30));
  std::thread writer([&] { PutOne(store_.get(), "c", Document("d")); });
  EXPECT_EQ(store_->WaitForWrite("c", 0, kNever), 1u);
  writer.join();
  std::thread closer([&] { store_->CloseWaiters(); });
  EXPECT_EQ(store_->WaitForWrite("c", 1, kNever), 1u);
  closer.join();
  Reopen();
  EXPECT_EQ(store_->WaitForWrite("c", 0, kNever), 1u);
  std::thread deleter([&] { EXPECT_TRUE(store_->DeleteCollection("c").ok()); });
  EXPECT_EQ(store_->WaitForWrite("c", 1, kNever), 0u);
  deleter.join();
}

TEST_F(StoreTest, ConcurrentWritersGetDistinctSequencesAndChunks) {
  ASSERT_TRUE(store_->CreateCollection(TestCollection("b", kDimension)).ok());
  constexpr int kWriters = 4;
  constexpr int kWrites = 25;
  std::vector<std::vector<Sequence>> sequences(kWriters);
  std::vector<std::thread> threads;
  for (int t = 0; t < kWriters; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < kWrites; ++i) {
        const DocumentWrite write =
            RandomDocument(random, absl::StrCat(t, "/", i), kDimension, 2, 50);
        sequences[t].push_back(
            PutOne(store_.get(), t % 2 == 0 ? "b" : "c", write).sequence);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<Sequence> distinct;
  for (const auto& one : sequences) {
    EXPECT_TRUE(std::is_sorted(one.begin(), one.end()));
    distinct.insert(one.begin(), one.end());
  }
  EXPECT_EQ(distinct.size(), size_t{kWriters * kWrites});
  EXPECT_EQ(*distinct.rbegin(), Sequence{kWriters * kWrites});
  for (const char* collection : {"b", "c"}) {
    const auto snapshot = store_->snapshot();
    EXPECT_EQ(snapshot->ListChunks(collection)->size(),
              size_t{kWriters * kWrites});
    EXPECT_EQ(snapshot->Counters(collection)->documents,
              uint64_t{kWriters * kWrites / 2});
  }
}

// Forks before the store has threads: what they hold would stay locked in the
// child.
TEST(StoreLockTest, SaysWhenAnotherProcessHasItOpen) {
  const TemporaryDirectory directory;
  int opened[2];
  ASSERT_EQ(pipe(opened), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    char byte;
    if (read(opened[0], &byte, 1) != 1) _exit(2);
    const auto second = Store::Open(directory.path(), StoreOptions());
    _exit(absl::IsUnavailable(second.status()) &&
                  absl::StrContains(second.status().message(), "open already")
              ? 0
              : 1);
  }
  const auto first = Store::Open(directory.path(), StoreOptions());
  EXPECT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(write(opened[1], "x", 1), 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  close(opened[0]);
  close(opened[1]);
  // The same within the process.
  EXPECT_TRUE(absl::IsUnavailable(
      Store::Open(directory.path(), StoreOptions()).status()));
}

TEST_F(StoreTest, ASnapshotOutlivesTheStore) {
  const DocumentWrite write = Document("d");
  PutOne(store_.get(), "c", write);
  std::shared_ptr<const StoreSnapshot> snapshot = store_->snapshot();
  store_.reset();
  EXPECT_EQ(*snapshot->GetText("c", "d"), write.text);
  snapshot.reset();
  Reopen();
}

// Overwrites bytes in the middle of the newest file with this ending.
void Damage(const std::string& directory, const std::string& ending) {
  std::string newest;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string path = entry.path().string();
    if (absl::EndsWith(path, ending) && entry.file_size() > 0 &&
        path > newest) {
      newest = path;
    }
  }
  ASSERT_FALSE(newest.empty());
  std::fstream file(newest, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(newest)) /
             2);
  file.write("damage! damage! damage!", 23);
}

TEST_F(StoreTest, ReportsADamagedLogInsteadOfLosingWrites) {
  for (int i = 0; i < 50; ++i) {
    PutOne(store_.get(), "c", Document(absl::StrCat("d", i)));
  }
  // As a killed process leaves it: an orderly close leaves nothing in the log.
  const std::string killed = directory_.path("killed");
  std::filesystem::copy(directory_.path(), killed);
  store_.reset();
  Damage(killed, ".log");
  const absl::Status status = Store::Open(killed, StoreOptions()).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(killed));
  // An operator may accept the loss; what came before the damage is there.
  options_.recover_to_last_intact_write = true;
  auto opened = Store::Open(killed, options_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  store_ = *std::move(opened);
  const CollectionCounters counters = *store_->snapshot()->Counters("c");
  EXPECT_GT(counters.documents, 10u);
  EXPECT_LT(counters.documents, 50u);
  EXPECT_EQ(store_->snapshot()->ListChunks("c")->size(), counters.chunks);
}

}  // namespace
}  // namespace braid::retrieval
