// Documents that say who may read them, over the real store and indexes,
// against an oracle that knows the lists alone.
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "retrieval/local/local_backend.h"
#include "tests/local/fakes.h"
#include "tests/steady.h"
#include "tests/store/store_test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using Names = std::vector<std::string>;

class DocumentAccessBackendTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.directory = directory_.path("data");
    options_.store.block_cache_bytes = 1 << 20;
    Reopen();
    CollectionConfig config;
    config.id = "c";
    config.document_access = true;
    ASSERT_TRUE(backend_->CreateCollection(config).ok());
  }
  void Reopen() {
    backend_.reset();
    auto backend = LocalBackend::Open(options_, &encoder_);
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
  }

  // Its chunks share a word with every other document, and its title.
  void Put(const std::string& id, const Names& readers, int chunks = 2) {
    DocumentWrite write;
    write.id = id;
    write.title = absl::StrCat("common ", id);
    write.media_type = "text/plain";
    write.content_hash = absl::StrCat(++written_);
    write.metadata["even"] = written_ % 2 == 0;
    write.readers = readers;
    std::vector<std::string> lines;
    for (int i = 0; i < chunks; ++i) {
      lines.push_back(absl::StrCat("common words of ", id, " part", i, ". "));
    }
    std::vector<absl::string_view> texts;
    for (const std::string& line : lines) {
      ChunkSpan span;
      span.text_range = {write.text.size(), write.text.size() + line.size()};
      span.source_range = span.text_range;
      write.chunks.push_back(span);
      write.text += line;
      texts.push_back(line);
    }
    write.vectors.resize(lines.size() * encoder_.dimension());
    ASSERT_TRUE(encoder_.Embed(texts, write.vectors.data()).ok());
    last_ = PutOne(backend_->store(), "c", write, /*force=*/true).sequence;
    readers_[id] = {readers.begin(), readers.end()};
    even_[id] = written_ % 2 == 0;
  }
  void Patch(const std::string& id, const Names& readers) {
    MetadataPatch patch;
    patch.readers = readers;
    const auto patched = backend_->store()->PatchMetadata("c", id, patch);
    ASSERT_TRUE(patched.ok()) << patched.status();
    if (patched->changed) last_ = patched->sequence;
    readers_[id] = {readers.begin(), readers.end()};
  }
  void Delete(const std::string& id) {
    const auto deleted = backend_->store()->DeleteDocument("c", id);
    ASSERT_TRUE(deleted.ok()) << deleted.status();
    last_ = *deleted;
    readers_.erase(id);
  }

  Query Ask(const Viewer& viewer) const {
    Query query;
    query.collection = "c";
    query.text = "common words";
    query.viewer = viewer;
    query.limit_per_leg = 1000;
    query.wait_for_sequence = last_;
    query.deadline = SteadyIn(absl::Seconds(30));
    return query;
  }

  // What the lists say, and nothing else.
  std::set<std::string> Expected(const Names& names, bool even_only) const {
    std::set<std::string> ids;
    for (const auto& [id, readers] : readers_) {
      bool named = false;
      for (const std::string& name : names) named |= readers.contains(name);
      if (named && (!even_only || even_.at(id))) ids.insert(id);
    }
    return ids;
  }

  // Documents of the hits, by what the store says without a viewer.
  std::set<std::string> Documents(const std::vector<ScoredChunk>& hits) {
    std::vector<ChunkId> chunks;
    for (const ScoredChunk& hit : hits) chunks.push_back(hit.chunk);
    std::set<std::string> ids;
    const auto passages =
        backend_->store()->snapshot()->GetPassages("c", chunks);
    EXPECT_TRUE(passages.ok()) << passages.status();
    EXPECT_EQ(passages->size(), chunks.size());
    for (const Passage& passage : *passages) {
      ids.insert(passage.chunk.document_id);
    }
    return ids;
  }

  static absl::Status NotThere(const std::string& id) {
    return absl::NotFoundError(
        absl::StrCat("there is no document \"", id, "\""));
  }

  void Check(const Names& names, std::mt19937_64& random) {
    Query query = Ask(Viewer::Named(names));
    const bool even_only = random() % 3 == 0;
    if (even_only) query.filter = "even = true";
    query.complete = random() % 2 == 0;
    const uint64_t legs = random() % 3;
    query.run_bm25 = legs != 1;
    query.run_dense = legs != 2;
    const auto found = backend_->Search(query);
    ASSERT_TRUE(found.ok()) << found.status();
    const std::set<std::string> expected = Expected(names, even_only);
    if (query.run_bm25) {
      ASSERT_EQ(Documents(found->bm25.hits), expected);
    }
    if (query.run_dense) {
      ASSERT_EQ(Documents(found->dense.hits), expected);
    }
    // Further looks at the view show no more.
    const std::set<std::string> readable = Expected(names, false);
    const auto titles = found->view->SearchTitles("common", 1000, nullptr);
    ASSERT_TRUE(titles.ok()) << titles.status();
    ASSERT_EQ(Documents(*titles), readable);
    const auto filtered =
        found->view->SearchTitles("common", 1000, found->allowed.get());
    ASSERT_TRUE(filtered.ok()) << filtered.status();
    ASSERT_EQ(Documents(*filtered), expected);
    std::vector<ChunkId> all(200);
    std::iota(all.begin(), all.end(), random() % 200);
    std::set<std::string> fetched;
    const auto passages = found->view->Fetch(all);
    ASSERT_TRUE(passages.ok()) << passages.status();
    for (const Passage& passage : *passages) {
      fetched.insert(passage.chunk.document_id);
    }
    for (const std::string& id : fetched) ASSERT_TRUE(readable.contains(id));
    const auto bm25 = found->view->ScoreBm25("common words", all);
    ASSERT_TRUE(bm25.ok()) << bm25.status();
    ASSERT_EQ(bm25->size(), passages->size());
    if (query.run_dense) {
      const auto dense = found->view->ScoreDense(found->query_vector, all);
      ASSERT_TRUE(dense.ok()) << dense.status();
      ASSERT_EQ(dense->size(), passages->size());
    }
    for (const auto& [id, readers] : readers_) {
      const auto document = backend_->store()->snapshot()->GetDocument("c", id);
      const auto text = found->view->ReadText(id, document->version, {0, 6});
      if (readable.contains(id)) {
        ASSERT_TRUE(text.ok()) << text.status();
      } else {
        ASSERT_EQ(text.status(), NotThere(id));
      }
    }
    ASSERT_EQ(found->view->ReadText("none", 1, {0, 6}).status(),
              NotThere("none"));
  }

  TemporaryDirectory directory_;
  HashEncoder encoder_;
  LocalBackendOptions options_;
  std::unique_ptr<LocalBackend> backend_;
  int written_ = 0;
  Sequence last_ = 0;
  std::map<std::string, std::set<std::string>> readers_;
  std::map<std::string, bool> even_;
};

TEST_F(DocumentAccessBackendTest, SearchesSeeWhatNamesTheirViewer) {
  Put("a", {"key:x", "group:g"});
  Put("all", {"*"});
  Put("nobody", {});
  const auto found = [this](const Viewer& viewer) {
    const auto result = backend_->Search(Ask(viewer));
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(Documents(result->bm25.hits), Documents(result->dense.hits));
    return Documents(result->bm25.hits);
  };
  EXPECT_THAT(found(Viewer::Named({"key:x", "*"})),
              UnorderedElementsAre("a", "all"));
  EXPECT_THAT(found(Viewer::Named({"key:z", "group:g"})),
              UnorderedElementsAre("a"));
  EXPECT_THAT(found(Viewer::Named({"key:z"})), IsEmpty());
  EXPECT_THAT(found(Viewer()), IsEmpty());
  EXPECT_THAT(found(Viewer::All()), UnorderedElementsAre("a", "all", "nobody"));
}

// The indexes are behind: a view of before is searched.
TEST_F(DocumentAccessBackendTest, WhatIsTakenAwayIsGoneAtOnce) {
  options_.index_interval = absl::Hours(1);
  Reopen();
  const Names both = {"key:x", "key:y"};
  for (const std::string id : {"patched", "deleted", "closed", "replaced"}) {
    Put(id, both);
  }
  const Viewer x = Viewer::Named({"key:x"});
  const auto found = [&](bool wait) {
    Query query = Ask(x);
    if (!wait) query.wait_for_sequence = 0;
    const auto result = backend_->Search(query);
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->view->sequence() == last_, wait);
    // By what the view shows: the store has gone on.
    std::map<std::string, uint64_t> versions;
    for (const LegResult* leg : {&result->bm25, &result->dense}) {
      std::vector<ChunkId> chunks;
      for (const ScoredChunk& hit : leg->hits) chunks.push_back(hit.chunk);
      const auto passages = result->view->Fetch(chunks);
      EXPECT_EQ(passages->size(), chunks.size());
      for (const Passage& passage : *passages) {
        versions[passage.chunk.document_id] = passage.chunk.version;
      }
    }
    std::set<std::string> ids;
    for (const auto& [id, version] : versions) {
      EXPECT_TRUE(result->view->ReadText(id, version, {0, 6}).ok()) << id;
      ids.insert(id);
    }
    for (const std::string id : {"patched", "deleted", "closed"}) {
      if (ids.contains(id)) continue;
      EXPECT_EQ(result->view->ReadText(id, 1, {0, 6}).status(), NotThere(id));
    }
    return ids;
  };
  EXPECT_THAT(found(true),
              UnorderedElementsAre("patched", "deleted", "closed", "replaced"));
  // The indexer may have been awake still: with one more write it sleeps.
  Put("last", {"key:y"});
  for (int i = 0;
       i < 100 && backend_->DescribeIndexes("c")->visible_sequence < last_;
       ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  Patch("patched", {"key:y"});
  Delete("deleted");
  Put("closed", {"key:y"});
  Put("replaced", both);
  Put("new", both);
  EXPECT_THAT(found(false), UnorderedElementsAre("replaced"));
  EXPECT_THAT(found(true), UnorderedElementsAre("replaced", "new"));
  // More changes than are looked through one by one.
  Patch("new", {"key:y"});
  std::vector<DocumentWrite> many(1100);
  for (size_t i = 0; i < many.size(); ++i) many[i].id = absl::StrCat("m", i);
  last_ = backend_->store()->PutDocuments("c", many, true).back()->sequence;
  EXPECT_THAT(found(false), UnorderedElementsAre("replaced"));
  EXPECT_THAT(found(true), UnorderedElementsAre("replaced"));
}

TEST_F(DocumentAccessBackendTest, ACollectionWithoutListsIsReadWhole) {
  CollectionConfig config;
  config.id = "open";
  ASSERT_TRUE(backend_->CreateCollection(config).ok());
  std::mt19937_64 random(1);
  PutOne(backend_->store(), "open",
         RandomDocument(random, "a",
                        static_cast<uint32_t>(encoder_.dimension()), 1, 20));
  Query query = Ask(Viewer());
  query.collection = "open";
  query.wait_for_sequence = 1;
  const auto result = backend_->Search(query);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->dense.hits.size(), 1u);
  EXPECT_EQ(result->allowed, nullptr);
}

// A change of a list counts from its own sequence on, however the readers were
// known before.
TEST_F(DocumentAccessBackendTest, AgreesWithTheListsAsTheyChange) {
  std::mt19937_64 random(TestSeed());
  const auto some = [&](uint64_t most) {
    Names names;
    for (uint64_t i = random() % (most + 1); i > 0; --i) {
      names.push_back(absl::StrCat("key:", random() % 8));
    }
    return names;
  };
  constexpr int kSteps = 250;
  int empty = 0;
  int seen = 0;
  for (int step = 0; step < kSteps; ++step) {
    const std::string id = absl::StrCat("d", random() % 40);
    const uint64_t kind = random() % 100;
    if (kind < 40) {
      Put(id, some(3), static_cast<int>(1 + random() % 3));
    } else if (kind < 75 && readers_.contains(id)) {
      Patch(id, some(3));
    } else if (kind < 90 && readers_.contains(id)) {
      Delete(id);
    } else if (kind == 99) {
      Reopen();
    }
    if (HasFatalFailure()) FAIL() << "at step " << step;
    for (int i = 0; i < 3; ++i) {
      const Names names = some(2);
      (Expected(names, false).empty() ? empty : seen)++;
      Check(names, random);
      if (HasFatalFailure()) FAIL() << "at step " << step;
    }
  }
  EXPECT_GT(empty, kSteps / 10);
  EXPECT_GT(seen, kSteps);
}

}  // namespace
}  // namespace braid::retrieval
