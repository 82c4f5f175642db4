// The neighbour graph of a sealed segment: FAISS's HNSW over codes.
//
// Malkov and Yashunin, "Efficient and robust approximate nearest neighbor
// search using Hierarchical Navigable Small World graphs" (2016), Algorithms 1
// to 5.
#ifndef BRAID_RETRIEVAL_DENSE_GRAPH_H_
#define BRAID_RETRIEVAL_DENSE_GRAPH_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/dense/codes.h"
#include "retrieval/dense/envelope.h"
#include "retrieval/dense/mapped_file.h"

namespace faiss {
struct HNSW;
}

namespace braid::retrieval {

// Thread-safe: immutable. Nodes are rows of the codes it was built on, which
// the caller keeps and passes in again.
class Graph {
 public:
  // On the calling thread alone. CANCELLED soon after `stop` becomes true. `m`
  // links per node and level, twice as many on the lowest. 0.1-0.3 ms per node.
  static absl::StatusOr<Graph> Build(const CodeRows& codes, size_t nodes, int m,
                                     int ef_construction,
                                     const std::atomic<bool>& stop);
  // Uses the links where they lie in `file`, from `offset` to `end`, as Write
  // wrote them; checks every one of them. `file` outlives the graph. DATA_LOSS
  // if that is not a graph over `nodes` nodes.
  static absl::StatusOr<Graph> Map(const MappedFile& file, size_t offset,
                                   size_t end, size_t nodes);
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

  absl::Status Write(EnvelopeWriter& writer) const;

  // Up to `width` nodes near the query, in no order; with `keeps`, only such
  // for which it holds, though the walk leads through others as well. The cost
  // grows with `width`. Throws what FAISS throws.
  std::vector<uint32_t> Search(const CodeRows& codes, const int8_t* query,
                               size_t width,
                               const std::function<bool(size_t)>* keeps) const;

 private:
  Graph(std::unique_ptr<faiss::HNSW> hnsw, size_t nodes);

  std::unique_ptr<faiss::HNSW> hnsw_;
  size_t nodes_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_GRAPH_H_
