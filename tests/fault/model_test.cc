// The backend against an oracle in memory: random puts, replacements, deletes,
// patches, changes of readers, deletes by filter, searches of both legs with
// and without a filter and by readers of all kinds, reads of the past, and
// restarts.
#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "retrieval/filter/filter.h"
#include "retrieval/local/local_backend.h"
#include "tests/fault/fault_testing.h"
#include "tests/fault/file_faults.h"
#include "tests/steady.h"

namespace braid::retrieval {
namespace {

constexpr int kDocuments = 80;
// The collection whose documents say who may read them.
constexpr char kWithReaders[] = "b";

// What a collection must hold.
struct Model {
  struct Document {
    std::shared_ptr<const DocumentWrite> write;  // shared with the past
    Metadata metadata;
    std::vector<std::string> readers;  // normalized
    uint64_t version = 0;
  };
  std::map<std::string, Document> documents;
  std::map<std::string, uint64_t> versions;  // of deleted ones as well
  Sequence sequence = 0;
  // The documents after some of the last writes.
  std::map<Sequence, std::map<std::string, Document>> past;

  // To be called after a write.
  void Remember() {
    past[sequence] = documents;
    if (past.size() > 100) past.erase(past.begin());
  }
};

// A chunk as the oracle knows it: document and ordinal.
using Place = std::pair<std::string, uint32_t>;

class FaultModelTest : public ::testing::Test {
 protected:
  void Open() {
    backend_.reset();
    LocalBackendOptions options;
    options.directory = directory_.path("data");
    options.index_interval = absl::Milliseconds(1);
    options.seal_vectors = 32;  // with some HNSW segments; searched exactly
    options.store.clock = [this] { return absl::FromUnixSeconds(seconds_); };
    options.store.history_retention = absl::Seconds(60);
    auto opened = LocalBackend::Open(options, &encoder_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    backend_ = *std::move(opened);
  }

  void Restart() {
    backend_.reset();
    if (random_() % 4 == 0) {
      // Without an index: it comes back from the store.
      std::filesystem::remove_all(
          directory_.path("data") + "/indexes/" +
          (random_() % 2 == 0 ? "a/lexical" : "b/dense"));
    } else {
      const auto report =
          VerifyData(directory_.path("data"), false, std::stop_token());
      ASSERT_TRUE(report.ok()) << report.status();
      ASSERT_TRUE(report->whole()) << Describe(*report);
    }
    Open();
    // An index that is still being built is none at the next restart.
    for (const auto& [id, model] : models_) {
      const absl::Status current =
          backend_->WaitUntilCurrent(id, SteadyIn(absl::Seconds(60)));
      ASSERT_TRUE(current.ok()) << current;
    }
  }

  void Put(const std::string& collection) {
    Model& model = models_[collection];
    std::vector<DocumentWrite> writes;
    std::set<std::string> ids;
    for (uint64_t i = 0; i <= random_() % 3; ++i) {
      writes.push_back(ContentDocument(Id(), 1 + random_() % 1000000000));
      if (collection == kWithReaders) writes.back().readers = Readers();
    }
    const auto results =
        backend_->store()->PutDocuments(collection, writes, false);
    for (size_t i = 0; i < writes.size(); ++i) {
      ASSERT_TRUE(results[i].ok()) << results[i].status();
      Model::Document& document = model.documents[writes[i].id];
      document.version = ++model.versions[writes[i].id];
      document.metadata = writes[i].metadata;
      document.readers = Normalized(writes[i].readers);
      document.write =
          std::make_shared<const DocumentWrite>(std::move(writes[i]));
      ASSERT_EQ(results[i]->version, document.version);
      model.sequence = results[i]->sequence;
      model.Remember();
    }
  }

  void Delete(const std::string& collection) {
    Model& model = models_[collection];
    const std::string id = Id();
    const auto deleted = backend_->store()->DeleteDocument(collection, id);
    ASSERT_EQ(deleted.ok(), model.documents.erase(id) > 0);
    if (!deleted.ok()) return;
    model.sequence = *deleted;
    model.Remember();
  }

  void DeleteByFilter(const std::string& collection) {
    Model& model = models_[collection];
    const double number = static_cast<double>(random_() % 100);
    const Filter filter = *Filter::Parse(absl::StrCat("number = ", number));
    std::vector<std::string> ids;
    for (int i = 0; i < kDocuments; ++i) ids.push_back(absl::StrCat("d", i));
    const auto deleted = backend_->store()->DeleteDocuments(
        collection, ids,
        [&](const DocumentInfo& info) { return filter.Matches(info); });
    ASSERT_TRUE(deleted.ok()) << deleted.status();
    const size_t erased =
        std::erase_if(model.documents, [&](const auto& entry) {
          return entry.second.metadata.at("number") == MetadataValue(number);
        });
    ASSERT_EQ(deleted->deleted, erased);
    if (erased == 0) return;
    model.sequence = deleted->sequence;
    model.Remember();
  }

  void Patch(const std::string& collection) {
    Model& model = models_[collection];
    const std::string id = Id();
    MetadataPatch patch;
    patch.set["number"] = static_cast<double>(random_() % 100);
    if (random_() % 2 == 0) {
      patch.remove = {"word"};
    } else {
      patch.set["word"] = Word(random_() % kWords);
    }
    if (collection == kWithReaders && random_() % 2 == 0) {
      patch.readers = Readers();
    }
    const auto patched =
        backend_->store()->PatchMetadata(collection, id, patch);
    const auto document = model.documents.find(id);
    ASSERT_EQ(patched.ok(), document != model.documents.end());
    if (!patched.ok()) return;
    Metadata& metadata = document->second.metadata;
    if (!patch.remove.empty()) metadata.erase("word");
    for (const auto& [key, value] : patch.set) metadata[key] = value;
    ASSERT_EQ(patched->document.metadata, metadata);
    if (patch.readers) document->second.readers = Normalized(*patch.readers);
    ASSERT_EQ(patched->document.readers, document->second.readers);
    ASSERT_EQ(patched->document.version, document->second.version);
    if (!patched->changed) return;
    model.sequence = patched->sequence;
    model.Remember();
  }

  // What was after one of the last writes is still to be read, if the store
  // says so.
  void ReadPast(const std::string& collection) {
    if (random_() % 2 == 0) {
      ASSERT_TRUE(backend_->store()->TrimHistory({}).ok());
    }
    const Model& model = models_[collection];
    const auto snapshot = backend_->store()->snapshot();
    const Sequence oldest = snapshot->Counters(collection)->oldest_sequence;
    for (const auto& [sequence, expected] : model.past) {
      const auto page =
          snapshot->ListDocumentsAt(collection, sequence, "", 10000);
      if (sequence < oldest) {
        ASSERT_EQ(page.status().code(), absl::StatusCode::kOutOfRange);
        continue;
      }
      ASSERT_TRUE(page.ok()) << page.status();
      ASSERT_EQ(page->documents.size(), expected.size());
      for (const DocumentInfo& info : page->documents) {
        const Model::Document& document = expected.at(info.id);
        ASSERT_EQ(info.version, document.version);
        ASSERT_EQ(info.metadata, document.metadata);
        ASSERT_EQ(info.readers, document.readers);
        ASSERT_EQ(
            *snapshot->GetTextRange(collection, info, {0, info.text_bytes}),
            document.write->text);
      }
      ++past_read_;
    }
  }

  void Search(const std::string& collection) {
    const Model& model = models_[collection];
    Query query;
    query.collection = collection;
    query.text = Word(random_() % kWords);
    query.limit_per_leg = 1000;
    query.wait_for_sequence = model.sequence;
    const uint64_t bound = random_() % 100;
    const bool filtered = random_() % 2 == 0;
    if (filtered) query.filter = absl::StrCat("number < ", bound);
    const bool restricted = collection == kWithReaders && random_() % 4 != 0;
    query.viewer = restricted ? Viewer::Named(Readers()) : Viewer::All();
    const auto found = backend_->Search(query);
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_TRUE(found->bm25.status.ok()) << found->bm25.status;
    ASSERT_TRUE(found->dense.status.ok()) << found->dense.status;
    ASSERT_EQ(found->view->sequence(), model.sequence);

    std::vector<float> vector(encoder_.dimension());
    const absl::string_view text = query.text;
    ASSERT_TRUE(encoder_.Embed({text}, vector.data()).ok());
    std::set<Place> with_word;
    std::map<Place, float> scores;
    for (const auto& [id, document] : model.documents) {
      if (filtered && std::get<double>(document.metadata.at("number")) >=
                          static_cast<double>(bound)) {
        continue;
      }
      if (restricted &&
          !HaveOneInCommon(document.readers, query.viewer.names())) {
        continue;
      }
      const DocumentWrite& write = *document.write;
      for (uint32_t i = 0; i < write.chunks.size(); ++i) {
        const ByteRange& range = write.chunks[i].text_range;
        const std::vector<absl::string_view> words = absl::StrSplit(
            absl::string_view(write.text).substr(range.begin, range.size()),
            ' ');
        if (write.title == query.text ||
            std::find(words.begin(), words.end(), text) != words.end()) {
          with_word.insert({id, i});
        }
        float score = 0;
        for (size_t d = 0; d < vector.size(); ++d) {
          score += vector[d] * write.vectors[i * vector.size() + d];
        }
        scores[{id, i}] = score;
      }
    }
    std::set<Place> bm25;
    for (const auto& [place, score] : Places(*found->view, found->bm25.hits)) {
      ASSERT_TRUE(bm25.insert(place).second) << "twice";
    }
    ASSERT_EQ(bm25, with_word) << query.text << " " << query.filter;
    std::set<Place> dense;
    float last = 2;
    for (const auto& [place, score] : Places(*found->view, found->dense.hits)) {
      ASSERT_TRUE(dense.insert(place).second) << "twice";
      ASSERT_TRUE(scores.contains(place));
      ASSERT_NEAR(score, scores[place], 1e-4);
      ASSERT_LE(score, last);
      last = score;
    }
    ASSERT_EQ(dense.size(), scores.size());
    hits_ += bm25.size() + dense.size();
  }

  // The hits by document and ordinal, after a look at what they show.
  std::vector<std::pair<Place, float>> Places(
      const ReadView& view, const std::vector<ScoredChunk>& hits) {
    std::vector<ChunkId> ids;
    for (const ScoredChunk& hit : hits) ids.push_back(hit.chunk);
    const auto passages = view.Fetch(ids);
    EXPECT_TRUE(passages.ok()) << passages.status();
    EXPECT_EQ(passages->size(), ids.size()) << "a hit has no passage";
    std::vector<std::pair<Place, float>> places;
    for (size_t i = 0; i < passages->size(); ++i) {
      const Chunk& chunk = (*passages)[i].chunk;
      places.push_back({{chunk.document_id, chunk.ordinal}, hits[i].score});
    }
    return places;
  }

  void CompareStore(const std::string& collection) {
    const Model& model = models_[collection];
    const auto snapshot = backend_->store()->snapshot();
    const auto documents = *snapshot->ListDocuments(collection, "", 10000);
    ASSERT_EQ(documents.size(), model.documents.size());
    for (const DocumentInfo& info : documents) {
      const Model::Document& document = model.documents.at(info.id);
      ASSERT_EQ(info.version, document.version);
      ASSERT_EQ(info.metadata, document.metadata);
      ASSERT_EQ(info.readers, document.readers);
      ASSERT_EQ(info.content_hash, document.write->content_hash);
      ASSERT_EQ(CompareContent(*snapshot, collection, info), "");
    }
    ASSERT_EQ(snapshot->Counters(collection)->last_sequence, model.sequence);
  }

  std::string Id() { return absl::StrCat("d", random_() % kDocuments); }
  // Names that documents list, or that somebody goes by.
  std::vector<std::string> Readers() {
    std::vector<std::string> readers;
    for (uint64_t i = random_() % 4; i > 0; --i) {
      readers.push_back(absl::StrCat("key:", random_() % 8));
    }
    return readers;
  }
  static bool HaveOneInCommon(const std::vector<std::string>& a,
                              const std::vector<std::string>& b) {
    return std::find_first_of(a.begin(), a.end(), b.begin(), b.end()) !=
           a.end();
  }

  std::mt19937_64 random_{FaultSeed()};
  TemporaryDirectory directory_;
  HashEncoder encoder_;
  std::unique_ptr<LocalBackend> backend_;
  std::map<std::string, Model> models_;
  uint64_t hits_ = 0;
  uint64_t past_read_ = 0;
  std::atomic<int64_t> seconds_ = 1700000000;
};

TEST_F(FaultModelTest, AgreesWithAnOracle) {
  // Syncs cost nothing here; nor are they needed.
  testing::WatchFiles(directory_.path("data"), 0, [](const testing::FileCall&) {
    return testing::FileFault();
  });
  Open();
  for (const std::string id : {"a", "b"}) {
    CollectionConfig config;
    config.id = id;
    config.document_access = id == kWithReaders;
    ASSERT_TRUE(backend_->CreateCollection(config).ok());
    models_[id];
  }
  const uint64_t operations = Count(5000, 200000);
  std::map<std::string, uint64_t> done;
  for (uint64_t i = 0; i < operations && !HasFatalFailure(); ++i) {
    SCOPED_TRACE(absl::StrCat("operation ", i));
    const std::string collection = random_() % 2 == 0 ? "a" : "b";
    ++seconds_;
    const uint64_t kind = random_() % 1000;
    if (kind < 450) {
      Put(collection);
      ++done["put"];
    } else if (kind < 600) {
      Delete(collection);
      ++done["delete"];
    } else if (kind < 610) {
      DeleteByFilter(collection);
      ++done["delete by filter"];
    } else if (kind < 750) {
      Patch(collection);
      ++done["patch"];
    } else if (kind < 985) {
      Search(collection);
      ++done["search"];
    } else if (kind < 990) {
      ReadPast(collection);
      ++done["read the past"];
    } else if (kind < 998) {
      CompareStore(collection);
      ++done["compare"];
    } else {
      Restart();
      ++done["restart"];
    }
  }
  backend_.reset();
  testing::StopWatchingFiles();
  for (const auto& [name, times] : done) {
    std::printf("%s %lu, ", name.c_str(), times);
  }
  std::printf("%lu hits and %lu past moments compared\n", hits_, past_read_);
  EXPECT_GT(past_read_, operations / 100);
  EXPECT_GT(hits_, operations);
}

}  // namespace
}  // namespace braid::retrieval
