#include "tests/dense/vectors.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

namespace braid::retrieval {

TemporaryDirectory::TemporaryDirectory() {
  std::string name = ::testing::TempDir() + "braid-dense-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) abort();
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

namespace {

void Normalize(std::vector<float>& vector) {
  double square = 0;
  for (const float value : vector) square += double{value} * value;
  for (float& value : vector) {
    value = static_cast<float>(value / std::sqrt(square));
  }
}

}  // namespace

VectorSource::VectorSource(size_t dimension, size_t clusters, uint32_t seed)
    : dimension_(dimension), random_(seed), centres_(clusters) {
  std::normal_distribution<float> normal;
  for (std::vector<float>& centre : centres_) {
    centre.resize(dimension);
    for (float& value : centre) value = normal(random_);
    Normalize(centre);
  }
}

std::vector<float> VectorSource::Next() {
  std::normal_distribution<float> normal;
  std::vector<float> vector = centres_[random_() % centres_.size()];
  const float spread = 0.7f / std::sqrt(static_cast<float>(dimension_));
  for (float& value : vector) value += spread * normal(random_);
  Normalize(vector);
  return vector;
}

std::vector<ChunkId> Model::Search(
    const std::vector<float>& query, size_t limit,
    const std::function<bool(ChunkId)>& allowed) const {
  std::vector<std::pair<double, ChunkId>> scored;
  for (const auto& [chunk, vector] : vectors_) {
    if (allowed && !allowed(chunk)) continue;
    double score = 0;
    for (size_t i = 0; i < query.size(); ++i) {
      score += double{query[i]} * vector[i];
    }
    scored.emplace_back(-score, chunk);
  }
  std::sort(scored.begin(), scored.end());
  scored.resize(std::min(limit, scored.size()));
  std::vector<ChunkId> chunks;
  for (const auto& [score, chunk] : scored) chunks.push_back(chunk);
  return chunks;
}

std::vector<ChunkId> Model::Chunks() const {
  std::vector<ChunkId> chunks;
  for (const auto& [chunk, vector] : vectors_) chunks.push_back(chunk);
  return chunks;
}

std::vector<ChunkId> Ids(const std::vector<ScoredChunk>& results) {
  std::vector<ChunkId> ids;
  for (const ScoredChunk& result : results) ids.push_back(result.chunk);
  return ids;
}

double Recall(const std::vector<ChunkId>& expected,
              const std::vector<ChunkId>& found) {
  if (expected.empty()) return 1;
  size_t hits = 0;
  for (const ChunkId chunk : expected) {
    hits += std::count(found.begin(), found.end(), chunk) > 0 ? 1 : 0;
  }
  return static_cast<double>(hits) / static_cast<double>(expected.size());
}

void Fill(DenseIndex& index, Model& model, VectorSource& source, ChunkId first,
          size_t count) {
  std::vector<ChunkId> chunks;
  std::vector<float> vectors;
  for (size_t i = 0; i < count; ++i) {
    std::vector<float> vector = source.Next();
    chunks.push_back(first + i);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
    model.Add(first + i, std::move(vector));
  }
  ASSERT_TRUE(index.Add(chunks, vectors).ok());
}

}  // namespace braid::retrieval
