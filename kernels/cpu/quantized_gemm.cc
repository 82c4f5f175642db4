#include "kernels/quantized_gemm.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "kernels/cpu/scratch.h"

#define BRAID_WANT_DOT_PRODUCTS
#include "kernels/cpu/quantized_rows.h"
#include "kernels/cpu/targets.h"
#include "kernels/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/quantized_gemm.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/finish-inl.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/quantized_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

// How many inputs are taken at a time. Of two panels that is 16 KB of codes,
// which stay in the level-1 cache for all rows of a task.
constexpr size_t kBlockInputs = 512;
// Panels whose sums are finished together. Even: gates come beside values.
constexpr size_t kPanelsAtOnce = 4;
// Rows of which all these panels are finished before the next ones: neighbours
// in memory, while rows may lie a page apart.
constexpr size_t kRowsFinishedAtOnce = 16;

// Rounds one row of `k` activations: see QuantizedRows.
void RoundRow(const float* x, size_t k, size_t group_size, int zero,
              const QuantizedRows& out, size_t row) {
  const DF d;
  const DI32 di;
  const hn::Rebind<int8_t, DF> d8;
  int8_t* codes = out.codes + row * out.stride;
  for (size_t g = 0; g < out.groups; ++g, codes += group_size) {
    const size_t begin = g * group_size;
    const float* from = x + begin;
    HWY_ALIGN float padded[128];
    if (k - begin < group_size) {
      std::memset(padded, 0, sizeof(padded));
      std::memcpy(padded, from, (k - begin) * sizeof(float));
      from = padded;
    }
    VF largest = hn::Zero(d);
    for (size_t i = 0; i < group_size; i += kLanes) {
      largest = hn::Max(largest, hn::Abs(hn::LoadU(d, from + i)));
    }
    const float most = hn::GetLane(hn::MaxOfLanes(d, largest));
    const float scale = most / 127.0f;
    const VF inverse = hn::Set(d, most > 0 ? 127.0f / most : 0.0f);
    VI32 total = hn::Zero(di);
    for (size_t i = 0; i < group_size; i += kLanes) {
      const VI32 code =
          hn::NearestInt(hn::Mul(hn::LoadU(d, from + i), inverse));
      total = hn::Add(total, code);
      hn::StoreU(hn::DemoteTo(d8, code), d8, codes + i);
    }
    const int32_t sum = hn::GetLane(hn::SumOfLanes(di, total));
    const size_t at = row * out.groups + g;
    out.scales[at] = scale;
    out.starts[at] = -zero * sum;
    out.sums[at] = scale * static_cast<float>(sum);
  }
}

// Sums of `rows` rows and `panels` panels of a task, in sub-blocks of the width
// of a tile.
template <bool kNibbles>
HWY_INLINE void RunTile(size_t rows, size_t panels,
                        const QuantizedTileArgs& t) {
  if (rows <= kFlatRows && panels == kFlatPanels) {
    QuantizedTileOfRows<kFlatPanels, kNibbles, kFlatRows>(rows, t);
  } else if (panels == kTilePanels) {
    QuantizedTileOfRows<kTilePanels, kNibbles, kTileRows>(rows, t);
  } else {
    QuantizedTileOfRows<1, kNibbles, kTileRows>(rows, t);
  }
}

// Rows [row, row + rows) of the product, in the columns of up to kPanelsAtOnce
// panels from `panel`. `sums` has room for rows * kPanelsAtOnce * 16, and
// `unpacked` for kBlockInputs inputs of kTilePanels panels.
void SumPanels(const QuantizedGemmParams& p, const QuantizedRows& a, size_t row,
               size_t rows, size_t panel, size_t panels, float* sums,
               uint8_t* unpacked) {
  const QuantizedWeights& b = *p.b;
  const size_t group_size = b.format().group_size;
  const bool nibbles = b.format().bits == 4;
  const size_t bytes_per_group = group_size * kColumns * b.format().bits / 8;
  const size_t tiles = (rows + kTileRows - 1) / kTileRows;
  const bool flat = rows <= kFlatRows && panels == kFlatPanels;
  const size_t width = flat ? kFlatPanels : kTilePanels;
  const size_t groups_at_once =
      tiles == 1 ? a.groups : kBlockInputs / group_size;
  for (size_t at = 0; at < panels; at += width) {
    const size_t count = HWY_MIN(width, panels - at);
    float* block_sums = sums + at * rows * kColumns;
    for (size_t g = 0; g < a.groups; g += groups_at_once) {
      QuantizedTileArgs t;
      t.lda = a.stride;
      t.ldg = a.groups;
      t.codes = b.codes(panel + at) + g * bytes_per_group;
      t.codes_stride = b.codes_stride();
      t.scales = b.scales(panel + at) + g * kColumns;
      t.zeros = b.zeros(panel + at) == nullptr
                    ? nullptr
                    : b.zeros(panel + at) + g * kColumns;
      t.scales_stride = a.groups * kColumns;
      t.groups = HWY_MIN(groups_at_once, a.groups - g);
      t.group_quads = group_size / 4;
      t.accumulate = g > 0;
      const bool unpack = nibbles && tiles > 1;
      if (unpack) {
        const size_t stride = t.groups * group_size * kColumns;
        for (size_t q = 0; q < count; ++q) {
          UnpackNibbles(t.codes + q * t.codes_stride, stride / 2,
                        unpacked + q * stride);
        }
        t.codes = unpacked;
        t.codes_stride = stride;
      }
      size_t done = 0;
      for (size_t tile = 0; tile < tiles; ++tile) {
        // Rows are dealt evenly over the tiles: seven become 4 + 3, not 6 + 1.
        const size_t height = (rows - done) / (tiles - tile);
        t.a = a.codes + (row + done) * a.stride + g * group_size;
        t.a_scales = a.scales + (row + done) * a.groups + g;
        t.starts = a.starts + (row + done) * a.groups + g;
        t.a_sums = a.sums + (row + done) * a.groups + g;
        t.sums = block_sums + done * count * kColumns;
        if (nibbles && !unpack) {
          RunTile<true>(height, count, t);
        } else {
          RunTile<false>(height, count, t);
        }
        done += height;
      }
    }
  }
}

// One task: as SumPanels, for any number of panels, with what follows the sums.
void QuantizedBlock(const QuantizedGemmParams& p, const QuantizedRows& a,
                    size_t row, size_t rows, size_t panel, size_t panels) {
  const size_t sum_floats = RoundUpToLine(rows * kPanelsAtOnce * kColumns);
  float* sums = ThreadScratch(sum_floats + kBlockInputs * kColumns *
                                               kTilePanels / sizeof(float));
  auto* unpacked = reinterpret_cast<uint8_t*>(sums + sum_floats);
  const FinishArgs args{.scale = p.row_scale,
                        .bias = p.bias,
                        .residual = p.residual,
                        .c = p.c,
                        .ldc = p.ldc,
                        .n = p.b->n()};
  for (size_t first = panel; first < panel + panels; first += kPanelsAtOnce) {
    const size_t count = HWY_MIN(kPanelsAtOnce, panel + panels - first);
    SumPanels(p, a, row, rows, first, count, sums, unpacked);
    const size_t width =
        rows <= kFlatRows && count == kFlatPanels ? kFlatPanels : kTilePanels;
    // Where the sums of a panel begin, and the distance of their rows.
    const auto sums_of = [&](size_t q) {
      return sums + (q / width * width * rows + q % width) * kColumns;
    };
    const auto stride_of = [&](size_t q) {
      return HWY_MIN(width, count - q / width * width) * kColumns;
    };
    WithActivation(p.activation, [&]<Activation kActivation>() {
      for (size_t r = 0; r < rows; r += kRowsFinishedAtOnce) {
        const size_t height = HWY_MIN(kRowsFinishedAtOnce, rows - r);
        for (size_t q = 0; q < count; q += p.gated ? 2 : 1) {
          const size_t feature = (first + q) * kColumns;
          const size_t lds = stride_of(q);
          if (p.gated) {
            FinishGatedPanel<kActivation>(args, sums_of(q) + r * lds,
                                          sums_of(q + 1) + r * lds, lds,
                                          row + r, height, feature);
          } else {
            FinishPanel<kActivation>(args, sums_of(q) + r * lds, lds, row + r,
                                     height, feature);
          }
        }
      }
    });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(RoundRow);
HWY_EXPORT(QuantizedBlock);

constexpr size_t kPanelsPerTask = 8;
// Rounded activations of a task's rows stay in the level-2 cache.
constexpr size_t kTaskActivations = size_t{512} << 10;
constexpr size_t kMinRowsPerTask = 48;
constexpr size_t kMaxRowsPerTask = 512;
// Fewer codes times rows than this are not worth waking a thread for: about 10
// microseconds.
constexpr size_t kMinTaskWork = 100'000;
// Fewer activations than this are rounded by the caller.
constexpr size_t kMinRoundingWork = 32'000;

size_t PanelCount(size_t n) {
  return (n + QuantizedWeights::kColumns - 1) / QuantizedWeights::kColumns;
}

// Memory of one call, kept by the calling thread for its next one.
class CallMemory {
 public:
  // Not of use before Reserve.
  uint8_t* Take(size_t bytes) {
    uint8_t* at = data_.get() + used_;
    used_ += RoundUp(bytes);
    return at;
  }
  void Reserve(size_t bytes) {
    used_ = 0;
    if (bytes <= size_) return;
    data_.reset(new (kAlignment) uint8_t[bytes]);
    size_ = bytes;
  }
  static size_t RoundUp(size_t bytes) { return (bytes + 63) / 64 * 64; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(uint8_t* p) const { ::operator delete[](p, kAlignment); }
  };
  std::unique_ptr<uint8_t[], Free> data_;
  size_t size_ = 0;
  size_t used_ = 0;
};

size_t RowsStride(const QuantizedWeights& b) {
  return b.groups() * b.format().group_size;
}

size_t RowsBytes(const QuantizedGemmParams& p) {
  const size_t groups = p.m * p.b->groups();
  return CallMemory::RoundUp(p.m * RowsStride(*p.b)) +
         2 * CallMemory::RoundUp(groups * sizeof(float)) +
         CallMemory::RoundUp(groups * sizeof(int32_t));
}

QuantizedRows TakeRows(const QuantizedGemmParams& p, CallMemory* memory) {
  const size_t groups = p.m * p.b->groups();
  QuantizedRows rows;
  rows.stride = RowsStride(*p.b);
  rows.groups = p.b->groups();
  rows.codes = reinterpret_cast<int8_t*>(memory->Take(p.m * rows.stride));
  rows.scales = reinterpret_cast<float*>(memory->Take(groups * sizeof(float)));
  rows.sums = reinterpret_cast<float*>(memory->Take(groups * sizeof(float)));
  rows.starts =
      reinterpret_cast<int32_t*>(memory->Take(groups * sizeof(int32_t)));
  return rows;
}

struct Task {
  size_t product;
  size_t row;
  size_t rows;
  size_t panel;
  size_t panels;
};

void AddTasks(size_t product, const QuantizedGemmParams& p, size_t threads,
              std::vector<Task>* tasks) {
  const size_t panels = PanelCount(p.b->n());
  const size_t rows_per_task =
      std::clamp(kTaskActivations / std::max<size_t>(1, p.b->k()),
                 kMinRowsPerTask, kMaxRowsPerTask);
  const size_t row_blocks = (p.m + rows_per_task - 1) / rows_per_task;
  // Enough tasks to feed the threads, of whole groups of panels.
  const size_t wanted = (threads * 4 + row_blocks - 1) / row_blocks;
  const size_t panels_per_task =
      std::clamp<size_t>(panels / wanted / 4 * 4, 4, kPanelsPerTask);
  for (size_t block = 0; block < row_blocks; ++block) {
    const size_t row = block * p.m / row_blocks;
    const size_t row_end = (block + 1) * p.m / row_blocks;
    for (size_t panel = 0; panel < panels; panel += panels_per_task) {
      tasks->push_back({product, row, row_end - row, panel,
                        std::min(panels_per_task, panels - panel)});
    }
  }
}

}  // namespace

void QuantizedGemms(std::span<const QuantizedGemmParams> products,
                    ThreadPool* pool) {
  static thread_local CallMemory memory;
  static thread_local std::vector<QuantizedRows> rows;
  static thread_local std::vector<Task> tasks;
  size_t bytes = 0;
  size_t activations = 0;
  size_t total_rows = 0;
  for (const QuantizedGemmParams& p : products) {
    bytes += RowsBytes(p);
    activations += p.m * p.b->k();
    total_rows += p.m;
  }
  memory.Reserve(bytes);
  rows.clear();
  tasks.clear();
  const size_t threads = pool == nullptr ? 1 : pool->num_threads();
  size_t work = 0;
  for (size_t i = 0; i < products.size(); ++i) {
    rows.push_back(TakeRows(products[i], &memory));
    if (products[i].m == 0) continue;
    AddTasks(i, products[i], threads, &tasks);
    work += products[i].m * products[i].b->n() * products[i].b->k();
  }
  if (tasks.empty()) return;

  // Other threads see the caller's lists through these.
  const std::vector<QuantizedRows>& all_rows = rows;
  const std::vector<Task>& all_tasks = tasks;
  const auto round = [&](size_t begin, size_t end) {
    size_t first = 0;
    for (size_t i = 0; i < products.size(); first += products[i].m, ++i) {
      const QuantizedGemmParams& p = products[i];
      const QuantizedFormat& format = p.b->format();
      for (size_t r = std::max(begin, first); r < std::min(end, first + p.m);
           ++r) {
        HWY_DYNAMIC_DISPATCH(RoundRow)
        (p.a + (p.a_rows == nullptr ? r - first : p.a_rows[r - first]) * p.lda,
         p.b->k(), format.group_size, format.zero_points ? 0 : format.zero(),
         all_rows[i], r - first);
      }
    }
  };
  const auto run = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const Task& task = all_tasks[i];
      HWY_DYNAMIC_DISPATCH(QuantizedBlock)
      (products[task.product], all_rows[task.product], task.row, task.rows,
       task.panel, task.panels);
    }
  };
  ParallelFor(activations < kMinRoundingWork ? nullptr : pool, total_rows,
              GrainOf(kMinRoundingWork, activations / total_rows), round);
  ParallelFor(pool, tasks.size(), GrainOf(kMinTaskWork, work / tasks.size()),
              run);
}

void QuantizedGemm(const QuantizedGemmParams& params, ThreadPool* pool) {
  QuantizedGemms({&params, 1}, pool);
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
