#include "retrieval/dense/hnsw_segment.h"

#include <faiss/utils/distances.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

// Up to so many rows for each of the search's width are scanned, which misses
// nothing, rather than found through the graph: a walk reads fewer codes, but
// each of them where no cache expects it.
constexpr size_t kRowsPerWidth = 48;
// Under a filter a scan hands on this many times the width of a search: scores
// in f32 cost little beside it, and what a filter leaves may be alike to within
// the error of the codes.
constexpr size_t kFilteredScanWidth = 4;
// Vectors are asked for so many before they are scored.
constexpr size_t kAhead = 4;

// After the SegmentHeader.
struct HnswHeader {
  uint64_t nodes = 0;
};

// Where the parts of a segment's file begin, from the front of the file: all at
// multiples of a cache line.
struct Layout {
  static constexpr size_t kAlignment = 64;
  Layout(size_t dimension, size_t rows, size_t nodes) {
    uint64_t at =
        kEnvelopeHeaderBytes + sizeof(SegmentHeader) + sizeof(HnswHeader);
    const auto part = [&at](uint64_t bytes) {
      const uint64_t begin = (at + kAlignment - 1) / kAlignment * kAlignment;
      at = begin + bytes;
      return begin;
    };
    vectors = part(nodes * dimension * sizeof(float));
    codes = part(nodes * CodeBytes(dimension));
    scales = part(nodes * sizeof(float));
    ids = part(rows * sizeof(ChunkId));
    row_nodes = part(rows * sizeof(uint32_t));
    first_rows = part((nodes + 1) * sizeof(uint32_t));
    graph = part(0);
  }
  uint64_t vectors, codes, scales, ids, row_nodes, first_rows, graph;
};

// Writes a segment's file up to its graph, part by part.
class Writer {
 public:
  Writer(EnvelopeWriter& out, const Layout& layout)
      : out_(out), layout_(layout) {}

  absl::Status WriteRows(size_t dimension, const std::vector<SourceRow>& rows,
                         const EqualRows& equal) {
    const size_t nodes = equal.first_rows.size() - 1;
    Put(SegmentHeader{static_cast<uint32_t>(SegmentKind::kHnsw),
                      static_cast<uint32_t>(dimension), rows.size()});
    Put(HnswHeader{nodes});
    const auto vector = [&](size_t node) {
      return rows[equal.order[equal.first_rows[node]]].vector;
    };
    PadTo(layout_.vectors);
    for (size_t node = 0; node < nodes; ++node) {
      Put(vector(node), dimension * sizeof(float));
    }
    PadTo(layout_.codes);
    std::vector<float> scales(nodes);
    std::vector<int8_t> code(CodeBytes(dimension));
    for (size_t node = 0; node < nodes; ++node) {
      scales[node] = EncodeVector(vector(node), dimension, code.data());
      Put(code.data(), code.size());
    }
    PadTo(layout_.scales);
    Put(scales.data(), nodes * sizeof(float));
    PadTo(layout_.ids);
    for (const uint32_t row : equal.order) Put(rows[row].id);
    PadTo(layout_.row_nodes);
    for (uint32_t node = 0; node < nodes; ++node) {
      for (uint32_t i = equal.first_rows[node]; i < equal.first_rows[node + 1];
           ++i) {
        Put(node);
      }
    }
    PadTo(layout_.first_rows);
    Put(equal.first_rows.data(),
        equal.first_rows.size() * sizeof(equal.first_rows[0]));
    PadTo(layout_.graph);
    return status_;
  }

 private:
  void Put(const void* data, size_t bytes) {
    if (status_.ok()) status_ = out_.Append(data, bytes);
  }
  template <typename T>
  requires(!std::is_pointer_v<T>) void Put(const T& value) {
    Put(&value, sizeof(value));
  }
  void PadTo(uint64_t offset) {
    constexpr char kZeros[Layout::kAlignment] = {};
    if (status_.ok()) Put(kZeros, offset - out_.position());
  }

  EnvelopeWriter& out_;
  const Layout& layout_;
  absl::Status status_;
};

}  // namespace

HnswSegment::HnswSegment(MappedFile file, size_t dimension, size_t rows,
                         size_t nodes)
    : file_(std::move(file)),
      dimension_(dimension),
      rows_(rows),
      node_count_(nodes) {
  const Layout layout(dimension, rows, nodes);
  vectors_ = file_.At<float>(layout.vectors);
  codes_ = {file_.At<int8_t>(layout.codes), file_.At<float>(layout.scales),
            CodeBytes(dimension)};
  ids_ = file_.At<ChunkId>(layout.ids);
  nodes_ = file_.At<uint32_t>(layout.row_nodes);
  first_rows_ = file_.At<uint32_t>(layout.first_rows);
  // A search scores a hundred of them; codes and links are met all over.
  file_.ExpectRandomAccess(layout.vectors, layout.codes - layout.vectors);
}

absl::StatusOr<HnswSegment::Built> HnswSegment::Build(
    const std::string& path, size_t dimension, const HnswOptions& options,
    const std::vector<SourceRow>& rows, const std::atomic<bool>& stop) {
  auto result = [&]() -> absl::StatusOr<Built> {
    Built built;
    EqualRows equal = GroupEqualRows(rows, dimension);
    const size_t nodes = equal.first_rows.size() - 1;
    auto writer = EnvelopeWriter::Create(path, EnvelopeKind::kSegment);
    if (!writer.ok()) return writer.status();
    const Layout layout(dimension, rows.size(), nodes);
    if (absl::Status status =
            Writer(**writer, layout).WriteRows(dimension, rows, equal);
        !status.ok()) {
      return status;
    }
    {
      // The codes are read where they were written.
      auto written = (*writer)->Map();
      if (!written.ok()) return written.status();
      const CodeRows codes{written->At<int8_t>(layout.codes),
                           written->At<float>(layout.scales),
                           CodeBytes(dimension)};
      auto graph =
          Graph::Build(codes, nodes, options.m, options.ef_construction, stop);
      if (!graph.ok()) return graph.status();
      if (absl::Status status = graph->Write(**writer); !status.ok()) {
        return status;
      }
    }
    auto seal = (*writer)->Finish();
    if (!seal.ok()) return seal.status();
    built.seal = *seal;
    auto whole = (*writer)->Map();
    if (!whole.ok()) return whole.status();
    const size_t end = whole->size() - kEnvelopeTrailerBytes;
    std::shared_ptr<HnswSegment> segment(
        new HnswSegment(*std::move(whole), dimension, rows.size(), nodes));
    auto graph = Graph::Map(segment->file_, layout.graph, end, nodes);
    if (!graph.ok()) return graph.status();
    segment->graph_ = std::make_unique<Graph>(*std::move(graph));
    built.segment = std::move(segment);
    built.order = std::move(equal.order);
    return built;
  };
  absl::StatusOr<Built> built;
  try {
    built = result();
  } catch (const std::bad_alloc&) {
    built = absl::ResourceExhaustedError(
        absl::StrCat(path, ": no memory for a new segment"));
  }
  if (!built.ok()) ::unlink(path.c_str());
  return built;
}

absl::StatusOr<std::shared_ptr<const HnswSegment>> HnswSegment::Map(
    size_t dimension, size_t rows, const EnvelopeReader& reader) {
  auto file = reader.Map();
  if (!file.ok()) return file.status();
  const size_t end = file->size() - kEnvelopeTrailerBytes;
  constexpr size_t kHeader = kEnvelopeHeaderBytes + sizeof(SegmentHeader);
  if (end < kHeader + sizeof(HnswHeader)) {
    return absl::DataLossError("too short");
  }
  const size_t nodes = file->At<HnswHeader>(kHeader)->nodes;
  if (nodes == 0 || nodes > rows) {
    return absl::DataLossError("impossible number of nodes");
  }
  const Layout layout(dimension, rows, nodes);
  if (layout.graph > end) return absl::DataLossError("too short for its rows");
  std::shared_ptr<HnswSegment> segment(
      new HnswSegment(*std::move(file), dimension, rows, nodes));
  if (absl::Status status = segment->Check(); !status.ok()) return status;
  auto graph = Graph::Map(segment->file_, layout.graph, end, nodes);
  if (!graph.ok()) return graph.status();
  segment->graph_ = std::make_unique<Graph>(*std::move(graph));
  return std::shared_ptr<const HnswSegment>(std::move(segment));
}

absl::Status HnswSegment::Check() const {
  if (first_rows_[0] != 0 || first_rows_[node_count_] != rows_) {
    return absl::DataLossError("rows without a node");
  }
  for (size_t node = 0; node < node_count_; ++node) {
    const uint32_t begin = first_rows_[node];
    const uint32_t end = first_rows_[node + 1];
    if (begin >= end || end > rows_) {
      return absl::DataLossError("nodes out of order");
    }
    for (uint32_t row = begin; row < end; ++row) {
      if (nodes_[row] != node) return absl::DataLossError("nodes out of order");
    }
  }
  return absl::OkStatus();
}

size_t HnswSegment::CountKept(const RowFilter& filter) const {
  if (filter.allowed == nullptr) {
    return rows_ - (filter.dead == nullptr ? 0 : filter.dead->count());
  }
  size_t kept = 0;
  for (size_t row = 0; row < rows_; ++row) {
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

std::vector<uint32_t> HnswSegment::ScanCodes(const int8_t* query, size_t width,
                                             const RowFilter& filter) const {
  struct Scored {
    float score;
    uint32_t node;
  };
  // The worst on top; of equal scores the later node.
  const auto better = [](const Scored& a, const Scored& b) {
    return a.score != b.score ? a.score > b.score : a.node < b.node;
  };
  std::vector<Scored> heap;
  heap.reserve(width);
  const auto offer = [&](const Scored& scored) {
    if (heap.size() == width) {
      if (!better(scored, heap.front())) return;
      std::pop_heap(heap.begin(), heap.end(), better);
      heap.pop_back();
    }
    heap.push_back(scored);
    std::push_heap(heap.begin(), heap.end(), better);
  };
  constexpr size_t kTogether = 4;
  uint32_t nodes[kTogether];
  float scores[kTogether];
  size_t pending = 0;
  for (uint32_t node = 0; node < node_count_; ++node) {
    if (!KeepsAnyRow(node, filter)) continue;
    nodes[pending++] = node;
    if (pending < kTogether) continue;
    ScoreCodes4(codes_, query, nodes, scores);
    for (size_t i = 0; i < kTogether; ++i) offer({scores[i], nodes[i]});
    pending = 0;
  }
  for (size_t i = 0; i < pending; ++i) {
    offer({ScoreCode(codes_, query, 1.0f, nodes[i]), nodes[i]});
  }
  std::vector<uint32_t> found;
  found.reserve(heap.size());
  for (const Scored& scored : heap) found.push_back(scored.node);
  return found;
}

void HnswSegment::Search(const float* query, size_t ef_search,
                         const RowFilter& filter, TopK& best) const {
  const size_t kept = CountKept(filter);
  if (kept == 0) return;
  std::vector<int8_t> code(CodeBytes(dimension_));
  EncodeVector(query, dimension_, code.data());
  // The graph is walked through nodes that the filter drops as well: widen the
  // walk by their share, so that as many kept rows are met as without a filter.
  const size_t wanted = std::max(ef_search, 2 * std::min(best.limit(), rows_));
  const size_t width = std::min(wanted * rows_ / kept, node_count_);
  std::vector<uint32_t> found;
  if (kept > kRowsPerWidth * width) {
    const std::function<bool(size_t)> keeps = [&](size_t node) {
      return KeepsAnyRow(node, filter);
    };
    found = graph_->Search(codes_, code.data(), width,
                           kept < rows_ ? &keeps : nullptr);
  }
  if (found.size() < std::min(best.limit(), width)) {
    // Scanning is cheaper; or the kept rows are not well connected, and an
    // answer that is short of results would look complete.
    const size_t factor = kept == rows_ ? 1 : kFilteredScanWidth;
    found =
        ScanCodes(code.data(), std::min(factor * wanted, node_count_), filter);
  }
  const auto vector_of = [this](uint32_t node) {
    return vectors_ + node * dimension_;
  };
  for (size_t i = 0; i < found.size(); ++i) {
    if (i + kAhead < found.size()) {
      Prefetch(vector_of(found[i + kAhead]), dimension_ * sizeof(float));
    }
    const uint32_t node = found[i];
    // The same function, one vector at a time, as for a flat segment: equal
    // vectors tie whichever segment they are in.
    const float score =
        faiss::fvec_inner_product(query, vector_of(node), dimension_);
    for (uint32_t row = first_rows_[node]; row < first_rows_[node + 1]; ++row) {
      if (filter.Keeps(row, ids_[row])) best.Push(ids_[row], score);
    }
  }
}

}  // namespace braid::retrieval
