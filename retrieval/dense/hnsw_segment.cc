#include "retrieval/dense/hnsw_segment.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/HNSW.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/impl/ResultHandler.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <faiss/utils/distances.h>
#include <omp.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "retrieval/dense/flat_segment.h"

namespace braid::retrieval {
namespace {

// Scoring one more row of a scan costs little, memory being read in order; a
// graph search jumps. Measured with 384 values a row, a search of width w takes
// as long as a scan of about this many times w rows: scan when that is cheaper,
// since a scan is exact.
constexpr size_t kRowsPerWidth = 48;
// How often Build looks whether it shall stop: some 0.3 s of work.
constexpr size_t kBuildSlice = 1024;

class NodeSelector : public faiss::IDSelector {
 public:
  explicit NodeSelector(std::function<bool(size_t)> keeps)
      : keeps_(std::move(keeps)) {}
  bool is_member(faiss::idx_t node) const override {
    return keeps_(static_cast<size_t>(node));
  }

 private:
  std::function<bool(size_t)> keeps_;
};

class FaissWriter : public faiss::IOWriter {
 public:
  explicit FaissWriter(EnvelopeWriter& writer) : writer_(writer) {}
  size_t operator()(const void* data, size_t size, size_t count) override {
    if (status_.ok()) status_ = writer_.Append(data, size * count);
    return status_.ok() ? count : 0;
  }
  const absl::Status& status() const { return status_; }

 private:
  EnvelopeWriter& writer_;
  absl::Status status_;
};

class FaissReader : public faiss::IOReader {
 public:
  explicit FaissReader(EnvelopeReader& reader) : reader_(reader) {}
  size_t operator()(void* data, size_t size, size_t count) override {
    if (size == 0 || count > reader_.remaining() / size) return 0;
    return reader_.Read(data, size * count).ok() ? count : 0;
  }

 private:
  EnvelopeReader& reader_;
};

// Brings rows with equal vectors together and numbers the distinct vectors, in
// the order of their first appearance: [rows], ascending.
std::vector<uint32_t> GroupEqual(size_t dimension,
                                 std::vector<SourceRow>& rows) {
  const size_t bytes = dimension * sizeof(float);
  const auto view = [bytes](const SourceRow& row) {
    return absl::string_view(reinterpret_cast<const char*>(row.vector), bytes);
  };
  absl::flat_hash_map<absl::string_view, uint32_t> numbers;
  std::vector<std::pair<uint32_t, SourceRow>> numbered;
  numbered.reserve(rows.size());
  for (const SourceRow& row : rows) {
    const auto number =
        numbers.try_emplace(view(row), static_cast<uint32_t>(numbers.size()));
    numbered.emplace_back(number.first->second, row);
  }
  std::stable_sort(
      numbered.begin(), numbered.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<uint32_t> nodes;
  nodes.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    nodes.push_back(numbered[i].first);
    rows[i] = numbered[i].second;
  }
  return nodes;
}

}  // namespace

HnswSegment::HnswSegment(size_t dimension, std::vector<ChunkId> ids,
                         std::vector<uint32_t> nodes,
                         std::unique_ptr<faiss::IndexHNSWFlat> index)
    : dimension_(dimension),
      ids_(std::move(ids)),
      nodes_(std::move(nodes)),
      index_(std::move(index)),
      vectors_(
          static_cast<const faiss::IndexFlat*>(index_->storage)->get_xb()) {
  first_rows_.reserve(static_cast<size_t>(index_->ntotal) + 1);
  for (size_t row = 0; row < nodes_.size(); ++row) {
    if (nodes_[row] == first_rows_.size()) {
      first_rows_.push_back(static_cast<uint32_t>(row));
    }
  }
  first_rows_.push_back(static_cast<uint32_t>(nodes_.size()));
}

HnswSegment::~HnswSegment() = default;

absl::StatusOr<std::shared_ptr<const HnswSegment>> HnswSegment::Build(
    size_t dimension, int m, int ef_construction, std::vector<SourceRow> rows,
    const std::atomic<bool>& stop) try {
  const std::vector<uint32_t> nodes = GroupEqual(dimension, rows);
  // Of the calling thread only: the other cores belong to searches.
  omp_set_num_threads(1);
  auto index = std::make_unique<faiss::IndexHNSWFlat>(
      static_cast<int>(dimension), m, faiss::METRIC_INNER_PRODUCT);
  index->hnsw.efConstruction = ef_construction;
  // Growing by doubling would leave up to half of the memory unused.
  const size_t node_count = nodes.empty() ? 0 : nodes.back() + 1;
  static_cast<faiss::IndexFlat*>(index->storage)
      ->codes.owned_data.reserve(node_count * dimension * sizeof(float));

  std::vector<ChunkId> ids;
  ids.reserve(rows.size());
  std::vector<float> slice;
  const auto add_slice = [&] {
    index->add(static_cast<faiss::idx_t>(slice.size() / dimension),
               slice.data());
    slice.clear();
  };
  for (size_t row = 0; row < rows.size(); ++row) {
    ids.push_back(rows[row].id);
    if (row > 0 && nodes[row] == nodes[row - 1]) continue;
    slice.insert(slice.end(), rows[row].vector, rows[row].vector + dimension);
    if (slice.size() == kBuildSlice * dimension) {
      if (stop.load(std::memory_order_relaxed)) {
        return absl::CancelledError("stopped");
      }
      add_slice();
    }
  }
  add_slice();
  return std::shared_ptr<const HnswSegment>(
      new HnswSegment(dimension, std::move(ids), nodes, std::move(index)));
} catch (const std::exception& error) {
  return absl::InternalError(absl::StrCat("FAISS: ", error.what()));
}

size_t HnswSegment::CountKept(const RowFilter& filter) const {
  if (filter.allowed == nullptr) {
    return rows() - (filter.dead == nullptr ? 0 : filter.dead->count());
  }
  size_t kept = 0;
  for (size_t row = 0; row < ids_.size(); ++row) {
    kept += filter.Keeps(row, ids_[row]) ? 1 : 0;
  }
  return kept;
}

bool HnswSegment::KeepsAnyRow(size_t node, const RowFilter& filter) const {
  for (uint32_t row = first_rows_[node]; row < first_rows_[node + 1]; ++row) {
    if (filter.Keeps(row, ids_[row])) return true;
  }
  return false;
}

std::vector<int64_t> HnswSegment::SearchGraph(const float* query, size_t width,
                                              const RowFilter* filter) const {
  NodeSelector selector(
      [this, filter](size_t node) { return KeepsAnyRow(node, *filter); });
  faiss::SearchParametersHNSW parameters;
  parameters.efSearch = static_cast<int>(width);
  if (filter != nullptr) parameters.sel = &selector;

  // What IndexHNSW::search does for one query, without its update of process-
  // wide counters, which concurrent searches would race for.
  using Handler = faiss::HeapBlockResultHandler<faiss::HNSW::C>;
  std::vector<float> distances(width);
  std::vector<faiss::idx_t> found(width);
  Handler handler(1, distances.data(), found.data(), width);
  Handler::SingleResultHandler results(handler);
  // HNSW looks for small distances.
  faiss::NegativeDistanceComputer distance(
      index_->storage->get_distance_computer());
  faiss::VisitedTable visited(static_cast<int>(index_->ntotal));
  results.begin(0);
  distance.set_query(query);
  index_->hnsw.search(distance, results, visited, &parameters);
  results.end();
  std::erase_if(found, [](faiss::idx_t node) { return node < 0; });
  return found;
}

void HnswSegment::Search(const float* query, size_t ef_search,
                         const RowFilter& filter, TopK& best) const {
  const size_t kept = CountKept(filter);
  if (kept == 0) return;
  // The graph is walked through nodes that the filter drops as well: widen the
  // walk by their share, so that as many kept rows are met as without a filter.
  const size_t wanted = std::max(ef_search, 2 * std::min(best.limit(), rows()));
  const size_t width = std::min(wanted * rows() / kept, first_rows_.size() - 1);
  if (kept <= kRowsPerWidth * width) {
    SearchExactly(*this, dimension_, query, filter, best);
    return;
  }
  const std::vector<int64_t> found =
      SearchGraph(query, width, kept < rows() ? &filter : nullptr);
  if (found.size() < std::min(best.limit(), width)) {
    // The kept rows are not well connected: an answer that is short of results
    // would look complete, so scan instead.
    SearchExactly(*this, dimension_, query, filter, best);
    return;
  }
  for (const int64_t node : found) {
    // FAISS scores four nodes at a time there, which rounds differently. Scored
    // one by one, equal vectors tie whichever segment they are in.
    const float score = faiss::fvec_inner_product(
        query, vectors_ + static_cast<size_t>(node) * dimension_, dimension_);
    for (uint32_t row = first_rows_[node]; row < first_rows_[node + 1]; ++row) {
      if (filter.Keeps(row, ids_[row])) best.Push(ids_[row], score);
    }
  }
}

absl::Status HnswSegment::WriteVectors(EnvelopeWriter& writer) const {
  if (absl::Status status =
          writer.Append(nodes_.data(), nodes_.size() * sizeof(nodes_[0]));
      !status.ok()) {
    return status;
  }
  FaissWriter out(writer);
  try {
    faiss::write_index(index_.get(), &out);
  } catch (const std::exception& error) {
    if (!out.status().ok()) return out.status();
    return absl::InternalError(absl::StrCat("FAISS: ", error.what()));
  }
  return out.status();
}

absl::StatusOr<std::shared_ptr<const HnswSegment>> HnswSegment::Read(
    size_t dimension, std::vector<ChunkId> ids, EnvelopeReader& reader) {
  if (ids.size() > reader.remaining() / sizeof(uint32_t)) {
    return absl::DataLossError("too short for its rows");
  }
  std::vector<uint32_t> nodes(ids.size());
  if (absl::Status status =
          reader.Read(nodes.data(), nodes.size() * sizeof(nodes[0]));
      !status.ok()) {
    return status;
  }
  for (size_t row = 0; row < nodes.size(); ++row) {
    const uint32_t previous = row == 0 ? 0 : nodes[row - 1];
    if (nodes[row] != previous && (row == 0 || nodes[row] != previous + 1)) {
      return absl::DataLossError("nodes out of order");
    }
  }
  const size_t node_count = nodes.empty() ? 0 : size_t{nodes.back()} + 1;
  FaissReader in(reader);
  try {
    std::unique_ptr<faiss::Index> read(faiss::read_index(&in));
    auto* hnsw = dynamic_cast<faiss::IndexHNSWFlat*>(read.get());
    if (hnsw == nullptr || hnsw->d != static_cast<int>(dimension) ||
        hnsw->ntotal != static_cast<faiss::idx_t>(node_count) ||
        hnsw->metric_type != faiss::METRIC_INNER_PRODUCT ||
        hnsw->hnsw.levels.size() != node_count) {
      return absl::DataLossError("not the HNSW graph of this segment");
    }
    const auto* storage = dynamic_cast<faiss::IndexFlat*>(hnsw->storage);
    if (storage == nullptr ||
        storage->codes.size() != node_count * dimension * sizeof(float)) {
      return absl::DataLossError("not the vectors of this segment");
    }
    read.release();
    return std::shared_ptr<const HnswSegment>(
        new HnswSegment(dimension, std::move(ids), std::move(nodes),
                        std::unique_ptr<faiss::IndexHNSWFlat>(hnsw)));
  } catch (const std::exception& error) {
    return absl::DataLossError(absl::StrCat("FAISS: ", error.what()));
  }
}

}  // namespace braid::retrieval
