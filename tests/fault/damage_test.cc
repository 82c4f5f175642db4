// Flipped bits and cut files of every kind: found when the directory is opened
// or by VerifyData, never a crash, never a wrong hit; and an index is built
// anew from the store.
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "retrieval/dense/manifest.h"
#include "retrieval/local/local_backend.h"
#include "tests/fault/fault_testing.h"
#include "tests/fault/file_faults.h"
#include "tests/steady.h"

namespace braid::retrieval {
namespace {

namespace fs = std::filesystem;

// What a file is, as a row of the report.
std::string KindOf(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  if (absl::StrContains(path, "/store/")) {
    for (const char* prefix : {"MANIFEST", "OPTIONS", "LOG", "SEAL", "CURRENT",
                               "IDENTITY", "LOCK"}) {
      if (absl::StartsWith(name, prefix)) return absl::StrCat("store ", prefix);
    }
    return absl::StrCat("store ", fs::path(name).extension().string());
  }
  const char* const index =
      absl::StrContains(path, "/dense/") ? "dense " : "lexical ";
  const std::string extension = fs::path(name).extension().string();
  return absl::StrCat(index, extension.empty() ? name : extension);
}

// Kinds that hold no data: damage of them needs not be seen.
bool HoldsNoData(const std::string& kind) {
  static const auto* const kinds =
      new std::set<std::string>{"store OPTIONS", "store LOG", "store IDENTITY",
                                "store LOCK", "lexical .lock"};
  return kinds->contains(kind);
}

constexpr int kDocuments = 120;

class FaultDamageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(path_);
    testing::WatchFiles(path_, 0, [](const testing::FileCall&) {
      return testing::FileFault();
    });
  }
  void TearDown() override {
    backend_.reset();
    testing::StopWatchingFiles();
    fs::remove_all(path_ + ".saved");
  }

  LocalBackendOptions Options(const std::string& directory) const {
    LocalBackendOptions options;
    options.directory = directory;
    options.index_interval = absl::Milliseconds(1);
    options.seal_vectors = 64;
    return options;
  }

  // Replacements and deletes, an HNSW segment and a flat one, several lexical
  // segments. Both indexes are committed at the newest sequence.
  void Build() {
    const std::string data = path_ + "/data";
    for (int part = 0; part < 3; ++part) {
      Open(data);
      if (part == 0) {
        CollectionConfig config;
        config.id = "c";
        ASSERT_TRUE(backend_->CreateCollection(config).ok());
      }
      for (int i = 0; i < kDocuments; ++i) {
        if (random_() % 3 == static_cast<uint64_t>(part)) continue;
        const std::string id = absl::StrCat("d", i);
        if (part == 2 && i % 7 == 0) {
          (void)backend_->store()->DeleteDocument("c", id);
        } else {
          PutOne(backend_->store(), "c", ContentDocument(id, 1 + random_()));
        }
      }
      ASSERT_TRUE(backend_->WaitUntilCurrent("c", kNever).ok());
      // An orderly end commits both indexes.
      if (part < 2) backend_.reset();
    }
    for (uint64_t i = 0; i < 15; ++i)
      words_.push_back(Word(random_() % kWords));
    expected_ = Search();
    const auto snapshot = backend_->store()->snapshot();
    const auto documents = *snapshot->ListDocuments("c", "", 1000);
    for (const DocumentInfo& info : documents) {
      contents_[info.id] = info.content_hash;
    }
  }

  void Open(const std::string& directory) {
    backend_.reset();
    auto opened = LocalBackend::Open(Options(directory), &encoder_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    backend_ = *std::move(opened);
  }

  // For each word the chunks that hold it, ascending, and the nearest ten.
  // Neither depends on how often an index was built.
  std::vector<std::vector<ChunkId>> Search() {
    std::vector<std::vector<ChunkId>> found;
    for (const std::string& word : words_) {
      Query query;
      query.collection = "c";
      query.text = word;
      query.limit_per_leg = 1000;
      const auto result = backend_->Search(query);
      EXPECT_TRUE(result.ok()) << result.status();
      if (!result.ok()) return found;
      EXPECT_TRUE(result->bm25.status.ok()) << result->bm25.status;
      EXPECT_TRUE(result->dense.status.ok()) << result->dense.status;
      found.emplace_back();
      for (const ScoredChunk& hit : result->bm25.hits) {
        found.back().push_back(hit.chunk);
      }
      std::sort(found.back().begin(), found.back().end());
      found.emplace_back();
      for (const ScoredChunk& hit : result->dense.hits) {
        if (found.back().size() < 10) found.back().push_back(hit.chunk);
      }
    }
    return found;
  }

  // Opens the directory as a service would and compares all with what it was.
  void ExpectWhole(const std::string& directory) {
    Open(directory);
    if (HasFatalFailure()) return;
    ASSERT_TRUE(backend_->WaitUntilCurrent("c", kNever).ok());
    ASSERT_EQ(Search(), expected_);
    const auto snapshot = backend_->store()->snapshot();
    const auto documents = snapshot->ListDocuments("c", "", 1000);
    ASSERT_TRUE(documents.ok()) << documents.status();
    ASSERT_EQ(documents->size(), contents_.size());
    for (const DocumentInfo& info : *documents) {
      ASSERT_EQ(info.content_hash, contents_.at(info.id));
      ASSERT_EQ(CompareContent(*snapshot, "c", info), "");
    }
    backend_.reset();
  }

  // Opens a directory with a damaged store: an error, or right answers.
  void ExpectNoWrongHit(const std::string& directory) {
    auto opened = LocalBackend::Open(Options(directory), &encoder_);
    if (!opened.ok()) return;
    backend_ = *std::move(opened);
    // Indexing may fail for good.
    (void)backend_->WaitUntilCurrent("c", SteadyIn(absl::Milliseconds(50)));
    for (const std::string& word : words_) {
      Query query;
      query.collection = "c";
      query.text = word;
      query.deadline = SteadyIn(absl::Milliseconds(20));
      const auto result = backend_->Search(query);
      if (!result.ok()) continue;
      std::vector<ChunkId> ids;
      for (const auto& leg : {result->bm25, result->dense}) {
        for (const ScoredChunk& hit : leg.hits) ids.push_back(hit.chunk);
      }
      const auto passages = result->view->Fetch(ids);
      if (!passages.ok()) continue;
      for (const Passage& passage : *passages) {
        const auto document = contents_.find(passage.chunk.document_id);
        // A lost tail of the log may bring an older state back.
        if (document == contents_.end()) continue;
        const std::vector<std::string> texts =
            TextsOf(document->first, document->second);
        const auto info =
            backend_->store()->snapshot()->GetDocument("c", document->first);
        if (!info.ok() || info->content_hash != document->second) continue;
        ASSERT_LT(passage.chunk.ordinal, texts.size());
        ASSERT_EQ(passage.text, texts[passage.chunk.ordinal]);
      }
    }
    backend_.reset();
  }

  static std::vector<std::string> TextsOf(const std::string& id,
                                          const std::string& hash) {
    const DocumentWrite write =
        ContentDocument(id, std::strtoull(hash.c_str(), nullptr, 10));
    std::vector<std::string> texts;
    for (const ChunkSpan& span : write.chunks) {
      texts.push_back(
          write.text.substr(span.text_range.begin, span.text_range.size()));
    }
    return texts;
  }

  // A segment that was built and not yet committed: the next open removes it.
  static bool IsOrphan(const fs::path& file) {
    if (file.extension() != ".segment") return false;
    const auto manifest = ReadManifest(file.parent_path().string());
    if (!manifest.ok()) return true;  // nothing was committed
    return std::none_of(manifest->segments.begin(), manifest->segments.end(),
                        [&](const ManifestSegment& segment) {
                          return SegmentPath(file.parent_path().string(),
                                             segment.file) == file.string();
                        });
  }

  struct Row {
    uint64_t tried = 0;
    uint64_t found = 0;
    uint64_t rebuilt = 0;
    uint64_t harmless = 0;
  };

  void Damage(const std::string& intact, const std::string& name) {
    std::map<std::string, std::vector<std::string>> kinds;
    for (const auto& entry : fs::recursive_directory_iterator(intact)) {
      if (!entry.is_regular_file() || entry.file_size() == 0) continue;
      if (IsOrphan(entry.path())) continue;
      const std::string path = entry.path().string().substr(intact.size() + 1);
      kinds[KindOf("/" + path)].push_back(path);
    }
    const uint64_t flips = Count(2, 60);
    const uint64_t cuts = Count(1, 6);
    const std::string work = path_ + "/work";
    std::map<std::string, Row> rows;
    for (const auto& [kind, files] : kinds) {
      for (uint64_t i = 0; i < flips + cuts; ++i) {
        fs::remove_all(work);
        fs::copy(intact, work, fs::copy_options::recursive);
        const std::string file = files[random_() % files.size()];
        std::string bytes = ReadBytes(work + "/" + file);
        std::string what;
        if (i < flips) {
          const size_t bit = random_() % (bytes.size() * 8);
          bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
          what = absl::StrCat(file, ": bit ", bit);
        } else {
          bytes.resize(random_() % bytes.size());
          what = absl::StrCat(file, ": cut to ", bytes.size());
        }
        WriteBytes(work + "/" + file, bytes);
        SCOPED_TRACE(absl::StrCat(name, ": ", what));
        Row& row = rows[kind];
        ++row.tried;
        const auto report = VerifyData(work, false, std::stop_token());
        const bool found = !report.ok() || !report->whole();
        if (!found) {
          ++row.harmless;
          EXPECT_TRUE(HoldsNoData(kind) || i < flips) << "not found";
          ExpectWhole(work);
        } else if (report.ok() && report->store_opened.ok() &&
                   report->store.whole()) {
          ++row.found;
          const auto repaired = VerifyData(work, true, std::stop_token());
          ASSERT_TRUE(repaired.ok()) << repaired.status();
          ASSERT_TRUE(repaired->whole()) << Describe(*repaired);
          if (!absl::StrContains(file, "store/")) {
            ++row.rebuilt;
            ExpectWhole(work);
          }
        } else {
          ++row.found;
          ExpectNoWrongHit(work);
        }
        if (HasFatalFailure()) return;
      }
    }
    Row all;
    for (const auto& [kind, row] : rows) {
      std::printf(
          "%-10s %-22s tried %5lu found %5lu harmless %4lu "
          "rebuilt %5lu\n",
          name.c_str(), kind.c_str(), row.tried, row.found, row.harmless,
          row.rebuilt);
      if (!HoldsNoData(kind)) {
        // Bits that nothing reads, such as a version in a footer, are proven
        // harmless one by one above.
        // Where few are tried, one such bit is more than their share of it.
        const uint64_t spare = row.tried < 20 ? 1 : 0;
        EXPECT_GE((row.found + spare) * 20, row.tried * 19) << kind;
        all.tried += row.tried;
        all.found += row.found;
      }
    }
    EXPECT_GE(all.found * 20, all.tried * 19);
  }

  std::mt19937_64 random_{FaultSeed()};
  TemporaryDirectory directory_;
  const std::string path_ = directory_.path("files");
  HashEncoder encoder_;
  std::unique_ptr<LocalBackend> backend_;
  std::vector<std::string> words_;
  std::vector<std::vector<ChunkId>> expected_;
  std::map<std::string, std::string> contents_;  // content hashes
};

TEST_F(FaultDamageTest, OfAClosedDirectoryIsFound) {
  Build();
  if (HasFatalFailure()) return;
  backend_.reset();
  Damage(path_ + "/data", "closed");
}

TEST_F(FaultDamageTest, OfWhatAKilledProcessLeftIsFound) {
  Build();
  if (HasFatalFailure()) return;
  // As a kill leaves it: nothing is going on, nothing was closed.
  absl::SleepFor(absl::Milliseconds(300));
  const std::string killed = path_ + "/killed";
  fs::copy(path_ + "/data", killed, fs::copy_options::recursive);
  backend_.reset();
  Damage(killed, "killed");
}

}  // namespace
}  // namespace braid::retrieval
