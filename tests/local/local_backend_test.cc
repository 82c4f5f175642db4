// The backend end to end over the real indexes.
#include "retrieval/local/local_backend.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "retrieval/local/index_factories.h"
#include "tests/local/fakes.h"
#include "tests/steady.h"
#include "tests/store/store_test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::chrono::steady_clock::time_point Soon() {
  return SteadyIn(absl::Seconds(30));
}

// A document of whole-line chunks.
DocumentWrite TextDocument(const Encoder& encoder, const std::string& id,
                           const std::vector<std::string>& lines,
                           Metadata metadata = {}) {
  DocumentWrite write;
  write.id = id;
  write.title = absl::StrCat("title of ", id);
  write.media_type = "text/plain";
  write.metadata = std::move(metadata);
  std::vector<absl::string_view> texts;
  for (const std::string& line : lines) {
    ChunkSpan span;
    span.text_range = {write.text.size(), write.text.size() + line.size()};
    span.source_range = span.text_range;
    write.chunks.push_back(span);
    write.text += line;
    texts.push_back(line);
  }
  write.content_hash = write.text;
  write.vectors.resize(lines.size() * encoder.dimension());
  EXPECT_TRUE(encoder.Embed(texts, write.vectors.data()).ok());
  return write;
}

class LocalBackendTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.directory = directory_.path("data");
    // The suite opens dozens of backends: small is fast.
    options_.store.block_cache_bytes = 1 << 20;
    Reopen();
    ASSERT_TRUE(Create("c").ok());
  }
  void Reopen() {
    backend_.reset();
    auto backend = LocalBackend::Open(options_, &encoder_);
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
  }
  absl::Status Create(const std::string& id,
                      const std::string& language = "en") {
    CollectionConfig config;
    config.id = id;
    config.language = language;
    return backend_->CreateCollection(config);
  }
  Sequence Put(const std::string& id, const std::vector<std::string>& lines,
               Metadata metadata = {}) {
    return PutOne(backend_->store(), "c",
                  TextDocument(encoder_, id, lines, std::move(metadata)),
                  /*force=*/true)
        .sequence;
  }
  void WaitUntilCurrent() {
    const absl::Status status = backend_->WaitUntilCurrent("c", Soon());
    ASSERT_TRUE(status.ok()) << status;
  }
  static Query Ask(const std::string& text, const std::string& filter = "") {
    Query query;
    query.collection = "c";
    query.text = text;
    query.filter = filter;
    query.deadline = Soon();
    return query;
  }
  static std::set<std::string> Documents(const SearchResult& result,
                                         const LegResult& leg) {
    std::vector<ChunkId> ids;
    for (const ScoredChunk& hit : leg.hits) ids.push_back(hit.chunk);
    const auto passages = result.view->Fetch(ids);
    EXPECT_TRUE(passages.ok()) << passages.status();
    // Every hit of either leg is a live chunk of the view.
    EXPECT_EQ(passages->size(), ids.size());
    std::set<std::string> documents;
    for (const Passage& passage : *passages) {
      documents.insert(passage.chunk.document_id);
    }
    return documents;
  }
  void ExpectConsistent(uint64_t chunks) {
    WaitUntilCurrent();
    const auto report =
        backend_->CheckConsistency("c", SteadyIn(absl::Seconds(60)), {});
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->differences, IsEmpty());
    EXPECT_EQ(report->store_chunks, chunks);
    EXPECT_EQ(report->bm25_chunks, chunks);
    EXPECT_EQ(report->dense_chunks, chunks);
  }

  TemporaryDirectory directory_;
  HashEncoder encoder_;
  LocalBackendOptions options_;
  std::unique_ptr<LocalBackend> backend_;
};

TEST_F(LocalBackendTest, FindsInBothLegsAndReadsThePassages) {
  const auto empty = backend_->Search(Ask("zebra"));
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_THAT(empty->bm25.hits, IsEmpty());
  EXPECT_THAT(empty->dense.hits, IsEmpty());

  Put("animals", {"zebra stripes are black", "lions sleep all day"});
  Put("cars", {"engines need oil"});
  Query query = Ask("zebra stripes");
  query.wait_for_sequence = 2;
  const auto result = backend_->Search(query);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_TRUE(result->bm25.status.ok()) << result->bm25.status;
  ASSERT_TRUE(result->dense.status.ok()) << result->dense.status;
  EXPECT_THAT(Documents(*result, result->bm25), ElementsAre("animals"));
  ASSERT_EQ(result->dense.hits.size(), 3u);
  EXPECT_EQ(result->bm25.hits[0].chunk, 1u);
  EXPECT_EQ(result->dense.hits[0].chunk, 1u);
  EXPECT_TRUE(result->bm25.ran && result->dense.ran);
  EXPECT_GE(result->view->sequence(), 2u);
  EXPECT_GT(result->embed_elapsed, absl::ZeroDuration());
  EXPECT_GE(result->dense.elapsed, result->embed_elapsed);

  const auto passages = *result->view->Fetch({1, 3});
  ASSERT_EQ(passages.size(), 2u);
  EXPECT_EQ(passages[0].text, "zebra stripes are black");
  EXPECT_EQ(passages[1].title, "title of cars");
  EXPECT_EQ(*result->view->ReadText("cars", 1, {0, 7}), "engines");
  EXPECT_TRUE(absl::IsOutOfRange(
      result->view->ReadText("cars", 1, {0, 1000}).status()));
  EXPECT_TRUE(
      absl::IsNotFound(result->view->ReadText("cars", 2, {0, 7}).status()));
  EXPECT_TRUE(
      absl::IsNotFound(result->view->ReadText("boats", 1, {0, 7}).status()));
  // A title is found by the lexical leg.
  EXPECT_THAT(Documents(*result, backend_->Search(Ask("cars"))->bm25),
              ElementsAre("cars"));
}

TEST_F(LocalBackendTest, ScoresWithDenseWhatOnlyBm25Found) {
  Put("a", {"zebra stripes"});
  Put("b", {"zebra stripes, zebra stripes, zebra stripes and lions"});
  Put("c", {"zebra"});
  WaitUntilCurrent();
  Query query = Ask("zebra stripes");
  const auto all = backend_->Search(query);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->dense.hits.size(), 3u);
  EXPECT_THAT(all->dense.others, IsEmpty()) << "not asked for";

  query.complete = true;
  query.limit_per_leg = 1;
  const auto result = backend_->Search(query);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->dense.hits.size(), 1u);
  ASSERT_EQ(result->bm25.hits.size(), 1u);
  const ChunkId by_bm25 = result->bm25.hits[0].chunk;
  ASSERT_NE(by_bm25, result->dense.hits[0].chunk) << "b repeats the words";
  ASSERT_EQ(result->dense.others.size(), 1u);
  EXPECT_EQ(result->dense.others[0].chunk, by_bm25);
  for (const ScoredChunk& hit : all->dense.hits) {
    if (hit.chunk != by_bm25) continue;
    EXPECT_NEAR(result->dense.others[0].score, hit.score, 1e-6);
  }
  EXPECT_GT(result->complete_elapsed, absl::ZeroDuration());
  query.run_bm25 = false;
  EXPECT_THAT(backend_->Search(query)->dense.others, IsEmpty());
}

TEST_F(LocalBackendTest, ScoresWithBm25WhatOnlyDenseFound) {
  Put("a", {"zebra stripes"});
  Put("b", {"zebra stripes, zebra stripes, zebra stripes and lions"});
  WaitUntilCurrent();
  Query query = Ask("zebra stripes");
  query.limit_per_leg = 1;
  query.complete = true;
  const auto result = backend_->Search(query);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->dense.hits.size(), 1u);
  const ChunkId by_dense = result->dense.hits[0].chunk;
  ASSERT_NE(by_dense, result->bm25.hits[0].chunk) << "a is the very question";
  ASSERT_EQ(result->bm25.others.size(), 1u);
  EXPECT_EQ(result->bm25.others[0].chunk, by_dense);
  EXPECT_GT(result->bm25.others[0].score, 0);
  EXPECT_LT(result->bm25.others[0].score, result->bm25.hits[0].score);
  query.run_dense = false;
  EXPECT_THAT(backend_->Search(query)->bm25.others, IsEmpty());
}

TEST_F(LocalBackendTest, RunsOnlyTheLegsThatAreAskedFor) {
  Put("a", {"zebra"});
  WaitUntilCurrent();
  Query query = Ask("zebra");
  query.run_dense = false;
  auto result = backend_->Search(query);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->bm25.ran);
  EXPECT_FALSE(result->dense.ran);
  EXPECT_EQ(result->bm25.hits.size(), 1u);
  query.run_bm25 = false;
  EXPECT_TRUE(absl::IsInvalidArgument(backend_->Search(query).status()));
  query.run_dense = true;
  result = backend_->Search(query);
  EXPECT_FALSE(result->bm25.ran);
  EXPECT_EQ(result->dense.hits.size(), 1u);
}

TEST_F(LocalBackendTest, PushesFiltersIntoBothLegs) {
  for (int i = 0; i < 30; ++i) {
    Put(absl::StrCat("d", i), {"zebra one", "zebra two"},
        {{"year", 2000.0 + i}, {"team", std::string(i % 2 ? "red" : "blue")}});
  }
  WaitUntilCurrent();
  for (int again = 0; again < 2; ++again) {  // the second time from the cache
    const auto result =
        backend_->Search(Ask("zebra", "team = red AND year < 2006"));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->bm25.hits.size(), 6u);
    EXPECT_EQ(result->dense.hits.size(), 6u);
    EXPECT_THAT(Documents(*result, result->bm25),
                ElementsAre("d1", "d3", "d5"));
    EXPECT_THAT(Documents(*result, result->dense),
                ElementsAre("d1", "d3", "d5"));
  }
  // Nothing matches: nothing is found.
  const auto none = backend_->Search(Ask("zebra", "team = green"));
  EXPECT_THAT(none->bm25.hits, IsEmpty());
  EXPECT_THAT(none->dense.hits, IsEmpty());
  EXPECT_TRUE(absl::IsInvalidArgument(
      backend_->Search(Ask("zebra", "team = (")).status()));
  // The cache does not outlive a change.
  Put("d1", {"zebra"}, {{"team", std::string("blue")}});
  WaitUntilCurrent();
  const auto later =
      backend_->Search(Ask("zebra", "team = red AND year < 2006"));
  EXPECT_THAT(Documents(*later, later->dense), ElementsAre("d3", "d5"));
}

TEST_F(LocalBackendTest, WaitsForASequence) {
  Query query = Ask("zebra");
  query.wait_for_sequence = 1;
  query.deadline = SteadyIn(absl::Milliseconds(50));
  EXPECT_TRUE(absl::IsDeadlineExceeded(backend_->Search(query).status()));
  query.deadline = Soon();
  std::stop_source stop;
  query.stop = stop.get_token();
  std::thread canceller([&] {
    absl::SleepFor(absl::Milliseconds(30));
    stop.request_stop();
  });
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(absl::IsCancelled(backend_->Search(query).status()));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  canceller.join();
  query.stop = std::stop_token();
  for (int i = 1; i <= 10; ++i) {
    query.wait_for_sequence = Put("d", {absl::StrCat("zebra", i)});
    query.text = absl::StrCat("zebra", i);
    const auto result = backend_->Search(query);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->bm25.hits.size(), 1u) << i;
    ASSERT_EQ(result->dense.hits.size(), 1u) << i;
  }
}

// Both legs and the passages always show exactly one version of a document that
// is replaced all the time.
TEST_F(LocalBackendTest, ShowsExactlyOneVersionDuringReplacements) {
  Put("d", {"zebra 0", "zebra 0"});
  Put("other", {"zebra other"});
  WaitUntilCurrent();
  // However slow the indexes are, the searches see several versions.
  std::atomic<bool> done = false;
  std::atomic<bool> enough = false;
  uint64_t writes = 0;
  std::thread writer([&] {
    while (++writes <= 60 || (!enough && writes < 10'000)) {
      Put("d", std::vector<std::string>(1 + writes % 3,
                                        absl::StrCat("zebra ", writes)));
      absl::SleepFor(absl::Milliseconds(5));
    }
    done = true;
  });
  std::set<uint64_t> versions;
  const auto search = [&] {
    const auto result = backend_->Search(Ask("zebra", "document_id = d"));
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_TRUE(result->bm25.status.ok() && result->dense.status.ok());
    std::set<uint64_t> seen;
    for (const LegResult* leg : {&result->bm25, &result->dense}) {
      std::vector<ChunkId> ids;
      for (const ScoredChunk& hit : leg->hits) ids.push_back(hit.chunk);
      const auto passages = *result->view->Fetch(ids);
      ASSERT_EQ(passages.size(), ids.size());
      ASSERT_FALSE(passages.empty());
      for (const Passage& passage : passages) {
        seen.insert(passage.chunk.version);
        ASSERT_EQ(passage.text,
                  absl::StrCat("zebra ", passage.chunk.version - 1));
      }
      const uint64_t version = passages[0].chunk.version;
      ASSERT_EQ(passages.size(), version == 1 ? 2 : 1 + (version - 1) % 3);
    }
    ASSERT_EQ(seen.size(), 1u);
    versions.insert(seen.begin(), seen.end());
    if (versions.size() > 2) enough = true;
  };
  while (!done && !HasFatalFailure()) search();
  enough = true;
  writer.join();
  WaitUntilCurrent();
  search();
  EXPECT_GT(versions.size(), 2u);
  // The first write is version 1; the last count wrote nothing.
  EXPECT_EQ(*versions.rbegin(), writes);
}

TEST_F(LocalBackendTest, AHeldViewKeepsItsState) {
  Put("d", {"zebra old"});
  WaitUntilCurrent();
  const auto old = *backend_->Search(Ask("zebra"));
  Put("d", {"zebra new"});
  WaitUntilCurrent();
  EXPECT_EQ(old.view->Fetch({old.bm25.hits[0].chunk})->at(0).text, "zebra old");
  EXPECT_EQ(*old.view->ReadText("d", 1, {6, 9}), "old");
  const auto now = *backend_->Search(Ask("zebra"));
  EXPECT_EQ(now.view->Fetch({now.bm25.hits[0].chunk})->at(0).text, "zebra new");
  EXPECT_TRUE(absl::IsNotFound(now.view->ReadText("d", 1, {6, 9}).status()));
}

TEST_F(LocalBackendTest, ReopensWithDeletesAndReplacements) {
  for (int i = 0; i < 40; ++i) Put(absl::StrCat("d", i), {"zebra", "lion"});
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(
        backend_->store()->DeleteDocument("c", absl::StrCat("d", i)).ok());
  }
  for (int i = 10; i < 20; ++i) Put(absl::StrCat("d", i), {"tiger"});
  ExpectConsistent(50);
  const Sequence visible = backend_->DescribeIndexes("c")->visible_sequence;
  EXPECT_EQ(visible, 60u);
  Reopen();
  ExpectConsistent(50);
  EXPECT_EQ(backend_->Search(Ask("zebra"))->bm25.hits.size(), 20u);
  EXPECT_EQ(backend_->Search(Ask("tiger"))->bm25.hits.size(), 10u);
}

TEST_F(LocalBackendTest, RebuildsMissingAndDamagedIndexes) {
  for (int i = 0; i < 40; ++i) Put(absl::StrCat("d", i), {"zebra", "lion"});
  ExpectConsistent(80);
  const std::string indexes = options_.directory + "/indexes";
  for (const std::string& gone :
       {indexes, indexes + "/c/lexical", indexes + "/c/dense"}) {
    backend_.reset();
    std::filesystem::remove_all(gone);
    Reopen();
    ExpectConsistent(80);
    EXPECT_EQ(backend_->Search(Ask("zebra"))->dense.hits.size(), 80u);
  }
  // Every file in turn cut to half, then filled with rubbish.
  std::vector<std::string> files;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(indexes)) {
    if (entry.is_regular_file() && entry.file_size() > 0) {
      files.push_back(entry.path().string());
    }
  }
  ASSERT_GT(files.size(), 2u);
  for (size_t i = 0; i < files.size(); i += 3) {
    backend_.reset();
    if (!std::filesystem::exists(files[i])) continue;
    const uintmax_t size = std::filesystem::file_size(files[i]);
    if (i % 2 == 0) {
      std::filesystem::resize_file(files[i], size / 2);
    } else {
      std::ofstream(files[i], std::ios::binary) << std::string(size, '\xA5');
    }
    Reopen();
    ExpectConsistent(80);
    if (HasFailure()) FAIL() << "after damaging " << files[i];
  }
}

TEST_F(LocalBackendTest, CreatesAndDeletesCollections) {
  EXPECT_TRUE(absl::IsAlreadyExists(Create("c")));
  EXPECT_TRUE(absl::IsInvalidArgument(Create("../c")));
  EXPECT_TRUE(absl::IsInvalidArgument(Create("x", "no such language")));
  EXPECT_TRUE(absl::IsNotFound(backend_->store()->GetCollection("x").status()));
  const auto config = backend_->store()->GetCollection("c");
  EXPECT_EQ(config->encoder, "hash encoder");
  EXPECT_EQ(config->dimension, 32u);

  Put("d", {"zebra"});
  WaitUntilCurrent();
  auto before = *backend_->Search(Ask("zebra"));
  ASSERT_TRUE(backend_->DeleteCollection("c").ok());
  EXPECT_TRUE(absl::IsNotFound(backend_->DeleteCollection("c")));
  EXPECT_TRUE(absl::IsNotFound(backend_->Search(Ask("zebra")).status()));
  EXPECT_TRUE(absl::IsNotFound(
      backend_->CheckConsistency("c", SteadyIn(absl::Seconds(60)), {})
          .status()));
  // A search that was under way still reads its passages.
  EXPECT_EQ(before.view->Fetch({1})->size(), 1u);
  before.view.reset();
  ASSERT_TRUE(Create("c").ok());
  ExpectConsistent(0);
  Put("e", {"zebra", "lion"});
  ExpectConsistent(2);

  // Indexes that a deletion cut short has left are not taken for new ones.
  ASSERT_TRUE(backend_->store()->DeleteCollection("c").ok());
  Reopen();
  EXPECT_FALSE(std::filesystem::exists(options_.directory + "/indexes/c"));
  ASSERT_TRUE(Create("c").ok());
  ExpectConsistent(0);
}

TEST_F(LocalBackendTest, RefusesACollectionOfAnotherEncoder) {
  Put("d", {"zebra"});
  backend_.reset();
  const HashEncoder other("another encoder");
  auto backend = LocalBackend::Open(options_, &other);
  ASSERT_TRUE(backend.ok()) << backend.status();
  const absl::Status status = (*backend)->Search(Ask("zebra")).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("hash encoder"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("another encoder"));
  EXPECT_TRUE(
      absl::IsFailedPrecondition((*backend)->WaitUntilCurrent("c", Soon())));
  EXPECT_TRUE((*backend)->DeleteCollection("c").ok());
}

TEST_F(LocalBackendTest, EndsSearchesThatWaitWhenItShutsDown) {
  Query query = Ask("zebra");
  query.wait_for_sequence = 1000;
  std::thread waiting([&] {
    EXPECT_TRUE(absl::IsUnavailable(backend_->Search(query).status()));
  });
  absl::SleepFor(absl::Milliseconds(50));
  backend_->Shutdown();
  waiting.join();
  EXPECT_TRUE(absl::IsUnavailable(backend_->Search(Ask("zebra")).status()));
  EXPECT_TRUE(absl::IsUnavailable(Create("late")));
}

TEST_F(LocalBackendTest, WorksUnderConcurrentUse) {
  constexpr int kWriters = 2;
  constexpr int kDocuments = 40;
  std::atomic<int> writing = kWriters;
  std::vector<std::thread> threads;
  for (int t = 0; t < kWriters; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kDocuments; ++i) {
        Put(absl::StrCat(t, "/", i), {"zebra", "lion"});
        if (i % 5 == 4) {
          EXPECT_TRUE(backend_->store()
                          ->DeleteDocument("c", absl::StrCat(t, "/", i - 1))
                          .ok());
        }
      }
      --writing;
    });
  }
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (writing > 0) {
        const auto result = backend_->Search(Ask("zebra"));
        ASSERT_TRUE(result.ok()) << result.status();
        ASSERT_TRUE(result->bm25.status.ok() && result->dense.status.ok());
        Documents(*result, result->dense);
        Documents(*result, result->bm25);
      }
    });
  }
  threads.emplace_back([&] {
    while (writing > 0) {
      const auto report =
          backend_->CheckConsistency("c", SteadyIn(absl::Seconds(60)), {});
      ASSERT_TRUE(report.ok()) << report.status();
      ASSERT_THAT(report->differences, IsEmpty());
    }
  });
  for (std::thread& thread : threads) thread.join();
  ExpectConsistent(kWriters * kDocuments * 2 * 4 / 5);
}

// With indexes that fail on demand.
class FailingBackendTest : public LocalBackendTest {
 protected:
  void SetUp() override {
    options_.directory = directory_.path("data");
    auto backend = OpenLocalBackend(options_, &encoder_, FakeFactories(disk_));
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
    ASSERT_TRUE(Create("c").ok());
  }
  void FailOn(const std::string& failing) {
    const std::lock_guard<std::mutex> lock(disk_->mutex);
    disk_->fail = [failing](const std::string& what) {
      return what == failing ? absl::InternalError("injected")
                             : absl::OkStatus();
    };
  }

  std::shared_ptr<FakeDisk> disk_ = std::make_shared<FakeDisk>();
};

TEST_F(FailingBackendTest, IsolatesTheFailureOfOneLeg) {
  Put("d", {"zebra"});
  WaitUntilCurrent();
  FailOn("search");
  auto result = backend_->Search(Ask("zebra"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(absl::IsInternal(result->bm25.status));
  EXPECT_EQ(result->dense.hits.size(), 1u);
  for (const char* failing : {"dense search", "dense score"}) {
    FailOn(failing);
    Query query = Ask("zebra");
    query.complete = true;
    result = backend_->Search(query);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->bm25.hits.size(), 1u);
    EXPECT_TRUE(absl::IsInternal(result->dense.status)) << failing;
    EXPECT_THAT(result->dense.hits, IsEmpty());
  }
  FailOn("lexical score");
  Query query = Ask("zebra");
  query.complete = true;
  result = backend_->Search(query);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(absl::IsInternal(result->bm25.status));
  EXPECT_THAT(result->bm25.hits, IsEmpty());
  EXPECT_EQ(result->dense.hits.size(), 1u);
  {
    const std::lock_guard<std::mutex> lock(disk_->mutex);
    disk_->fail = [](const std::string&) {
      return absl::InternalError("injected");
    };
  }
  EXPECT_TRUE(absl::IsInternal(backend_->Search(Ask("zebra")).status()));
}

TEST_F(FailingBackendTest, KeepsServingAndCatchesUpAfterIndexFailures) {
  Put("d", {"zebra"});
  WaitUntilCurrent();
  FailOn("lexical commit");
  Put("e", {"zebra"});
  absl::Status status =
      backend_->WaitUntilCurrent("c", SteadyIn(absl::Milliseconds(200)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("injected"));
  EXPECT_EQ(backend_->Search(Ask("zebra"))->dense.hits.size(), 1u);
  FailOn("nothing");
  WaitUntilCurrent();
  EXPECT_EQ(backend_->Search(Ask("zebra"))->dense.hits.size(), 2u);
}

TEST_F(FailingBackendTest, HonoursTheDeadlineBetweenSteps) {
  Put("d", {"zebra"});
  WaitUntilCurrent();
  Query query = Ask("zebra");
  query.run_bm25 = false;
  query.deadline = SteadyIn(absl::Milliseconds(20));
  encoder_.on_embed = [] { absl::SleepFor(absl::Milliseconds(40)); };
  EXPECT_TRUE(absl::IsDeadlineExceeded(backend_->Search(query).status()));
  std::stop_source stop;
  query.deadline = Soon();
  query.stop = stop.get_token();
  encoder_.on_embed = [&] { stop.request_stop(); };
  EXPECT_TRUE(absl::IsCancelled(backend_->Search(query).status()));
  encoder_.on_embed = nullptr;
}

}  // namespace
}  // namespace braid::retrieval
