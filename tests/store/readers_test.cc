// Who may read a document: kept with it, and found by name.
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "retrieval/store/store.h"
#include "retrieval/viewer.h"
#include "rocksdb/db.h"
#include "rocksdb/file_checksum.h"
#include "rocksdb/options.h"
#include "tests/store/store_test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint32_t kDimension = 3;
using Names = std::vector<std::string>;

TEST(ViewerTest, SeesWhatNamesIt) {
  const Viewer alice = Viewer::Named({"jwt:alice", "*", "group:staff", "*"});
  EXPECT_THAT(alice.names(), ElementsAre("*", "group:staff", "jwt:alice"));
  EXPECT_TRUE(alice.Sees({"group:staff", "key:ci"}));
  EXPECT_TRUE(alice.Sees({"*"}));
  EXPECT_FALSE(alice.Sees({"group:staf", "group:staff2", "jwt:bob"}));
  EXPECT_FALSE(alice.Sees({}));
  EXPECT_TRUE(Viewer::All().Sees({}));
  // One that was not told who reads.
  EXPECT_FALSE(Viewer().Sees({"*"}));
  EXPECT_FALSE(Viewer().Sees({""}));
  EXPECT_FALSE(Viewer().sees_all());
}

class ReadersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Reopen();
    ASSERT_TRUE(store_->CreateCollection(Config("c")).ok());
    ASSERT_TRUE(
        store_->CreateCollection(TestCollection("open", kDimension)).ok());
  }
  static CollectionConfig Config(const std::string& id) {
    CollectionConfig config = TestCollection(id, kDimension);
    config.document_access = true;
    return config;
  }
  void Reopen(bool read_only = false) {
    store_.reset();
    options_.read_only = read_only;
    absl::StatusOr<std::unique_ptr<Store>> store =
        Store::Open(directory_.path(), options_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  DocumentWrite Write(const std::string& id, const Names& readers) {
    DocumentWrite write = RandomDocument(random_, id, kDimension, 2, 20);
    write.content_hash = "same";
    write.title = "same";
    write.metadata.clear();
    write.readers = readers;
    return write;
  }
  WriteResult Put(const std::string& id, const Names& readers) {
    return PutOne(store_.get(), "c", Write(id, readers));
  }
  absl::StatusOr<PatchResult> Patch(const std::string& id,
                                    const Names& readers) {
    MetadataPatch patch;
    patch.readers = readers;
    return store_->PatchMetadata("c", id, patch);
  }
  // Ids of the documents that `reader` is listed by.
  Names Readable(const std::string& reader, const std::string& after = "") {
    Names ids;
    const auto snapshot = store_->snapshot();
    const absl::Status status = snapshot->ForEachReadable(
        "c", reader, after, [&](const ReadableDocument& document) {
          ids.push_back(document.id);
          const auto info = snapshot->GetDocument("c", document.id);
          EXPECT_EQ(info->first_chunk, document.first_chunk);
          EXPECT_EQ(info->chunk_count, document.chunk_count);
          return true;
        });
    EXPECT_TRUE(status.ok()) << status;
    return ids;
  }
  Names Readers(const std::string& id) {
    const auto readers = store_->snapshot()->GetReaders("c", id);
    EXPECT_TRUE(readers.ok()) << readers.status();
    return readers.value_or(Names{"no such document"});
  }
  // What is wrong with the store.
  std::string Damage() {
    const auto report = store_->Verify({}, nullptr);
    EXPECT_TRUE(report.ok()) << report.status();
    std::string all;
    for (const auto& damage : report->damage) {
      absl::StrAppend(&all, damage.document, ": ", damage.what, "\n");
    }
    return all;
  }

  TemporaryDirectory directory_;
  StoreOptions options_;
  std::mt19937_64 random_{1};
  std::unique_ptr<Store> store_;
};

TEST_F(ReadersTest, AreRefusedWhereTheyProtectNothing) {
  const auto results =
      store_->PutDocuments("open", {Write("a", {"*"}), Write("b", {})}, false);
  EXPECT_TRUE(absl::IsInvalidArgument(results[0].status()))
      << results[0].status();
  EXPECT_THAT(results[0].status().message(), HasSubstr("readers"));
  EXPECT_TRUE(results[1].ok()) << results[1].status();
  MetadataPatch patch;
  patch.readers = Names{"*"};
  EXPECT_TRUE(absl::IsInvalidArgument(
      store_->PatchMetadata("open", "b", patch).status()));
  EXPECT_FALSE(store_->GetCollection("open")->document_access);
  EXPECT_TRUE(store_->GetCollection("c")->document_access);
}

TEST_F(ReadersTest, AreFoundByNameAsTheyChange) {
  Put("b", {"key:x", "group:g", "key:x"});
  Put("a", {"key:x"});
  Put("nobody", {});
  EXPECT_THAT(Readers("b"), ElementsAre("group:g", "key:x"));
  EXPECT_THAT(Readable("key:x"), ElementsAre("a", "b"));
  EXPECT_THAT(Readable("key:x", "a"), ElementsAre("b"));
  EXPECT_THAT(Readable("group:g"), ElementsAre("b"));
  EXPECT_THAT(Readable("key"), IsEmpty());
  EXPECT_THAT(Readable(""), IsEmpty());

  const auto patched = Patch("b", {"*", "group:g"});
  ASSERT_TRUE(patched.ok()) << patched.status();
  EXPECT_TRUE(patched->changed);
  EXPECT_EQ(patched->document.version, 1u);
  EXPECT_THAT(Readable("key:x"), ElementsAre("a"));
  EXPECT_THAT(Readable("group:g"), ElementsAre("b"));
  EXPECT_THAT(Readable("*"), ElementsAre("b"));
  EXPECT_FALSE(Patch("b", {"group:g", "*"})->changed);
  // A patch of metadata alone leaves them.
  MetadataPatch metadata;
  metadata.set["k"] = true;
  ASSERT_TRUE(store_->PatchMetadata("c", "b", metadata).ok());
  EXPECT_THAT(Readers("b"), ElementsAre("*", "group:g"));

  Reopen();
  EXPECT_THAT(Readable("*"), ElementsAre("b"));
  EXPECT_EQ(Put("a", {"key:x"}).outcome, WriteOutcome::kUnchanged);
  EXPECT_EQ(Put("a", {"key:y"}).outcome, WriteOutcome::kReplaced);
  EXPECT_THAT(Readable("key:x"), IsEmpty());
  EXPECT_THAT(Readable("key:y"), ElementsAre("a"));
  EXPECT_EQ(Damage(), "");

  ASSERT_TRUE(store_->DeleteDocument("c", "a").ok());
  EXPECT_THAT(Readable("key:y"), IsEmpty());
  EXPECT_THAT(Readers("a"), ElementsAre("key:y"));  // in the end
  EXPECT_EQ(store_->snapshot()->GetReaders("c", "never").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Damage(), "");
}

TEST_F(ReadersTest, OfThePastAreKeptWithIt) {
  const Sequence first = Put("a", {"key:x"}).sequence;
  const Sequence second = Patch("a", {"key:y"})->sequence;
  const Sequence third = *store_->DeleteDocument("c", "a");
  Put("a", {"*"});
  const auto snapshot = store_->snapshot();
  EXPECT_THAT(snapshot->GetDocumentAt("c", "a", first)->readers,
              ElementsAre("key:x"));
  EXPECT_THAT(snapshot->GetDocumentAt("c", "a", second)->readers,
              ElementsAre("key:y"));
  EXPECT_THAT(snapshot->GetDocumentVersion("c", "a", 1)->readers,
              ElementsAre("key:y"));
  EXPECT_TRUE(
      absl::IsNotFound(snapshot->GetDocumentAt("c", "a", third).status()));
  EXPECT_THAT(Readers("a"), ElementsAre("*"));
}

// Names and ids that, put one after the other, read alike.
TEST_F(ReadersTest, NamesAreNotMixedUp) {
  const std::string zero(1, '\0');
  const Names names = {
      "a",  "ab",   "a" + zero, "a" + zero + "\1", zero + "\1", zero + "\xFF",
      zero, "\xFF", "b"};
  const Names ids = {"a", "b", "ab", "ba", "\1", "\1b", "a\1b"};
  std::map<std::string, std::set<std::string>> expected;
  for (const std::string& id : ids) {
    Names readers;
    for (const std::string& name : names) {
      if (random_() % 2 == 0) readers.push_back(name);
    }
    for (const std::string& name : readers) expected[name].insert(id);
    Put(id, readers);
  }
  for (const std::string& name : names) {
    EXPECT_EQ(Readable(name),
              Names(expected[name].begin(), expected[name].end()));
  }
  EXPECT_EQ(Damage(), "");
  // Those of another collection, made later under the same name neither.
  ASSERT_TRUE(store_->DeleteCollection("c").ok());
  ASSERT_TRUE(store_->CreateCollection(Config("c")).ok());
  for (const std::string& name : names) EXPECT_THAT(Readable(name), IsEmpty());
}

class OldStoreTest : public ReadersTest {
 protected:
  // Changes the closed store's families.
  void WithDatabase(
      const std::function<void(
          rocksdb::DB*, std::vector<rocksdb::ColumnFamilyHandle*>&)>& change) {
    store_.reset();
    std::vector<std::string> names;
    ASSERT_TRUE(rocksdb::DB::ListColumnFamilies(rocksdb::Options(),
                                                directory_.path(), &names)
                    .ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const std::string& name : names)
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* opened = nullptr;
    rocksdb::DBOptions options;
    options.file_checksum_gen_factory =
        rocksdb::GetFileChecksumGenCrc32cFactory();
    ASSERT_TRUE(rocksdb::DB::Open(options, directory_.path(), families,
                                  &handles, &opened)
                    .ok());
    change(opened, handles);
    ASSERT_TRUE(opened->Flush(rocksdb::FlushOptions(), handles).ok());
    for (auto* handle : handles) opened->DestroyColumnFamilyHandle(handle);
    delete opened;
    // The seal is of the store as it was closed.
    std::filesystem::remove(directory_.path() + "/SEAL");
  }
};

// A store that was made before documents had readers.
TEST_F(OldStoreTest, IsReadAndGoesOn) {
  PutOne(store_.get(), "open", Write("a", {}));
  WithDatabase([](rocksdb::DB* db, auto& handles) {
    ASSERT_EQ(handles.back()->GetName(), "readable");
    ASSERT_TRUE(db->DropColumnFamily(handles.back()).ok());
    ASSERT_TRUE(db->DestroyColumnFamilyHandle(handles.back()).ok());
    handles.pop_back();
  });
  Reopen(/*read_only=*/true);
  EXPECT_TRUE(store_->snapshot()->GetDocument("open", "a").ok());
  EXPECT_THAT(Readable("*"), IsEmpty());
  EXPECT_EQ(Damage(), "");
  Reopen();
  EXPECT_TRUE(store_->snapshot()->GetDocument("open", "a").ok());
  Put("b", {"*"});
  EXPECT_THAT(Readable("*"), ElementsAre("b"));
  EXPECT_EQ(Damage(), "");
}

TEST_F(OldStoreTest, AnIndexOfReadersThatDiffersIsFound) {
  Put("a", {"key:x"});
  std::string key;
  std::string value;
  WithDatabase([&](rocksdb::DB* db, auto& handles) {
    const std::unique_ptr<rocksdb::Iterator> entry(
        db->NewIterator(rocksdb::ReadOptions(), handles.back()));
    entry->SeekToFirst();
    ASSERT_TRUE(entry->Valid());
    key = entry->key().ToString();
    value = entry->value().ToString();
    ASSERT_TRUE(db->Delete(rocksdb::WriteOptions(), handles.back(), key).ok());
  });
  Reopen();
  EXPECT_THAT(Damage(), HasSubstr("a: is not found by its readers"));
  // One too many shows the document to another.
  WithDatabase([&](rocksdb::DB* db, auto& handles) {
    ASSERT_TRUE(
        db->Put(rocksdb::WriteOptions(), handles.back(), key, value).ok());
    std::string other = key;
    other.replace(other.find("key:x"), 5, "key:z");
    ASSERT_TRUE(
        db->Put(rocksdb::WriteOptions(), handles.back(), other, value).ok());
  });
  Reopen();
  EXPECT_THAT(Damage(), Not(HasSubstr("is not found")));
  EXPECT_THAT(Damage(), HasSubstr("entries of readers"));
}

}  // namespace
}  // namespace braid::retrieval
