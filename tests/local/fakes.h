// An encoder without weights, and indexes in memory that can crash and fail.
#ifndef BRAID_TESTS_LOCAL_FAKES_H_
#define BRAID_TESTS_LOCAL_FAKES_H_

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/local/index_factories.h"

namespace braid::retrieval {

// Adds up one pseudo-random unit direction per word: texts that share words are
// near each other.
class HashEncoder : public Encoder {
 public:
  explicit HashEncoder(std::string fingerprint = "hash encoder",
                       size_t dimension = 32)
      : fingerprint_(std::move(fingerprint)), dimension_(dimension) {}

  size_t dimension() const override { return dimension_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  size_t max_tokens() const override { return 512; }
  absl::Status Embed(absl::Span<const absl::string_view> texts,
                     float* out) const override {
    if (on_embed) on_embed();
    for (const absl::string_view text : texts) {
      std::vector<float> sum(dimension_, 0.0f);
      sum[0] = 1e-3f;  // never the zero vector
      for (const absl::string_view word :
           absl::StrSplit(text, ' ', absl::SkipEmpty())) {
        uint64_t state = 1469598103934665603u;
        for (const char c : word) state = (state ^ c) * 1099511628211u;
        for (float& element : sum) {
          state = state * 6364136223846793005u + 1442695040888963407u;
          element += static_cast<float>(state >> 40) / (1 << 23) - 1.0f;
        }
      }
      float norm = 0;
      for (const float element : sum) norm += element * element;
      for (const float element : sum) *out++ = element / std::sqrt(norm);
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<uint32_t>> TokenStarts(
      absl::string_view) const override {
    return absl::UnimplementedError("not needed");
  }

  std::function<void()> on_embed;

 private:
  const std::string fingerprint_;
  const size_t dimension_;
};

// The files of all fake indexes: what has been committed, by directory.
struct FakeDisk {
  struct State {
    Sequence sequence = 0;
    std::map<ChunkId, std::string> chunks;  // id to contents
  };
  std::mutex mutex;
  std::map<std::string, State> states;  // under mutex
  // Asked before every change; an error is returned to the caller. Under mutex.
  std::function<absl::Status(const std::string& what)> fail;

  absl::Status Check(const std::string& what) {
    const std::lock_guard<std::mutex> lock(mutex);
    return fail ? fail(what) : absl::OkStatus();
  }
};

class FakeLexicalSnapshot : public LexicalSnapshot {
 public:
  FakeLexicalSnapshot(std::map<ChunkId, std::string> chunks,
                      std::shared_ptr<FakeDisk> disk)
      : chunks_(std::move(chunks)), disk_(std::move(disk)) {}
  absl::StatusOr<std::vector<ScoredChunk>> Search(
      absl::string_view query, size_t limit,
      const ChunkBitmap* allowed) const override {
    if (absl::Status status = disk_->Check("search"); !status.ok()) {
      return status;
    }
    std::vector<ScoredChunk> hits;
    for (const auto& [id, contents] : chunks_) {
      if (allowed != nullptr && !allowed->Contains(id)) continue;
      if (!absl::StrContains(contents, query)) continue;
      if (hits.size() < limit) hits.push_back({id, 1.0f});
    }
    return hits;
  }
  absl::StatusOr<std::vector<ScoredChunk>> SearchTitles(
      absl::string_view words, size_t limit,
      const ChunkBitmap* allowed) const override {
    return Search(words, limit, allowed);
  }
  absl::StatusOr<std::vector<ScoredChunk>> Score(
      absl::string_view query,
      absl::Span<const ChunkId> chunks) const override {
    if (absl::Status status = disk_->Check("lexical score"); !status.ok()) {
      return status;
    }
    absl::StatusOr<std::vector<ScoredChunk>> all =
        Search(query, chunks_.size(), nullptr);
    if (!all.ok()) return all.status();
    std::erase_if(*all, [&](const ScoredChunk& hit) {
      return std::find(chunks.begin(), chunks.end(), hit.chunk) == chunks.end();
    });
    return all;
  }
  absl::StatusOr<std::vector<ChunkId>> Chunks() const override {
    std::vector<ChunkId> ids;
    for (const auto& [id, contents] : chunks_) ids.push_back(id);
    return ids;
  }
  const std::map<ChunkId, std::string>& contents() const { return chunks_; }

 private:
  const std::map<ChunkId, std::string> chunks_;
  const std::shared_ptr<FakeDisk> disk_;
};

class FakeLexicalIndex : public LexicalIndex {
 public:
  FakeLexicalIndex(std::string directory, std::shared_ptr<FakeDisk> disk)
      : directory_(std::move(directory)), disk_(std::move(disk)) {
    const std::lock_guard<std::mutex> lock(disk_->mutex);
    chunks_ = disk_->states[directory_].chunks;
    committed_ = disk_->states[directory_].sequence;
    Publish();
  }
  absl::Status Add(const LexicalDocument& document) override {
    if (absl::Status status = disk_->Check("lexical add"); !status.ok()) {
      return status;
    }
    chunks_[document.chunk] = absl::StrCat(document.title, "|", document.text);
    return absl::OkStatus();
  }
  absl::Status Delete(ChunkId chunk) override {
    chunks_.erase(chunk);
    return absl::OkStatus();
  }
  absl::Status Commit(Sequence sequence) override {
    if (absl::Status status = disk_->Check("lexical commit"); !status.ok()) {
      return status;
    }
    const std::lock_guard<std::mutex> lock(disk_->mutex);
    disk_->states[directory_] = {sequence, chunks_};
    committed_ = sequence;
    Publish();
    return absl::OkStatus();
  }
  Sequence committed_sequence() const override { return committed_; }
  std::shared_ptr<const LexicalSnapshot> snapshot() const override {
    return snapshot_;
  }
  absl::Status Verify() const override {
    return disk_->Check("lexical verify");
  }

 private:
  void Publish() {
    snapshot_ = std::make_shared<FakeLexicalSnapshot>(chunks_, disk_);
  }

  const std::string directory_;
  const std::shared_ptr<FakeDisk> disk_;
  std::map<ChunkId, std::string> chunks_;
  Sequence committed_ = 0;
  std::shared_ptr<const LexicalSnapshot> snapshot_;
};

class FakeDenseSnapshot : public DenseSnapshot {
 public:
  FakeDenseSnapshot(std::map<ChunkId, std::string> chunks,
                    std::shared_ptr<FakeDisk> disk)
      : chunks_(std::move(chunks)), disk_(std::move(disk)) {}
  absl::StatusOr<std::vector<ScoredChunk>> Search(
      absl::Span<const float> vector, size_t limit,
      const ChunkBitmap* allowed) const override {
    if (absl::Status status = disk_->Check("dense search"); !status.ok()) {
      return status;
    }
    std::vector<ScoredChunk> hits;
    for (const auto& [id, bytes] : chunks_) {
      if (allowed != nullptr && !allowed->Contains(id)) continue;
      const float* element = reinterpret_cast<const float*>(bytes.data());
      float score = 0;
      for (const float value : vector) score += value * *element++;
      hits.push_back({id, score});
    }
    std::stable_sort(hits.begin(), hits.end(),
                     [](const ScoredChunk& a, const ScoredChunk& b) {
                       return a.score > b.score;
                     });
    if (hits.size() > limit) hits.resize(limit);
    return hits;
  }
  absl::StatusOr<std::vector<ScoredChunk>> Score(
      absl::Span<const float> vector,
      absl::Span<const ChunkId> chunks) const override {
    if (absl::Status status = disk_->Check("dense score"); !status.ok()) {
      return status;
    }
    const auto all = Search(vector, chunks_.size(), nullptr);
    if (!all.ok()) return all.status();
    std::vector<ScoredChunk> scored;
    for (const ChunkId chunk : chunks) {
      const auto hit = std::find_if(
          all->begin(), all->end(),
          [chunk](const ScoredChunk& one) { return one.chunk == chunk; });
      if (hit != all->end()) scored.push_back(*hit);
    }
    return scored;
  }
  std::vector<ChunkId> Chunks() const override {
    std::vector<ChunkId> ids;
    for (const auto& [id, bytes] : chunks_) ids.push_back(id);
    return ids;
  }
  DenseStats Stats() const override { return {.live = chunks_.size()}; }
  const std::map<ChunkId, std::string>& contents() const { return chunks_; }

 private:
  const std::map<ChunkId, std::string> chunks_;
  const std::shared_ptr<FakeDisk> disk_;
};

class FakeDenseIndex : public DenseIndex {
 public:
  FakeDenseIndex(std::string directory, const DenseIndexOptions& options,
                 std::shared_ptr<FakeDisk> disk)
      : directory_(std::move(directory)),
        options_(options),
        disk_(std::move(disk)) {
    const std::lock_guard<std::mutex> lock(disk_->mutex);
    chunks_ = disk_->states[directory_].chunks;
    committed_ = disk_->states[directory_].sequence;
    Publish();
  }
  absl::Status Add(absl::Span<const ChunkId> chunks,
                   absl::Span<const float> vectors) override {
    if (absl::Status status = disk_->Check("dense add"); !status.ok()) {
      return status;
    }
    for (size_t i = 0; i < chunks.size(); ++i) {
      chunks_[chunks[i]] = std::string(
          reinterpret_cast<const char*>(&vectors[i * options_.dimension]),
          options_.dimension * sizeof(float));
      ++uncommitted_;
    }
    return absl::OkStatus();
  }
  absl::Status Delete(ChunkId chunk) override {
    uncommitted_ += chunks_.erase(chunk);
    return absl::OkStatus();
  }
  void Publish() override {
    snapshot_ = std::make_shared<FakeDenseSnapshot>(chunks_, disk_);
  }
  absl::Status Commit(Sequence sequence) override {
    if (absl::Status status = disk_->Check("dense commit"); !status.ok()) {
      return status;
    }
    const std::lock_guard<std::mutex> lock(disk_->mutex);
    disk_->states[directory_] = {sequence, chunks_};
    committed_ = sequence;
    uncommitted_ = 0;
    return absl::OkStatus();
  }
  size_t uncommitted() const override { return uncommitted_; }
  Sequence committed_sequence() const override { return committed_; }
  std::shared_ptr<const DenseSnapshot> snapshot() const override {
    return snapshot_;
  }
  absl::Status Verify() const override { return disk_->Check("dense verify"); }
  void WaitUntilSettled() const override {}

 private:
  const std::string directory_;
  const DenseIndexOptions options_;
  const std::shared_ptr<FakeDisk> disk_;
  std::map<ChunkId, std::string> chunks_;
  size_t uncommitted_ = 0;
  Sequence committed_ = 0;
  std::shared_ptr<const DenseSnapshot> snapshot_;
};

// A removed directory is an empty index, as with the real ones.
inline IndexFactories FakeFactories(std::shared_ptr<FakeDisk> disk) {
  const auto forget_if_empty = [disk](const std::string& directory) {
    const std::lock_guard<std::mutex> lock(disk->mutex);
    if (!std::filesystem::exists(directory + "/files")) {
      disk->states.erase(directory);
    }
    std::ofstream(directory + "/files") << "see FakeDisk";
  };
  return {.lexical = [disk, forget_if_empty](const std::string& directory,
                                             const std::string& language)
              -> absl::StatusOr<std::unique_ptr<LexicalIndex>> {
            if (language == "xx") {
              return absl::InvalidArgumentError("no stemmer for xx");
            }
            if (absl::Status status = disk->Check("open"); !status.ok()) {
              return status;
            }
            forget_if_empty(directory);
            return std::make_unique<FakeLexicalIndex>(directory, disk);
          },
          .dense = [disk, forget_if_empty](const std::string& directory,
                                           const DenseIndexOptions& options)
              -> absl::StatusOr<std::unique_ptr<DenseIndex>> {
            forget_if_empty(directory);
            return std::make_unique<FakeDenseIndex>(directory, options, disk);
          }};
}

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_LOCAL_FAKES_H_
