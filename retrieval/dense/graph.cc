#include "retrieval/dense/graph.h"

#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/HNSW.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/impl/ResultHandler.h>
#include <omp.h>

#include <algorithm>
#include <exception>
#include <numeric>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

// How often Build looks whether it shall stop: some 0.1 s of work.
constexpr size_t kBuildSlice = 512;

struct GraphHeader {
  uint64_t nodes = 0;
  uint64_t links = 0;
  int32_t m = 0;
  int32_t entry_point = 0;
  int32_t max_level = 0;
  uint32_t reserved = 0;
};
static_assert(sizeof(GraphHeader) == 32);

// FAISS looks for small distances: the negative inner product of codes.
class CodeDistance : public faiss::DistanceComputer {
 public:
  explicit CodeDistance(const CodeRows& rows) : rows_(rows) {}

  void SetCode(const int8_t* code) { code_ = code; }
  // The query's own scale would change no order.
  void set_query(const float* /*x*/) override {}
  float operator()(faiss::idx_t i) override {
    return -ScoreCode(rows_, code_, 1.0f, static_cast<size_t>(i));
  }
  void distances_batch_4(const faiss::idx_t i0, const faiss::idx_t i1,
                         const faiss::idx_t i2, const faiss::idx_t i3,
                         float& d0, float& d1, float& d2, float& d3) override {
    const uint32_t at[4] = {
        static_cast<uint32_t>(i0), static_cast<uint32_t>(i1),
        static_cast<uint32_t>(i2), static_cast<uint32_t>(i3)};
    for (const uint32_t row : at) Prefetch(rows_.code(row), rows_.code_bytes);
    float scores[4];
    ScoreCodes4(rows_, code_, at, scores);
    float* const out[4] = {&d0, &d1, &d2, &d3};
    for (size_t j = 0; j < 4; ++j) *out[j] = -scores[j];
  }
  float symmetric_dis(faiss::idx_t i, faiss::idx_t j) override {
    const auto a = static_cast<size_t>(i);
    return -ScoreCode(rows_, rows_.code(a), rows_.scales[a],
                      static_cast<size_t>(j));
  }

 private:
  const CodeRows rows_;
  const int8_t* code_ = nullptr;
};

class NodeSelector : public faiss::IDSelector {
 public:
  explicit NodeSelector(const std::function<bool(size_t)>& keeps)
      : keeps_(keeps) {}
  bool is_member(faiss::idx_t node) const override {
    return keeps_(static_cast<size_t>(node));
  }

 private:
  const std::function<bool(size_t)>& keeps_;
};

class Locks {
 public:
  explicit Locks(size_t count) : locks(count) {
    for (omp_lock_t& lock : locks) omp_init_lock(&lock);
  }
  ~Locks() {
    for (omp_lock_t& lock : locks) omp_destroy_lock(&lock);
  }
  Locks(const Locks&) = delete;
  Locks& operator=(const Locks&) = delete;
  std::vector<omp_lock_t> locks;
};

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("graph: ", what));
}

}  // namespace

Graph::Graph(std::unique_ptr<faiss::HNSW> hnsw, size_t nodes)
    : hnsw_(std::move(hnsw)), nodes_(nodes) {}
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

absl::StatusOr<Graph> Graph::Build(const CodeRows& codes, size_t nodes, int m,
                                   int ef_construction,
                                   const std::atomic<bool>& stop) try {
  auto hnsw = std::make_unique<faiss::HNSW>(m);
  hnsw->efConstruction = ef_construction;
  // As HNSW::prepare_level_tab does, but with the links allocated once: they
  // are most of what a build needs, and growing them takes up to three times
  // as much.
  hnsw->levels.reserve(nodes);
  hnsw->offsets.reserve(nodes + 1);
  for (size_t node = 0; node < nodes; ++node) {
    const int level = hnsw->random_level();
    hnsw->levels.push_back(level + 1);
    hnsw->offsets.push_back(
        hnsw->offsets.back() +
        static_cast<size_t>(hnsw->cum_nb_neighbors(level + 1)));
  }
  hnsw->neighbors = std::vector<int32_t>(hnsw->offsets.back(), -1);

  // The highest levels first, so that every node finds its upper neighbours in
  // place; within a level in random order, as documents of one kind lie
  // together and would be linked to each other only.
  std::vector<uint32_t> order(nodes);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), std::mt19937(789));
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return hnsw->levels[a] > hnsw->levels[b];
  });

  Locks locks(nodes);
  faiss::VisitedTable visited(static_cast<int>(nodes));
  CodeDistance distance(codes);
  for (size_t i = 0; i < nodes; ++i) {
    if (i % kBuildSlice == 0 && stop.load(std::memory_order_relaxed)) {
      return absl::CancelledError("stopped");
    }
    const uint32_t node = order[i];
    distance.SetCode(codes.code(node));
    hnsw->add_with_locks(distance, hnsw->levels[node] - 1,
                         static_cast<int>(node), locks.locks, visited);
  }
  return Graph(std::move(hnsw), nodes);
} catch (const std::exception& error) {
  return absl::InternalError(absl::StrCat("FAISS: ", error.what()));
}

absl::Status Graph::Write(EnvelopeWriter& writer) const {
  const GraphHeader header{
      .nodes = nodes_,
      .links = hnsw_->neighbors.size(),
      .m = hnsw_->nb_neighbors(1),
      .entry_point = hnsw_->entry_point,
      .max_level = hnsw_->max_level,
  };
  absl::Status status = writer.AppendValue(header);
  if (status.ok()) {
    status =
        writer.Append(hnsw_->levels.data(), nodes_ * sizeof(hnsw_->levels[0]));
  }
  if (status.ok()) {
    status = writer.Append(hnsw_->neighbors.data(),
                           hnsw_->neighbors.size() * sizeof(int32_t));
  }
  return status;
}

absl::StatusOr<Graph> Graph::Map(const MappedFile& file, size_t offset,
                                 size_t end, size_t nodes) try {
  if (end - offset < sizeof(GraphHeader)) return Damaged("too short");
  const GraphHeader header = *file.At<GraphHeader>(offset);
  offset += sizeof(GraphHeader);
  const uint64_t words = (end - offset) / sizeof(int32_t);
  if ((end - offset) % sizeof(int32_t) != 0 || header.nodes != nodes ||
      nodes > words || header.links != words - nodes || header.m < 2 ||
      header.m > 512 || header.entry_point < 0 ||
      static_cast<uint64_t>(header.entry_point) >= nodes) {
    return Damaged("impossible size");
  }
  auto hnsw = std::make_unique<faiss::HNSW>(header.m);
  const auto* levels = file.At<int32_t>(offset);
  const auto* links = file.At<int32_t>(offset + nodes * sizeof(int32_t));

  // FAISS follows what it reads without a look: every link must lead to a node
  // that has the level it is found on.
  const auto level_count =
      static_cast<int32_t>(hnsw->cum_nneighbor_per_level.size()) - 1;
  hnsw->levels.assign(levels, levels + nodes);
  hnsw->offsets.reserve(nodes + 1);
  for (size_t node = 0; node < nodes; ++node) {
    if (levels[node] < 1 || levels[node] > level_count) {
      return Damaged("impossible level");
    }
    hnsw->offsets.push_back(
        hnsw->offsets.back() +
        static_cast<size_t>(hnsw->cum_nb_neighbors(levels[node])));
  }
  if (hnsw->offsets.back() != header.links) return Damaged("links are missing");
  if (header.max_level != levels[header.entry_point] - 1) {
    return Damaged("impossible entry point");
  }
  const int32_t* link = links;
  for (size_t node = 0; node < nodes; ++node) {
    for (int32_t level = 0; level < levels[node]; ++level) {
      for (int i = hnsw->nb_neighbors(level); i > 0; --i, ++link) {
        if (*link == -1) continue;
        if (*link < 0 || static_cast<size_t>(*link) >= nodes ||
            levels[*link] <= level) {
          return Damaged("a link leads nowhere");
        }
      }
    }
  }
  // A view: FAISS takes it without const, and searching does not write.
  hnsw->neighbors = faiss::MaybeOwnedVector<int32_t>::create_view(
      const_cast<int32_t*>(links), header.links, nullptr);
  hnsw->entry_point = header.entry_point;
  hnsw->max_level = header.max_level;
  return Graph(std::move(hnsw), nodes);
} catch (const std::exception& error) {
  return absl::InternalError(absl::StrCat("FAISS: ", error.what()));
}

std::vector<uint32_t> Graph::Search(
    const CodeRows& codes, const int8_t* query, size_t width,
    const std::function<bool(size_t)>* keeps) const {
  faiss::SearchParametersHNSW parameters;
  parameters.efSearch = static_cast<int>(width);
  std::unique_ptr<NodeSelector> selector;
  if (keeps != nullptr) {
    selector = std::make_unique<NodeSelector>(*keeps);
    parameters.sel = selector.get();
  }
  // What IndexHNSW::search does for one query, without its update of process-
  // wide counters, which concurrent searches would race for.
  using Handler = faiss::HeapBlockResultHandler<faiss::HNSW::C>;
  std::vector<float> distances(width);
  std::vector<faiss::idx_t> found(width);
  Handler handler(1, distances.data(), found.data(), width);
  Handler::SingleResultHandler results(handler);
  CodeDistance distance(codes);
  distance.SetCode(query);
  faiss::VisitedTable visited(static_cast<int>(nodes_));
  results.begin(0);
  hnsw_->search(distance, results, visited, &parameters);
  results.end();
  std::vector<uint32_t> nodes;
  nodes.reserve(width);
  for (const faiss::idx_t node : found) {
    if (node >= 0) nodes.push_back(static_cast<uint32_t>(node));
  }
  return nodes;
}

}  // namespace braid::retrieval
