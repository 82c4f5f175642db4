#include "kernels/gemm.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "kernels/cpu/scratch.h"
#include "kernels/cpu/targets.h"
#include "kernels/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/finish-inl.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/micro_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

// How much of k is added up at a time. With the 96 rows of a task, that much of
// A (96 KB) stays in the level-2 cache, and that much of a panel of B (16 KB)
// in the level-1 cache.
constexpr size_t kBlockK = 256;

// The whole tile: `rows` rows from `row`, `panels` panels from `panel`.
void Finish(const GemmParams& p, const float* tile, size_t ldt, size_t row,
            size_t rows, size_t panel, size_t panels) {
  const FinishArgs args{.bias = p.bias,
                        .residual = p.residual,
                        .c = p.c,
                        .ldc = p.ldc,
                        .n = p.b->n()};
  WithActivation(p.activation, [&]<Activation kActivation>() {
    for (size_t q = 0; q < panels; ++q) {
      FinishPanel<kActivation>(args, tile + q * kPanel, ldt, row, rows,
                               (panel + q) * kPanel);
    }
  });
}

// One task: rows [row, row + rows) of the output, in the columns of `panels`
// panels from `panel`.
void GemmBlock(const GemmParams& p, size_t row, size_t rows, size_t panel,
               size_t panels) {
  const size_t k = p.b->k();
  const size_t panel_stride = k * kPanel;
  // Rows are dealt evenly over the tiles: seven become 4 + 3, not 6 + 1.
  const size_t tiles = (rows + kMaxRows - 1) / kMaxRows;
  const size_t tile_rows = rows / tiles;
  const size_t longer_tiles = rows % tiles;
  // A single tile has no use for a panel after its pass, so it takes several
  // at once to have enough independent additions in flight.
  const size_t panels_at_once = tiles == 1 ? 4 : kMainPanels;
  const size_t k_blocks =
      tiles == 1 ? 1 : std::max<size_t>(1, (k + kBlockK - 1) / kBlockK);
  const size_t k_step = (k + k_blocks - 1) / k_blocks;
  // Sums of all tiles while k is cut, of one tile otherwise.
  const size_t tile_floats = kMaxRows * panels_at_once * kPanel;
  const size_t groups = (panels + panels_at_once - 1) / panels_at_once;
  float* scratch =
      ThreadScratch(k_blocks == 1 ? tile_floats : tile_floats * tiles * groups);

  for (size_t block = 0; block < k_blocks; ++block) {
    const size_t k_begin = std::min(k, block * k_step);
    const size_t k_count = std::min(k_step, k - k_begin);
    for (size_t group = 0; group < groups; ++group) {
      const size_t first = panel + group * panels_at_once;
      const size_t count = std::min(panels_at_once, panel + panels - first);
      const float* b = p.b->data() + first * panel_stride + k_begin * kPanel;
      const size_t ldt = panels_at_once * kPanel;
      // Memory is slower than the arithmetic of few rows, so both have to run
      // at once: each tile fetches its share of the part of B that comes next
      // (after the last one, the panel that the next task begins with).
      const bool same_k = group + 1 < groups;
      const float* next =
          p.b->data() +
          (same_k || block + 1 == k_blocks ? first + count : panel) *
              panel_stride +
          (same_k                 ? k_begin
           : block + 1 < k_blocks ? k_begin + k_count
                                  : 0) *
              kPanel;
      size_t at = row;
      for (size_t tile = 0; tile < tiles; ++tile) {
        const size_t tile_height = tile_rows + (tile < longer_tiles ? 1 : 0);
        float* sums = k_blocks == 1
                          ? scratch
                          : scratch + (group * tiles + tile) * tile_floats;
        const Ahead ahead =
            tiles == 1 ? Ahead{.from = b, .step = 0}
                       : Ahead{.from = next + tile * k_count * kPanel / tiles,
                               .step = (kPanel + tiles - 1) / tiles};
        TileOfPanels<Layout::kRowMajor>(
            tile_height, count, p.a + at * p.lda + k_begin, p.lda, b,
            panel_stride, k_count, sums, ldt, block > 0 ? kOntoC : kOntoNothing,
            ahead);
        if (block + 1 == k_blocks) {
          Finish(p, sums, ldt, at, tile_height, first, count);
        }
        at += tile_height;
      }
    }
  }
}

const char* TargetName() { return hwy::TargetName(HWY_TARGET); }

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(GemmBlock);
HWY_EXPORT(TargetName);

constexpr std::align_val_t kAlignment{64};
constexpr size_t kPanelColumns = 16;
// A multiple of every kMaxRows.
constexpr size_t kRowsPerTask = 96;
constexpr size_t kPanelsPerTask = 8;
// Fewer multiply-adds than this are not worth waking a thread for: of one row,
// 10 microseconds of reading.
constexpr size_t kMinTaskWork = 40'000;

size_t PanelCount(size_t n) { return (n + kPanelColumns - 1) / kPanelColumns; }

}  // namespace

void PackedWeights::AlignedFree::operator()(float* p) const {
  ::operator delete[](p, kAlignment);
}

PackedWeights::PackedWeights() = default;
PackedWeights::~PackedWeights() = default;
PackedWeights::PackedWeights(PackedWeights&&) noexcept = default;
PackedWeights& PackedWeights::operator=(PackedWeights&&) noexcept = default;

PackedWeights PackedWeights::Pack(const float* weights, size_t n, size_t k) {
  PackedWeights packed;
  packed.n_ = n;
  packed.k_ = k;
  const size_t panels = PanelCount(n);
  packed.data_.reset(new (kAlignment) float[panels * k * kPanelColumns]);
  for (size_t p = 0; p < panels; ++p) {
    float* panel = packed.data_.get() + p * k * kPanelColumns;
    const size_t width = std::min(kPanelColumns, n - p * kPanelColumns);
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = 0; j < kPanelColumns; ++j) {
        panel[i * kPanelColumns + j] =
            j < width ? weights[(p * kPanelColumns + j) * k + i] : 0.0f;
      }
    }
  }
  return packed;
}

size_t PackedWeights::bytes() const {
  return PanelCount(n_) * kPanelColumns * k_ * sizeof(float);
}

void Gemm(const GemmParams& params, ThreadPool* pool) {
  const size_t panels = PanelCount(params.b->n());
  if (params.m == 0 || panels == 0) return;

  // Row blocks of even height, then enough column blocks to feed the threads.
  const size_t row_blocks = (params.m + kRowsPerTask - 1) / kRowsPerTask;
  const size_t threads = pool == nullptr ? 1 : pool->num_threads();
  const size_t wanted_column_blocks =
      (threads * 4 + row_blocks - 1) / row_blocks;
  size_t panels_per_task = std::clamp<size_t>(
      panels / std::max<size_t>(1, wanted_column_blocks), 1, kPanelsPerTask);
  // Few rows are fastest over four panels at once.
  if (panels_per_task > 4) panels_per_task = panels_per_task / 4 * 4;
  const size_t column_blocks = (panels + panels_per_task - 1) / panels_per_task;

  const auto run = [&](size_t begin, size_t end) {
    for (size_t task = begin; task < end; ++task) {
      const size_t row_block = task / column_blocks;
      const size_t row = row_block * params.m / row_blocks;
      const size_t row_end = (row_block + 1) * params.m / row_blocks;
      const size_t panel = task % column_blocks * panels_per_task;
      HWY_DYNAMIC_DISPATCH(GemmBlock)
      (params, row, row_end - row, panel,
       std::min(panels_per_task, panels - panel));
    }
  };
  const size_t tasks = row_blocks * column_blocks;
  const size_t task_work = (params.m + row_blocks - 1) / row_blocks *
                           panels_per_task * kPanelColumns * params.b->k();
  ParallelFor(pool, tasks, GrainOf(kMinTaskWork, task_work), run);
}

const char* KernelTarget() { return HWY_DYNAMIC_DISPATCH(TargetName)(); }

}  // namespace braid::kernels
#endif  // HWY_ONCE
