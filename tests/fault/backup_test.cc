// Backup while writes go on, then a lost disk, then restore: every document is
// what it was at one moment of the writing, and searches find what an index
// that was built from these documents alone finds.
#include <atomic>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "retrieval/local/local_backend.h"
#include "services/backup/backup_directory.h"
#include "services/hub/digest.h"
#include "tests/fault/fault_testing.h"
#include "tests/steady.h"

namespace braid::retrieval {
namespace {

namespace backup = braid::services::backup;
namespace hub = braid::services::hub;
namespace fs = std::filesystem;

constexpr auto kIgnore = [](uint64_t) {};

class FaultBackupTest : public ::testing::Test {
 protected:
  std::unique_ptr<LocalBackend> Open(const std::string& directory) {
    LocalBackendOptions options;
    options.directory = directory;
    options.index_interval = absl::Milliseconds(5);
    auto opened = LocalBackend::Open(options, &encoder_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }

  void Backup(LocalBackend& backend, const std::string& directory) {
    auto writer = backup::BackupWriter::Create(directory);
    ASSERT_TRUE(writer.ok()) << writer.status();
    const auto checkpoint = backend.CreateCheckpoint();
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    for (const std::string& name : (*checkpoint)->files()) {
      const std::string bytes =
          ReadBytes((*checkpoint)->directory() + "/" + name);
      hub::StreamDigest digest(hub::DigestKind::kSha256, bytes.size());
      digest.Add(bytes);
      ASSERT_TRUE((*writer)->BeginFile(name, bytes.size()).ok());
      ASSERT_TRUE((*writer)->Append(bytes).ok());
      ASSERT_TRUE((*writer)->EndFile(*digest.Finish()).ok());
    }
    const auto manifest = (*writer)->Finish();
    ASSERT_TRUE(manifest.ok()) << manifest.status();
  }

  absl::StatusOr<backup::BackupManifest> Restore(const std::string& from,
                                                 const std::string& to,
                                                 bool replace = false) {
    return backup::RestoreBackup(from, to, replace, kIgnore, {});
  }

  // The ten best of both legs by document and ordinal.
  using Hits = std::vector<std::pair<std::string, uint32_t>>;
  std::vector<Hits> Search(LocalBackend& backend, uint64_t queries) {
    EXPECT_TRUE(backend.WaitUntilCurrent("c", kNever).ok());
    std::mt19937_64 random(7);
    std::vector<Hits> all;
    for (uint64_t i = 0; i < queries; ++i) {
      Query query;
      query.collection = "c";
      query.text =
          absl::StrCat(Word(random() % kWords), " ", Word(random() % kWords));
      query.limit_per_leg = 10;
      query.viewer = i % 2 == 0 ? Viewer::All()
                                : Viewer::Named({absl::StrCat("key:", i % 5)});
      const auto found = backend.Search(query);
      EXPECT_TRUE(found.ok()) << found.status();
      for (const auto& leg : {found->bm25, found->dense}) {
        std::vector<ChunkId> ids;
        for (const ScoredChunk& hit : leg.hits) ids.push_back(hit.chunk);
        const auto passages = found->view->Fetch(ids);
        EXPECT_EQ(passages->size(), ids.size());
        all.emplace_back();
        for (const Passage& passage : *passages) {
          all.back().push_back(
              {passage.chunk.document_id, passage.chunk.ordinal});
        }
      }
    }
    return all;
  }

  TemporaryDirectory directory_;
  HashEncoder encoder_;
};

TEST_F(FaultBackupTest, RestoresOneMomentOfTheWriting) {
  std::mt19937_64 random(FaultSeed());
  const std::string data = directory_.path("data");
  const std::string copy = directory_.path("backup");
  auto backend = Open(data);
  CollectionConfig config;
  config.id = "c";
  config.document_access = true;
  ASSERT_TRUE(backend->CreateCollection(config).ok());
  // What each sequence did: the content of a document, 0 for none.
  struct Step {
    std::string id;
    uint64_t content;
  };
  std::mutex mutex;
  std::map<Sequence, Step> history;
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    while (!stop) {
      const std::string id = absl::StrCat("d", random() % 300);
      uint64_t content = 0;
      Sequence sequence = 0;
      if (random() % 5 == 0) {
        const auto deleted = backend->store()->DeleteDocument("c", id);
        if (!deleted.ok()) continue;
        sequence = *deleted;
      } else {
        content = 1 + random() % 1000000000;
        sequence =
            PutOne(backend->store(), "c", ListedDocument(id, content), true)
                .sequence;
      }
      const std::lock_guard<std::mutex> lock(mutex);
      history[sequence] = {id, content};
    }
  });
  const auto written = [&] {
    const std::lock_guard<std::mutex> lock(mutex);
    return history.size();
  };
  while (written() < 400) absl::SleepFor(absl::Milliseconds(5));
  Backup(*backend, copy);
  const size_t during = written();
  while (written() < during + 20) absl::SleepFor(absl::Milliseconds(5));
  stop = true;
  writer.join();
  backend.reset();
  fs::remove_all(data);

  const auto restored = Restore(copy, data);
  ASSERT_TRUE(restored.ok()) << restored.status();
  backend = Open(data);
  const auto snapshot = backend->store()->snapshot();
  const Sequence at = snapshot->Counters("c")->last_sequence;
  EXPECT_GE(at, 400u);
  std::map<std::string, std::pair<Sequence, uint64_t>> expected;
  for (const auto& [sequence, step] : history) {
    if (sequence > at) break;
    if (step.content == 0) {
      expected.erase(step.id);
    } else {
      expected[step.id] = {sequence, step.content};
    }
  }
  const auto documents = *snapshot->ListDocuments("c", "", 100000);
  ASSERT_EQ(documents.size(), expected.size());
  for (const DocumentInfo& info : documents) {
    ASSERT_EQ(info.content_hash, std::to_string(expected.at(info.id).second));
    ASSERT_EQ(CompareContent(*snapshot, "c", info), "");
    ASSERT_EQ(info.readers, ContentReaders(expected.at(info.id).second));
  }
  // The same documents, written in the same order to an empty directory.
  auto reference = Open(directory_.path("reference"));
  ASSERT_TRUE(reference->CreateCollection(config).ok());
  std::map<Sequence, std::pair<std::string, uint64_t>> by_sequence;
  for (const auto& [id, entry] : expected) {
    by_sequence[entry.first] = {id, entry.second};
  }
  std::vector<DocumentWrite> writes;
  for (const auto& [sequence, entry] : by_sequence) {
    writes.push_back(ListedDocument(entry.first, entry.second));
  }
  for (const auto& result :
       reference->store()->PutDocuments("c", writes, true)) {
    ASSERT_TRUE(result.ok()) << result.status();
  }
  const uint64_t queries = Count(200, 1000);
  ASSERT_EQ(Search(*backend, queries), Search(*reference, queries));
  std::printf("backup at sequence %lu of %lu, %zu documents, %lu queries\n", at,
              history.rbegin()->first, documents.size(), queries);
}

TEST_F(FaultBackupTest, RefusesWhatItMustNotTouch) {
  const std::string data = directory_.path("data");
  const std::string copy = directory_.path("backup");
  auto backend = Open(data);
  CollectionConfig config;
  config.id = "c";
  ASSERT_TRUE(backend->CreateCollection(config).ok());
  PutOne(backend->store(), "c", ContentDocument("d", 1));
  Backup(*backend, copy);
  PutOne(backend->store(), "c", ContentDocument("d", 2), true);
  backend.reset();
  // There already; data there already; no backup.
  EXPECT_TRUE(
      absl::IsAlreadyExists(backup::BackupWriter::Create(copy).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Restore(copy, data).status()));
  EXPECT_TRUE(absl::IsNotFound(Restore(data, copy + "2").status()));
  EXPECT_FALSE(fs::exists(copy + "2"));

  // Any damage is found before the target is touched.
  std::vector<fs::path> files = {copy + "/backup.json"};
  for (const auto& entry : fs::directory_iterator(copy + "/store")) {
    files.push_back(entry.path());
  }
  std::mt19937_64 random(FaultSeed());
  for (const fs::path& file : files) {
    const std::string whole = ReadBytes(file);
    for (int i = 0; i < 4; ++i) {
      std::string damaged = whole;
      if (i == 0) {
        damaged.resize(damaged.size() / 2);
        if (whole.empty()) damaged = "x";
      } else if (!whole.empty()) {
        const size_t bit = random() % (whole.size() * 8);
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
      } else {
        continue;
      }
      WriteBytes(file, damaged);
      const absl::Status status =
          Restore(copy, data, /*replace=*/true).status();
      EXPECT_TRUE(absl::IsDataLoss(status)) << file << ": " << status;
    }
    WriteBytes(file, whole);
  }
  EXPECT_EQ(Open(data)->store()->snapshot()->GetDocument("c", "d")->version,
            2u);
  ASSERT_TRUE(Restore(copy, data, /*replace=*/true).ok());
  EXPECT_EQ(Open(data)->store()->snapshot()->GetDocument("c", "d")->version,
            1u);
  EXPECT_FALSE(fs::exists(data + "/store.restoring"));
}

}  // namespace
}  // namespace braid::retrieval
