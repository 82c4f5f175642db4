// What documents were: read by sequence and by version, and forgotten in time.
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "retrieval/store/store.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "tests/store/store_test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint32_t kDimension = 3;

class HistoryTest : public ::testing::Test {
 protected:
  HistoryTest() {
    options_.clock = [this] { return now_; };
    options_.history_retention = absl::Hours(1);
  }
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
  // Its text names its id and `content`.
  Sequence Put(const std::string& id, const std::string& content,
               size_t bytes = 0) {
    DocumentWrite write = RandomDocument(random_, id, kDimension, 2, 100);
    write.text = absl::StrCat(id, ": ", content, std::string(bytes, '.'));
    for (ChunkSpan& chunk : write.chunks) chunk.text_range = {0, 1};
    write.content_hash = content;
    return PutOne(store_.get(), "c", write).sequence;
  }
  Sequence Delete(const std::string& id) {
    return *store_->DeleteDocument("c", id);
  }
  Sequence Patch(const std::string& id, double number) {
    MetadataPatch patch;
    patch.set["patched"] = number;
    return store_->PatchMetadata("c", id, patch)->sequence;
  }
  // The text, or the error.
  std::string Text(const absl::StatusOr<DocumentInfo>& document) {
    if (!document.ok()) return document.status().ToString();
    const auto text = store_->snapshot()->GetTextRange(
        "c", *document, {0, document->text_bytes});
    return text.ok() ? *text : text.status().ToString();
  }
  std::string At(const std::string& id, Sequence sequence) {
    return Text(store_->snapshot()->GetDocumentAt("c", id, sequence));
  }
  std::string Version(const std::string& id, uint64_t version) {
    return Text(store_->snapshot()->GetDocumentVersion("c", id, version));
  }
  std::vector<std::string> ListAt(Sequence sequence, size_t page = 2) {
    const auto snapshot = store_->snapshot();
    std::vector<std::string> texts;
    std::string after;
    for (bool complete = false; !complete;) {
      const auto found = snapshot->ListDocumentsAt("c", sequence, after, page);
      EXPECT_TRUE(found.ok()) << found.status();
      if (!found.ok()) break;
      for (const DocumentInfo& document : found->documents) {
        texts.push_back(Text(document));
      }
      after = found->last;
      complete = found->complete;
    }
    return texts;
  }
  Sequence Oldest() {
    return store_->snapshot()->Counters("c")->oldest_sequence;
  }
  std::string Damage() {
    const auto report = store_->Verify({}, nullptr);
    EXPECT_TRUE(report.ok()) << report.status();
    std::string damage;
    for (const auto& entry : report->damage) {
      absl::StrAppend(&damage, entry.what, "\n");
    }
    return damage;
  }

  absl::Time now_ = absl::FromUnixSeconds(1700000000);
  TemporaryDirectory directory_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
  std::mt19937_64 random_{42};
};

TEST_F(HistoryTest, WhatWasReplacedOrDeletedIsReadable) {
  const Sequence one = Put("a", "first");
  const Sequence other = Put("b", "other");
  const Sequence two = Put("a", "second");
  const Sequence gone = Delete("a");
  const Sequence back = Put("a", "third");
  for (int pass = 0; pass < 2; ++pass) {
    EXPECT_EQ(At("a", one), "a: first");
    EXPECT_EQ(At("a", other), "a: first");
    EXPECT_EQ(At("a", two), "a: second");
    EXPECT_THAT(At("a", gone), HasSubstr("NOT_FOUND"));
    EXPECT_EQ(At("a", back), "a: third");
    EXPECT_THAT(At("b", one), HasSubstr("NOT_FOUND"));
    EXPECT_THAT(At("b", 0), HasSubstr("NOT_FOUND"));
    EXPECT_THAT(At("a", back + 1), HasSubstr("OUT_OF_RANGE"));
    EXPECT_EQ(Version("a", 1), "a: first");
    EXPECT_EQ(Version("a", 2), "a: second");
    EXPECT_EQ(Version("a", 3), "a: third");
    EXPECT_THAT(Version("a", 4), HasSubstr("NOT_FOUND"));
    EXPECT_THAT(Version("a", 0), HasSubstr("NOT_FOUND"));
    EXPECT_THAT(Version("x", 1), HasSubstr("NOT_FOUND"));
    EXPECT_THAT(ListAt(0), IsEmpty());
    EXPECT_THAT(ListAt(other), ElementsAre("a: first", "b: other"));
    EXPECT_THAT(ListAt(gone), ElementsAre("b: other"));
    EXPECT_THAT(ListAt(back), ElementsAre("a: third", "b: other"));
    EXPECT_EQ(Oldest(), 0u);
    EXPECT_EQ(Damage(), "");
    Reopen();
  }
  // Its chunks are gone: nothing finds it.
  EXPECT_EQ(store_->snapshot()->ListChunks("c")->size(), 4u);
}

TEST_F(HistoryTest, APatchKeepsTheTextAndIsPartOfThePast) {
  const Sequence one = Put("a", "text", 100000);
  const Sequence two = Patch("a", 1);
  const Sequence three = Patch("a", 2);
  const Sequence four = Put("a", "new");
  const Sequence five = Patch("a", 3);
  const auto number = [&](Sequence sequence) {
    const auto document = store_->snapshot()->GetDocumentAt("c", "a", sequence);
    EXPECT_TRUE(document.ok()) << document.status();
    const auto found = document->metadata.find("patched");
    return found == document->metadata.end() ? 0
                                             : std::get<double>(found->second);
  };
  EXPECT_EQ(number(one), 0);
  EXPECT_EQ(number(two), 1);
  EXPECT_EQ(number(three), 2);
  EXPECT_EQ(number(four), 0);
  EXPECT_EQ(number(five), 3);
  EXPECT_EQ(At("a", one).size(), 100007u);
  EXPECT_EQ(At("a", one), At("a", three));
  // A version is what it was in the end.
  const auto version = store_->snapshot()->GetDocumentVersion("c", "a", 1);
  ASSERT_TRUE(version.ok());
  EXPECT_EQ(std::get<double>(version->metadata.at("patched")), 2);
  EXPECT_EQ(Damage(), "");
}

TEST_F(HistoryTest, IsForgottenAfterItsTime) {
  const Sequence one = Put("a", "first");
  now_ += absl::Minutes(10);
  const Sequence two = Put("a", "second");  // ends the first at 0:10
  now_ += absl::Minutes(30);
  const Sequence three = Patch("a", 1);  // ends a state at 0:40
  now_ += absl::Minutes(10);
  const Sequence four = Delete("a");  // at 0:50
  ASSERT_TRUE(store_->TrimHistory({}).ok());
  EXPECT_EQ(At("a", one), "a: first");
  now_ += absl::Minutes(25);  // 1:15
  ASSERT_TRUE(store_->TrimHistory({}).ok());
  EXPECT_EQ(Oldest(), two);
  EXPECT_THAT(At("a", one),
              testing::AllOf(HasSubstr("OUT_OF_RANGE"),
                             HasSubstr(absl::StrCat("read is ", two))));
  EXPECT_EQ(
      store_->snapshot()->ListDocumentsAt("c", one, "", 10).status().code(),
      absl::StatusCode::kOutOfRange);
  EXPECT_THAT(Version("a", 1), HasSubstr("OUT_OF_RANGE"));
  EXPECT_EQ(At("a", two), "a: second");
  EXPECT_EQ(Version("a", 2), "a: second");
  EXPECT_EQ(Damage(), "");
  now_ += absl::Minutes(30);  // 1:45
  ASSERT_TRUE(store_->TrimHistory({}).ok());
  EXPECT_EQ(Oldest(), three);
  EXPECT_EQ(At("a", three), "a: second");
  EXPECT_EQ(Damage(), "");
  now_ += absl::Minutes(30);
  ASSERT_TRUE(store_->TrimHistory({}).ok());
  EXPECT_EQ(Oldest(), four);
  EXPECT_THAT(At("a", four), HasSubstr("NOT_FOUND"));
  EXPECT_THAT(Version("a", 2), HasSubstr("OUT_OF_RANGE"));
  EXPECT_EQ(Damage(), "");
  Reopen();
  EXPECT_EQ(Oldest(), four);
  EXPECT_EQ(Put("a", "third"), four + 1);
  EXPECT_EQ(Version("a", 3), "a: third");
}

TEST_F(HistoryTest, NoneIsKeptWhenNoneIsWanted) {
  const Sequence one = Put("a", "first");
  Patch("a", 1);
  options_.history_retention = absl::ZeroDuration();
  Reopen();
  const Sequence three = Put("a", "second");
  EXPECT_EQ(Oldest(), three);
  EXPECT_THAT(At("a", one), HasSubstr("OUT_OF_RANGE"));
  EXPECT_THAT(Version("a", 1), HasSubstr("OUT_OF_RANGE"));
  EXPECT_EQ(Damage(), "");
  // What was kept before goes as well, and nothing of a text stays.
  ASSERT_TRUE(store_->TrimHistory({}).ok());
  EXPECT_EQ(Damage(), "");
  const Sequence four = Patch("a", 2);
  EXPECT_EQ(Oldest(), four);
  // And the other way round.
  options_.history_retention = absl::Hours(1);
  Reopen();
  const Sequence five = Put("a", "third");
  EXPECT_EQ(Oldest(), four);
  EXPECT_EQ(At("a", four), "a: second");
  EXPECT_EQ(At("a", five), "a: third");
  EXPECT_EQ(Damage(), "");
}

TEST_F(HistoryTest, IsBoundedInBytes) {
  options_.max_history_bytes = 100000;
  Reopen();
  for (int i = 0; i < 50; ++i) Put("a", absl::StrCat(i), 10000);
  ASSERT_TRUE(store_->TrimHistory({}).ok());
  const auto readable = [&] {
    int versions = 0;
    for (int v = 1; v < 50; ++v) {
      versions += absl::StartsWith(Version("a", v), "a: ");
    }
    return versions;
  };
  EXPECT_EQ(readable(), 9);  // with their records a little over 10,000 each
  EXPECT_EQ(Version("a", 49).substr(0, 6), "a: 48.");
  EXPECT_EQ(Oldest(), 41u);
  EXPECT_EQ(Damage(), "");
}

// More than one batch of the clean-up, and collections apart.
TEST_F(HistoryTest, ForgetsManyAndOnlyItsOwn) {
  ASSERT_TRUE(store_->CreateCollection(TestCollection("d", kDimension)).ok());
  for (int i = 0; i < 400; ++i) Put(absl::StrCat("x", i % 7), "text");
  now_ += absl::Minutes(50);
  DocumentWrite write = RandomDocument(random_, "x1", kDimension, 1, 100);
  const Sequence first = PutOne(store_.get(), "d", write).sequence;
  write.content_hash = "changed";
  PutOne(store_.get(), "d", write);
  now_ += absl::Minutes(20);
  ASSERT_TRUE(store_->TrimHistory({}).ok());
  EXPECT_EQ(Oldest(), 400u);
  EXPECT_EQ(store_->snapshot()->Counters("d")->oldest_sequence, 0u);
  EXPECT_TRUE(store_->snapshot()->GetDocumentAt("d", "x1", first).ok());
  EXPECT_EQ(Damage(), "");
  // A deleted collection leaves no past to one of its name.
  ASSERT_TRUE(store_->DeleteCollection("d").ok());
  ASSERT_TRUE(store_->CreateCollection(TestCollection("d", kDimension)).ok());
  EXPECT_TRUE(absl::IsNotFound(
      store_->snapshot()->GetDocumentAt("d", "x1", first).status()));
  EXPECT_EQ(Damage(), "");
}

// An id may hold any bytes, and begin with another one.
TEST_F(HistoryTest, IdsAreNotConfused) {
  using std::string_literals::operator""s;
  const std::vector<std::string> ids = {"a",
                                        "a\0"s,
                                        "a\0\0"s,
                                        "a\0\1"s,
                                        "a\0\1b"s,
                                        "a\1"s,
                                        "a\0\0\0\0\0\0\0\0\0"s,
                                        "ab",
                                        "a\0\xC3\xBF"s,
                                        "\xF4\x8F\xBF\xBF"};
  std::map<std::string, Sequence> first;
  for (const std::string& id : ids) first[id] = Put(id, "1");
  const Sequence all = first[ids.back()];
  for (const std::string& id : ids) Put(id, "2");
  for (const std::string& id : ids) {
    EXPECT_EQ(At(id, all), id + ": 1");
    EXPECT_EQ(Version(id, 1), id + ": 1");
    EXPECT_THAT(At(id, first[id] - 1), HasSubstr("NOT_FOUND"));
  }
  std::vector<std::string> expected;
  for (const auto& [id, sequence] : first) expected.push_back(id + ": 1");
  EXPECT_EQ(ListAt(all, 1), expected);
  EXPECT_EQ(ListAt(all, 100), expected);
  for (const std::string& id : ids) Delete(id);
  EXPECT_EQ(ListAt(all, 3), expected);
  EXPECT_EQ(Damage(), "");
}

// Column families as an older Braid made them.
TEST(StoreFormatTest, RefusesAStoreOfAnOlderVersion) {
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory.path());
  const std::vector<std::string> old = {"default",  "documents", "texts",
                                        "chunks",   "vectors",   "log",
                                        "requests", "retired"};
  rocksdb::DB* opened = nullptr;
  rocksdb::Options options;
  options.create_if_missing = true;
  ASSERT_TRUE(rocksdb::DB::Open(options, directory.path(), &opened).ok());
  for (size_t i = 1; i < old.size(); ++i) {
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    ASSERT_TRUE(opened->CreateColumnFamily(options, old[i], &handle).ok());
    opened->DestroyColumnFamilyHandle(handle);
  }
  delete opened;
  const auto store = Store::Open(directory.path(), StoreOptions());
  EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(store.status().message(), HasSubstr("another version of Braid"));
  // It is as it was.
  std::vector<std::string> families;
  ASSERT_TRUE(
      rocksdb::DB::ListColumnFamilies(options, directory.path(), &families)
          .ok());
  EXPECT_EQ(families, old);
}

// A kill while the families are being made for the first time.
TEST(StoreFormatTest, AStoreThatWasNotMadeToTheEndIsMade) {
  for (size_t made = 1; made < 10; ++made) {
    TemporaryDirectory directory;
    {
      auto store = Store::Open(directory.path(), StoreOptions());
      ASSERT_TRUE(store.ok()) << store.status();
    }
    std::vector<std::string> families;
    ASSERT_TRUE(rocksdb::DB::ListColumnFamilies(rocksdb::Options(),
                                                directory.path(), &families)
                    .ok());
    TemporaryDirectory partial;
    std::filesystem::create_directories(partial.path());
    rocksdb::DB* opened = nullptr;
    rocksdb::Options options;
    options.create_if_missing = true;
    ASSERT_TRUE(rocksdb::DB::Open(options, partial.path(), &opened).ok());
    for (size_t i = 1; i < made; ++i) {
      rocksdb::ColumnFamilyHandle* handle = nullptr;
      ASSERT_TRUE(
          opened->CreateColumnFamily(options, families[i], &handle).ok());
      opened->DestroyColumnFamilyHandle(handle);
    }
    delete opened;
    const auto store = Store::Open(partial.path(), StoreOptions());
    EXPECT_TRUE(store.ok()) << made << ": " << store.status();
  }
}

}  // namespace
}  // namespace braid::retrieval
