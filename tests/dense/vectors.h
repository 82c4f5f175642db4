// Vectors to test with, and the answer by definition.
#ifndef BRAID_TESTS_DENSE_VECTORS_H_
#define BRAID_TESTS_DENSE_VECTORS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "retrieval/dense/dense_index.h"

namespace braid::retrieval {

// An empty directory that is removed at the end of the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Unit vectors around `clusters` random centres: like embeddings, near
// neighbours are much nearer than the rest.
class VectorSource {
 public:
  VectorSource(size_t dimension, size_t clusters, uint32_t seed);
  std::vector<float> Next();

 private:
  size_t dimension_;
  std::mt19937 random_;
  std::vector<std::vector<float>> centres_;
};

// What an index must contain, searched by the definition in double precision.
class Model {
 public:
  void Add(ChunkId chunk, std::vector<float> vector) {
    vectors_[chunk] = std::move(vector);
  }
  void Delete(ChunkId chunk) { vectors_.erase(chunk); }
  std::vector<ChunkId> Search(
      const std::vector<float>& query, size_t limit,
      const std::function<bool(ChunkId)>& allowed = nullptr) const;
  std::vector<ChunkId> Chunks() const;
  size_t size() const { return vectors_.size(); }
  const std::vector<float>& vector(ChunkId chunk) const {
    return vectors_.at(chunk);
  }

 private:
  std::map<ChunkId, std::vector<float>> vectors_;
};

std::vector<ChunkId> Ids(const std::vector<ScoredChunk>& results);
// Share of `expected` that is in `found`.
double Recall(const std::vector<ChunkId>& expected,
              const std::vector<ChunkId>& found);

// Adds chunks first .. first + count - 1 to both.
void Fill(DenseIndex& index, Model& model, VectorSource& source, ChunkId first,
          size_t count);

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_DENSE_VECTORS_H_
