// The store against an oracle in memory, and under power cuts.
#include <map>
#include <memory>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "retrieval/store/store.h"
#include "retrieval/viewer.h"
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
  bool document_access = false;
  // The documents after each write, by id: version and text.
  using State =
      std::map<std::string, std::pair<uint64_t, std::shared_ptr<std::string>>>;
  std::map<Sequence, State> past = {{0, {}}};
  // When a write ended what a document was.
  std::map<Sequence, absl::Time> ends;

  // The newest of what was ended by then: what is older cannot be read.
  Sequence OldestAt(absl::Time ended) const {
    Sequence oldest = 0;
    for (const auto& [sequence, time] : ends) {
      if (time <= ended) oldest = sequence;
    }
    return oldest;
  }

  void Delete(const std::string& id, Sequence sequence, absl::Time now) {
    State state = past.rbegin()->second;
    state.erase(id);
    past[sequence] = std::move(state);
    ends[sequence] = now;
    last_sequence = sequence;
  }

  void PatchReaders(const std::string& id, std::vector<std::string> readers,
                    Sequence sequence, absl::Time now) {
    past[sequence] = past.rbegin()->second;
    ends[sequence] = now;
    documents[id].write.readers = std::move(readers);
    last_sequence = sequence;
  }

  void Put(const DocumentWrite& write, Sequence sequence,
           absl::Time now = absl::UnixEpoch()) {
    if (documents.contains(write.id)) ends[sequence] = now;
    State state = past.rbegin()->second;
    state[write.id] = {versions[write.id] + 1,
                       std::make_shared<std::string>(write.text)};
    past[sequence] = std::move(state);
    Document& document = documents[write.id];
    document.write = write;
    document.version = ++versions[write.id];
    document.sequence = sequence;
    document.first_chunk = write.chunks.empty() ? 0 : last_chunk + 1;
    last_chunk += write.chunks.size();
    last_sequence = sequence;
  }
};

std::vector<std::string> RandomReaders(std::mt19937_64& random) {
  std::vector<std::string> readers;
  for (uint64_t i = random() % 4; i > 0; --i) {
    readers.push_back(absl::StrCat("key:", random() % 6));
  }
  return readers;
}

void ExpectReadable(const StoreSnapshot& snapshot,
                    const std::string& collection, const Model& model) {
  for (int i = 0; i < 6; ++i) {
    const std::string reader = absl::StrCat("key:", i);
    std::vector<std::string> expected;
    for (const auto& [id, document] : model.documents) {
      const auto& readers = document.write.readers;
      if (std::find(readers.begin(), readers.end(), reader) != readers.end()) {
        expected.push_back(id);
      }
    }
    std::vector<std::string> found;
    ASSERT_TRUE(snapshot
                    .ForEachReadable(collection, reader, "",
                                     [&](const ReadableDocument& document) {
                                       found.push_back(document.id);
                                       return true;
                                     })
                    .ok());
    ASSERT_EQ(found, expected);
  }
}

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
    ASSERT_EQ(info.readers, Normalized(expected.write.readers));
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
  ExpectReadable(snapshot, collection, model);
}

// What was at `sequence`, read in both ways.
void ExpectPast(const StoreSnapshot& snapshot, const std::string& collection,
                const Model& model, Sequence sequence) {
  // A sequence of another collection shows what was there then.
  const Model::State& expected =
      std::prev(model.past.upper_bound(sequence))->second;
  Model::State found;
  std::string after;
  for (bool complete = false; !complete;) {
    const auto page = snapshot.ListDocumentsAt(collection, sequence, after, 7);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const DocumentInfo& info : page->documents) {
      const auto text =
          snapshot.GetTextRange(collection, info, {0, info.text_bytes});
      ASSERT_TRUE(text.ok()) << text.status();
      found[info.id] = {info.version, std::make_shared<std::string>(*text)};
    }
    after = page->last;
    complete = page->complete;
  }
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [id, state] : expected) {
    ASSERT_EQ(found[id].first, state.first);
    ASSERT_EQ(*found[id].second, *state.second);
    const auto version =
        snapshot.GetDocumentVersion(collection, id, state.first);
    ASSERT_TRUE(version.ok()) << version.status();
    ASSERT_EQ(version->text_bytes, state.second->size());
  }
  for (int i = 0; i < 40; ++i) {
    const std::string id = absl::StrCat("folder/", i);
    const auto document = snapshot.GetDocumentAt(collection, id, sequence);
    const auto there = expected.find(id);
    if (there == expected.end()) {
      ASSERT_TRUE(absl::IsNotFound(document.status())) << document.status();
    } else {
      ASSERT_TRUE(document.ok()) << document.status();
      ASSERT_EQ(document->version, there->second.first);
    }
  }
}

TEST(StoreModelTest, AgreesWithAnOracle) {
  std::mt19937_64 random(TestSeed());
  TemporaryDirectory directory;
  // Syncs of this file system cost nothing; nor are they needed here.
  const std::unique_ptr<rocksdb::Env> env =
      rocksdb::NewCompositeEnv(std::make_shared<PowerCutFileSystem>());
  StoreOptions options;
  options.env = env.get();
  absl::Time now = absl::FromUnixSeconds(1700000000);
  options.clock = [&] { return now; };
  options.history_retention = absl::Seconds(300);
  absl::Time trimmed = absl::UnixEpoch();
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
  // The second one has readers.
  const auto create = [&](const std::string& collection) {
    CollectionConfig config = TestCollection(collection, kDimension);
    config.document_access = collection == "ab";
    ASSERT_TRUE(store->CreateCollection(config).ok());
    models[collection] = Model();
    models[collection].document_access = config.document_access;
  };
  for (const std::string& collection : collections) create(collection);
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
    now += absl::Seconds(1);
    const uint64_t kind = random() % 1000;
    if (kind < 60) {
      if (!model.document_access) continue;
      const std::string id = random_id();
      MetadataPatch patch;
      patch.readers = RandomReaders(random);
      const auto patched = store->PatchMetadata(collection, id, patch);
      const auto there = model.documents.find(id);
      if (there == model.documents.end()) {
        ASSERT_TRUE(absl::IsNotFound(patched.status())) << patched.status();
        continue;
      }
      ASSERT_TRUE(patched.ok()) << patched.status();
      ASSERT_EQ(patched->changed, Normalized(*patch.readers) !=
                                      Normalized(there->second.write.readers));
      if (!patched->changed) continue;
      ASSERT_EQ(patched->sequence, ++sequence);
      model.PatchReaders(id, *patch.readers, sequence, now);
    } else if (kind < 600) {
      std::vector<DocumentWrite> writes;
      for (uint64_t i = 0; i <= random() % 3; ++i) {
        writes.push_back(RandomDocument(random, random_id(), kDimension,
                                        random() % 4, random() % 200));
      }
      if (random() % 20 == 0) writes[0].text.assign(100000, 'x');
      if (model.document_access) {
        for (DocumentWrite& write : writes) {
          write.readers = RandomReaders(random);
        }
      }
      const auto results = store->PutDocuments(collection, writes, false);
      for (size_t i = 0; i < writes.size(); ++i) {
        ASSERT_TRUE(results[i].ok()) << results[i].status();
        ASSERT_EQ(results[i]->sequence, ++sequence);
        ASSERT_EQ(results[i]->outcome, model.documents.contains(writes[i].id)
                                           ? WriteOutcome::kReplaced
                                           : WriteOutcome::kCreated);
        model.Put(writes[i], sequence, now);
        ASSERT_EQ(results[i]->version, model.documents[writes[i].id].version);
      }
    } else if (kind < 900) {
      const std::string id = random_id();
      const auto deleted = store->DeleteDocument(collection, id);
      if (model.documents.erase(id) > 0) {
        ASSERT_TRUE(deleted.ok()) << deleted.status();
        ASSERT_EQ(*deleted, ++sequence);
        model.Delete(id, sequence, now);
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
      create(collection);
    } else if (kind < 984) {
      ASSERT_TRUE(store->TrimHistory({}).ok());
      trimmed = now - options.history_retention;
    } else if (kind < 992) {
      const auto snapshot = store->snapshot();
      const Sequence oldest = model.OldestAt(trimmed);
      ASSERT_EQ(snapshot->Counters(collection)->oldest_sequence, oldest);
      ExpectPast(*snapshot, collection, model,
                 oldest + random() % (sequence + 1 - oldest));
      if (oldest > 0) {
        ASSERT_EQ(snapshot->GetDocumentAt(collection, "x", oldest - 1)
                      .status()
                      .code(),
                  absl::StatusCode::kOutOfRange);
      }
    } else if (kind < 994) {
      const auto report = store->Verify({}, nullptr);
      ASSERT_TRUE(report.ok()) << report.status();
      ASSERT_TRUE(report->whole()) << report->damage[0].what;
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
    ExpectPast(*store->snapshot(), collection, models[collection],
               models[collection].OldestAt(trimmed));
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
  absl::Time now = absl::FromUnixSeconds(1700000000);
  options.clock = [&] { return now; };
  options.history_retention = absl::Seconds(10);
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
    // A clean-up that the cut has undone in part would leave damage.
    const auto report = store->Verify({}, nullptr);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->whole()) << report->damage[0].what;
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
      now += absl::Seconds(1);
      if (i % 5 == 4 && !store->TrimHistory({}).ok()) break;
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
