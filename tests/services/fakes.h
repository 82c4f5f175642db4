// Small stand-ins for the modules below the service.
#ifndef BRAID_TESTS_SERVICES_FAKES_H_
#define BRAID_TESTS_SERVICES_FAKES_H_

#include <cctype>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "fusion/reranker.h"
#include "generation/answer/answerer.h"
#include "generation/engine/generator.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/local/local_backend.h"

namespace braid::services {

// Gives the logits that it is told to.
class FakeReranker final : public fusion::Reranker {
 public:
  std::vector<float> logits;
  absl::Status status;
  fusion::RerankCalibration probability;
  const std::string& name() const override { return name_; }
  const fusion::RerankCalibration& calibration() const override {
    return probability;
  }
  absl::StatusOr<std::vector<float>> Score(
      absl::string_view, absl::Span<const fusion::RerankInput> inputs,
      std::chrono::steady_clock::time_point, std::stop_token) const override {
    if (!status.ok()) return status;
    std::vector<float> out = logits;
    if (out.size() > inputs.size()) out.resize(inputs.size());
    return out;
  }

 private:
  const std::string name_ = "fake";
};

// A bag of words hashed into 64 buckets: texts that share words are near.
class FakeEncoder final : public retrieval::Encoder {
 public:
  size_t dimension() const override { return 64; }
  const std::string& fingerprint() const override { return fingerprint_; }
  size_t max_tokens() const override { return 512; }

  absl::Status Embed(absl::Span<const absl::string_view> texts,
                     float* out) const override {
    for (const absl::string_view text : texts) {
      std::fill(out, out + dimension(), 0.0f);
      uint64_t hash = kSeed;
      for (size_t i = 0; i <= text.size(); ++i) {
        if (i < text.size() && std::isalnum(Byte(text[i])) != 0) {
          hash = (hash ^ std::tolower(Byte(text[i]))) * 1099511628211ull;
        } else if (hash != kSeed) {
          out[hash % dimension()] += 1.0f;
          hash = kSeed;
        }
      }
      out[0] += 0.01f;  // never the zero vector
      float square = 0;
      for (size_t d = 0; d < dimension(); ++d) square += out[d] * out[d];
      for (size_t d = 0; d < dimension(); ++d) out[d] /= std::sqrt(square);
      out += dimension();
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<uint32_t>> TokenStarts(
      absl::string_view text) const override {
    std::vector<uint32_t> starts;
    bool in_word = false;
    for (size_t i = 0; i < text.size(); ++i) {
      const bool space = std::isspace(Byte(text[i])) != 0;
      if (!space && !in_word) starts.push_back(static_cast<uint32_t>(i));
      in_word = !space;
    }
    return starts;
  }

 private:
  static constexpr uint64_t kSeed = 14695981039346656037ull;
  static int Byte(char c) { return static_cast<unsigned char>(c); }
  const std::string fingerprint_ = "fake-encoder-64";
};

// Answers as a function says.
class ScriptedAnswerer final : public generation::Answerer {
 public:
  using Script = std::function<absl::Status(const generation::AnswerRequest&,
                                            const generation::AnswerSink&,
                                            std::stop_token)>;
  explicit ScriptedAnswerer(Script script) : script_(std::move(script)) {}
  const std::string& name() const override { return name_; }
  absl::Status Answer(const generation::AnswerRequest& request,
                      const generation::AnswerSink& sink,
                      std::stop_token stop) override {
    return script_(request, sink, stop);
  }

 private:
  const std::string name_ = "scripted";
  const Script script_;
};

// Generates as a function says.
class ScriptedGenerator final : public generation::Generator {
 public:
  using Script = std::function<absl::StatusOr<generation::GenerationResult>(
      const generation::GenerationRequest&, const generation::TextSink&,
      std::stop_token)>;
  explicit ScriptedGenerator(Script script) : script_(std::move(script)) {}
  const std::string& name() const override { return name_; }
  size_t max_context_tokens() const override { return 4096; }
  absl::StatusOr<size_t> CountTokens(absl::string_view text) const override {
    return text.size();
  }
  absl::StatusOr<generation::GenerationResult> Generate(
      const generation::GenerationRequest& request,
      const generation::TextSink& sink, std::stop_token stop) override {
    return script_(request, sink, stop);
  }

 private:
  const std::string name_ = "scripted";
  const Script script_;
};

// One document whose text is cut into chunks by the test.
struct FakeDocument {
  uint64_t version = 1;
  std::string text;
};

class FakeView final : public retrieval::ReadView {
 public:
  std::map<std::string, FakeDocument> documents;
  std::map<retrieval::ChunkId, retrieval::Chunk> chunks;

  retrieval::Sequence sequence() const override { return 7; }
  // What the titles are searched for, and what is found.
  mutable std::vector<std::string> titles_searched;
  absl::StatusOr<std::vector<retrieval::ScoredChunk>> titled =
      std::vector<retrieval::ScoredChunk>();
  // What the legs say of every chunk they are asked about.
  float bm25_score = 0;
  float cosine = 0;
  absl::StatusOr<std::vector<retrieval::ScoredChunk>> SearchTitles(
      absl::string_view words, size_t limit,
      const retrieval::ChunkBitmap* /*allowed*/) const override {
    titles_searched.emplace_back(words);
    absl::StatusOr<std::vector<retrieval::ScoredChunk>> found = titled;
    if (found.ok() && found->size() > limit) found->resize(limit);
    return found;
  }
  absl::StatusOr<std::vector<retrieval::ScoredChunk>> ScoreBm25(
      absl::string_view /*text*/,
      absl::Span<const retrieval::ChunkId> ids) const override {
    return ScoreAll(ids, bm25_score);
  }
  absl::StatusOr<std::vector<retrieval::ScoredChunk>> ScoreDense(
      absl::Span<const float> /*vector*/,
      absl::Span<const retrieval::ChunkId> ids) const override {
    return ScoreAll(ids, cosine);
  }
  absl::StatusOr<std::vector<retrieval::Passage>> Fetch(
      absl::Span<const retrieval::ChunkId> ids) const override {
    std::vector<retrieval::Passage> out;
    for (const retrieval::ChunkId id : ids) {
      const auto chunk = chunks.find(id);
      if (chunk == chunks.end()) continue;
      retrieval::Passage passage;
      passage.chunk = chunk->second;
      passage.title = "Title of " + chunk->second.document_id;
      passage.text = *ReadText(chunk->second.document_id, chunk->second.version,
                               chunk->second.span.text_range);
      out.push_back(std::move(passage));
    }
    return out;
  }
  absl::StatusOr<std::string> ReadText(
      const std::string& document_id, uint64_t version,
      const retrieval::ByteRange& range) const override {
    const auto document = documents.find(document_id);
    if (document == documents.end() || document->second.version != version) {
      return absl::NotFoundError("no such document");
    }
    if (range.begin > range.end || range.end > document->second.text.size()) {
      return absl::OutOfRangeError("not inside the text");
    }
    return document->second.text.substr(range.begin, range.size());
  }
  static std::vector<retrieval::ScoredChunk> ScoreAll(
      absl::Span<const retrieval::ChunkId> ids, float score) {
    std::vector<retrieval::ScoredChunk> scored;
    for (const retrieval::ChunkId id : ids) scored.push_back({id, score});
    return scored;
  }
  // Appends `text` to the document and makes it a chunk.
  void AddChunk(retrieval::ChunkId id, const std::string& document_id,
                const std::string& text) {
    FakeDocument& document = documents[document_id];
    retrieval::Chunk chunk;
    chunk.id = id;
    chunk.document_id = document_id;
    chunk.version = document.version;
    chunk.span.text_range = {document.text.size(),
                             document.text.size() + text.size()};
    chunk.span.token_count = 10;
    for (const auto& [other, there] : chunks) {
      if (there.document_id == document_id) ++chunk.ordinal;
    }
    document.text += text;
    chunks[id] = chunk;
  }
};

// Two fixed lists of hits over one view.
class FakeBackend : public retrieval::LocalBackend {
 public:
  FakeBackend() : view(std::make_shared<FakeView>()) {
    result.bm25.ran = true;
    result.dense.ran = true;
  }
  std::shared_ptr<FakeView> view;
  retrieval::SearchResult result;
  absl::Status status;
  retrieval::Query seen;

  absl::StatusOr<retrieval::SearchResult> Search(
      const retrieval::Query& query) override {
    seen = query;
    if (!status.ok()) return status;
    retrieval::SearchResult out = result;
    out.view = view;
    return out;
  }
  absl::StatusOr<retrieval::ConsistencyReport> CheckConsistency(
      const std::string&, std::chrono::steady_clock::time_point,
      const std::stop_token&) override {
    return retrieval::ConsistencyReport();
  }
  absl::StatusOr<retrieval::IndexState> DescribeIndexes(
      const std::string&) override {
    return retrieval::IndexState{.visible_sequence = 7};
  }
  void SetIndexListener(IndexListener) override {}
  absl::Status CreateCollection(retrieval::CollectionConfig) override {
    return absl::OkStatus();
  }
  absl::Status DeleteCollection(const std::string&) override {
    return absl::OkStatus();
  }
  absl::Status WaitUntilCurrent(
      const std::string&, std::chrono::steady_clock::time_point) override {
    return absl::OkStatus();
  }
  absl::StatusOr<retrieval::DataReport> Verify(
      bool, std::chrono::steady_clock::time_point, const std::stop_token&,
      const retrieval::VerifyWatcher&) override {
    return retrieval::DataReport();
  }
  retrieval::IndexLag MeasureLag() override { return {}; }
  absl::StatusOr<std::unique_ptr<retrieval::Checkpoint>> CreateCheckpoint()
      override {
    return absl::UnimplementedError("nothing is stored");
  }
  retrieval::Store* store() override { return nullptr; }
  void Shutdown() override {}
};

}  // namespace braid::services

#endif  // BRAID_TESTS_SERVICES_FAKES_H_
