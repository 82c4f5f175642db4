// The store against an oracle in memory, and under power cuts.
#include <map>
#include <memory>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "retrieval/store/store.h"
#include "rocksdb/env.h"
#include "tests/store/power_cut_env.h"
#include "tests/store/store_test_util.h"

namespace braid::retrieval {
namespace {

constexpr uint32_t kDimension = 4;

// What a collection must hold, in the plainest form.
struct Model {
  struct Document {
    DocumentWrite write;
    uint64_t version = 0;
    Sequence sequence = 0;
    ChunkId first_chunk = 0;
  };
  std::map<std::string, Document> documents;
  std::map<std::string, uint64_t> versions;  // of deleted ones as well
  ChunkId last_chunk = 0;
  Sequence last_sequence = 0;

  void Put(const DocumentWrite& write, Sequence sequence) {
    Document& document = documents[write.id];
    document.write = write;
    document.version = ++versions[write.id];
    document.sequence = sequence;
    document.first_chunk = write.chunks.empty() ? 0 : last_chunk + 1;
    last_chunk += write.chunks.size();
    last_sequence = sequence;
  }
};

void ExpectEqual(const StoreSnapshot& snapshot, const std::string& collection,
                 const Model& model) {
  std::vector<ChunkId> chunks;
  std::vector<std::string> ids;
  for (const auto& [id, document] : model.documents) {
    ids.push_back(id);
    for (size_t i = 0; i < document.write.chunks.size(); ++i) {
      chunks.push_back(document.first_chunk + i);
    }
  }
  std::sort(chunks.begin(), chunks.end());
  ASSERT_EQ(*snapshot.ListChunks(collection), chunks);
  const auto listed = *snapshot.ListDocuments(collection, "", 1 << 20);
  ASSERT_EQ(listed.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const DocumentInfo& info = listed[i];
    const Model::Document& expected = model.documents.at(ids[i]);
    ASSERT_EQ(info.id, ids[i]);
    ASSERT_EQ(info.version, expected.version);
    ASSERT_EQ(info.sequence, expected.sequence);
    ASSERT_EQ(info.first_chunk, expected.first_chunk);
    ASSERT_EQ(info.chunk_count, expected.write.chunks.size());
    ASSERT_EQ(info.content_hash, expected.write.content_hash);
    ASSERT_EQ(info.metadata, expected.write.metadata);
    ASSERT_EQ(*snapshot.GetText(collection, info.id), expected.write.text);
    ASSERT_EQ(
        *snapshot.GetVectors(collection, info.first_chunk, info.chunk_count),
        expected.write.vectors);
    ASSERT_EQ(snapshot.GetChunks(collection, info)->size(), info.chunk_count);
  }
  const CollectionCounters counters = *snapshot.Counters(collection);
  ASSERT_EQ(counters.documents, ids.size());
  ASSERT_EQ(counters.chunks, chunks.size());
  ASSERT_EQ(counters.last_sequence, model.last_sequence);
}

TEST(StoreModelTest, AgreesWithAnOracle) {
  std::mt19937_64 random(TestSeed());
  TemporaryDirectory directory;
  // Syncs of this file system cost nothing; nor are they needed here.
  const std::unique_ptr<rocksdb::Env> env =
      rocksdb::NewCompositeEnv(std::make_shared<PowerCutFileSystem>());
  StoreOptions options;
  options.env = env.get();
  std::unique_ptr<Store> store;
  const auto reopen = [&] {
    store.reset();
    auto opened = Store::Open(directory.path(), options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store = *std::move(opened);
  };
  reopen();
  const std::vector<std::string> collections = {"a", "ab"};
  std::map<std::string, Model> models;
  for (const std::string& collection : collections) {
    ASSERT_TRUE(
        store->CreateCollection(TestCollection(collection, kDimension)).ok());
    models[collection];
  }
  struct Held {
    std::shared_ptr<const StoreSnapshot> snapshot;
    std::map<std::string, Model> models;
  };
  std::vector<Held> held;
  Sequence sequence = 0;
  constexpr int kOperations = 2000;
  for (int operation = 0; operation < kOperations; ++operation) {
    const std::string& collection = collections[random() % 2];
    Model& model = models[collection];
    const auto random_id = [&] {
      return absl::StrCat("folder/", random() % 40);
    };
    const uint64_t kind = random() % 1000;
    if (kind < 600) {
      std::vector<DocumentWrite> writes;
      for (uint64_t i = 0; i <= random() % 3; ++i) {
        writes.push_back(RandomDocument(random, random_id(), kDimension,
                                        random() % 4, random() % 200));
      }
      if (random() % 20 == 0) writes[0].text.assign(100000, 'x');
      const auto results = store->PutDocuments(collection, writes, false);
      for (size_t i = 0; i < writes.size(); ++i) {
        ASSERT_TRUE(results[i].ok()) << results[i].status();
        ASSERT_EQ(results[i]->sequence, ++sequence);
        ASSERT_EQ(results[i]->outcome, model.documents.contains(writes[i].id)
                                           ? WriteOutcome::kReplaced
                                           : WriteOutcome::kCreated);
        model.Put(writes[i], sequence);
        ASSERT_EQ(results[i]->version, model.documents[writes[i].id].version);
      }
    } else if (kind < 900) {
      const std::string id = random_id();
      const auto deleted = store->DeleteDocument(collection, id);
      if (model.documents.erase(id) > 0) {
        ASSERT_TRUE(deleted.ok()) << deleted.status();
        ASSERT_EQ(*deleted, ++sequence);
        model.last_sequence = sequence;
      } else {
        ASSERT_TRUE(absl::IsNotFound(deleted.status()));
      }
    } else if (kind < 940) {
      ASSERT_TRUE(
          store->TruncateLog(collection, random() % (sequence + 1)).ok());
    } else if (kind < 970) {
      held.push_back({store->snapshot(), models});
      if (held.size() > 4) {
        held.erase(held.begin() + static_cast<long>(random() % 4));
      }
    } else if (kind < 980) {
      held.clear();
      reopen();
    } else if (kind < 982) {
      ASSERT_TRUE(store->DeleteCollection(collection).ok());
      ASSERT_TRUE(
          store->CreateCollection(TestCollection(collection, kDimension)).ok());
      model = Model();
    } else {
      ExpectEqual(*store->snapshot(), collection, model);
      for (const Held& old : held) {
        ExpectEqual(*old.snapshot, collection, old.models.at(collection));
      }
    }
    if (HasFatalFailure()) FAIL() << "at operation " << operation;
  }
  held.clear();
  reopen();
  for (const std::string& collection : collections) {
    ExpectEqual(*store->snapshot(), collection, models[collection]);
  }
}

// What was acknowledged before a power cut is there after it, whole, and what
// was not acknowledged is there whole or not at all.
TEST(StoreModelTest, SurvivesPowerCuts) {
  std::mt19937_64 random(TestSeed());
  TemporaryDirectory directory;
  const auto files = std::make_shared<PowerCutFileSystem>();
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(files);
  StoreOptions options;
  options.env = env.get();
  Model model;
  for (int round = 0; round < 12; ++round) {
    auto opened = Store::Open(directory.path(), options);
    ASSERT_TRUE(opened.ok()) << "round " << round << ": " << opened.status();
    std::unique_ptr<Store> store = *std::move(opened);
    if (round == 0) {
      ASSERT_TRUE(
          store->CreateCollection(TestCollection("c", kDimension)).ok());
    }
    // An unacknowledged write of the last round may be there.
    ExpectEqual(*store->snapshot(), "c", model);
    if (HasFatalFailure()) FAIL() << "round " << round;

    files->StopAfter(random() % (1 << 20));
    Model unacknowledged = model;
    for (int i = 0;; ++i) {
      const DocumentWrite write = RandomDocument(
          random, absl::StrCat("d", random() % 50), kDimension, 3, 40000);
      const auto results = store->PutDocuments("c", {write}, false);
      unacknowledged = model;
      unacknowledged.Put(write, model.last_sequence + 1);
      if (!results[0].ok()) break;
      model.Put(write, results[0]->sequence);
      ASSERT_LT(i, 100000) << "the machine never went off";
    }
    store.reset();
    files->DropUnsynced(static_cast<double>(random() % 11) / 10);
    // The write in flight may have reached the disk before the cut.
    auto checked = Store::Open(directory.path(), options);
    ASSERT_TRUE(checked.ok()) << checked.status();
    if ((*checked)->snapshot()->Counters("c")->last_sequence ==
        unacknowledged.last_sequence) {
      model = unacknowledged;
    }
  }
  EXPECT_GT(model.last_sequence, 20u);
  EXPECT_GE(files->cut_files(), 6);
}

}  // namespace
}  // namespace braid::retrieval
