#include <algorithm>

#include "kernels/cuda/attention_block.cuh"

namespace braid::kernels::cuda {
namespace {

// Blocks that are wanted, whatever the length: a few for each multiprocessor.
constexpr int kWantedBlocks = 512;
constexpr int kMaxSplits = 256;

constexpr int kTile = kKvPageTokens;  // tokens that a block reads at a time
constexpr int kKeysOfWarp = kTile / kAttentionWarps;
static_assert(kKeysOfWarp == 16);

int SplitsFor(int sequences, int kv_heads) {
  const int blocks = std::max(1, sequences * kv_heads);
  return std::clamp((kWantedBlocks + blocks - 1) / blocks, 1, kMaxSplits);
}

template <class T>
struct FewParams {
  AttentionParams<T> p;
  int splits;
  int padded_dim;
  // For each (sequence, key/value head, split):
  float* sums;     // [kFewRows, padded_dim], of weights times values
  float* maxima;   // [kFewRows]: of scores
  float* weights;  // [kFewRows]: sum, relative to the maximum; 0 if empty
};

template <class T, int kDim>
inline constexpr int kStages = sizeof(T) == 2 && kDim <= 128 ? 2 : 1;

template <class T, int kDim>
struct FewShared {
  struct Stage {
    T keys[kTile * (kDim + kRowPadding<T>)];
    T values[kTile * (kDim + kRowPadding<T>)];
  };
  T queries[kFewRows * (kDim + kRowPadding<T>)];
  Stage stages[kStages<T, kDim>];
  T weights[kAttentionWarps][kFewRows * (kKeysOfWarp + kRowPadding<T>)];
  float maxima[kAttentionWarps][kFewRows];
  float totals[kFewRows];
};

// Block (split, key/value head, sequence). All warps have the same 16 rows, and
// each every fourth group of 16 tokens; in the end their sums are added up, one
// warp after another.
template <class T, int kDim>
__global__ void __launch_bounds__(kAttentionBlock)
    AttentionOfFewKernel(FewParams<T> few) {
  constexpr int kStage = kStages<T, kDim>;
  constexpr int kRow = kDim + kRowPadding<T>;
  constexpr int kWeightRow = kKeysOfWarp + kRowPadding<T>;
  using Scores = WarpTile<1, kKeysOfWarp / 8>;
  auto& shared = *DynamicShared<FewShared<T, kDim>>();
  const AttentionParams<T>& p = few.p;
  const QueryRows<T> rows{p, static_cast<int>(blockIdx.z),
                          static_cast<int>(blockIdx.y)};
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / kWarp;
  const int64_t unit =
      (static_cast<int64_t>(rows.sequence) * p.kv.kv_heads + rows.kv_head) *
          few.splits +
      blockIdx.x;
  const int64_t length = p.kv.lengths[rows.sequence];
  const int64_t past = length - p.tokens;
  const int64_t pages = (length + kTile - 1) / kTile;
  const int64_t pages_each = (pages + few.splits - 1) / few.splits;
  const int64_t first_page = blockIdx.x * pages_each;
  const int tiles = static_cast<int>(
      max(static_cast<int64_t>(0), min(pages_each, pages - first_page)));
  if (tiles == 0) {
    if (thread < kFewRows) few.weights[unit * kFewRows + thread] = 0.0f;
    return;
  }

  const auto begin = [&](int tile) {
    if (tile < tiles) {
      auto& stage = shared.stages[tile % kStage];
      BeginKeysAndValues<kTile, kDim>(p.kv, rows.sequence, rows.kv_head,
                                      (first_page + tile) * kTile, length,
                                      stage.keys, stage.values);
    }
    CommitCopies();
  };
#pragma unroll
  for (int tile = 0; tile < kStage; ++tile) begin(tile);
  LoadQueries<kFewRows, kDim>(rows, 0, shared.queries);

  int64_t last_seen[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    last_seen[r] = past + rows.TokenOf(Scores::RowOf(2 * r));
  }
  RunningSoftmax<kDim> softmax;
  for (int tile = 0; tile < tiles; ++tile) {
    const auto& stage = shared.stages[tile % kStage];
    WaitForCopies<kStage - 1>();
    __syncthreads();
    Scores scores;
    Multiply<Rows::kOfTheResult, Rows::kOfTheResult>(
        shared.queries, kRow, stage.keys + warp * kKeysOfWarp * kRow, kRow,
        kDim, &scores);
    const int64_t at = (first_page + tile) * kTile + warp * kKeysOfWarp;
#pragma unroll
    for (int j = 0; j < kKeysOfWarp / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        if (at + 8 * j + Scores::ColumnOf(e) > last_seen[e / 2]) {
          scores.acc[0][j][e] = -INFINITY;
        }
      }
    }
    softmax.TakeScores(p.scale, &scores, shared.weights[warp], kWeightRow);
    __syncwarp();
    Multiply<Rows::kOfTheResult, Rows::kOfTheSum>(
        shared.weights[warp], kWeightRow,
        stage.values + warp * kKeysOfWarp * kRow, kRow, kKeysOfWarp,
        &softmax.sum);
    __syncthreads();
    begin(tile + kStage);
  }
  softmax.FinishWeights();

  // All stages have been read, and nothing is on its way any more.
  auto* sums = reinterpret_cast<float*>(shared.stages);
  static_assert(sizeof(shared.stages) >= kFewRows * kDim * sizeof(float));
  if (thread % 4 == 0) {
    shared.maxima[warp][Scores::RowOf(0)] = softmax.maximum[0];
    shared.maxima[warp][Scores::RowOf(2)] = softmax.maximum[1];
  }
  for (int i = thread; i < kFewRows * kDim; i += kAttentionBlock) {
    sums[i] = 0.0f;
  }
  if (thread < kFewRows) shared.totals[thread] = 0.0f;
  __syncthreads();
  float shrink[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float highest = -INFINITY;
#pragma unroll
    for (int w = 0; w < kAttentionWarps; ++w) {
      highest = fmaxf(highest, shared.maxima[w][Scores::RowOf(2 * r)]);
    }
    shrink[r] = softmax.maximum[r] == -INFINITY
                    ? 0.0f
                    : expf(softmax.maximum[r] - highest);
  }
  for (int w = 0; w < kAttentionWarps; ++w) {
    if (w == warp) {
#pragma unroll
      for (int j = 0; j < kDim / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          sums[Scores::RowOf(e) * kDim + 8 * j + Scores::ColumnOf(e)] +=
              softmax.sum.acc[0][j][e] * shrink[e / 2];
        }
      }
      if (thread % 4 == 0) {
        shared.totals[Scores::RowOf(0)] += softmax.weight[0] * shrink[0];
        shared.totals[Scores::RowOf(2)] += softmax.weight[1] * shrink[1];
      }
    }
    __syncthreads();
  }
  for (int i = thread; i < kFewRows * kDim; i += kAttentionBlock) {
    few.sums[unit * kFewRows * kDim + i] = sums[i];
  }
  if (thread < kFewRows) {
    float highest = -INFINITY;
#pragma unroll
    for (int w = 0; w < kAttentionWarps; ++w) {
      highest = fmaxf(highest, shared.maxima[w][thread]);
    }
    few.maxima[unit * kFewRows + thread] = highest;
    few.weights[unit * kFewRows + thread] = shared.totals[thread];
  }
}

// Block (row, key/value head, sequence): the splits of one row, in ascending
// order.
template <class T>
__global__ void __launch_bounds__(kAttentionBlock)
    MergeKernel(FewParams<T> few) {
  __shared__ float factors[kMaxSplits];
  __shared__ float total;
  const AttentionParams<T>& p = few.p;
  const QueryRows<T> rows{p, static_cast<int>(blockIdx.z),
                          static_cast<int>(blockIdx.y)};
  const int row = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t unit =
      (static_cast<int64_t>(rows.sequence) * p.kv.kv_heads + rows.kv_head) *
      few.splits;
  if (thread < kWarp) {
    float highest = -INFINITY;
    for (int i = thread; i < few.splits; i += kWarp) {
      const int64_t at = (unit + i) * kFewRows + row;
      if (few.weights[at] > 0.0f) highest = fmaxf(highest, few.maxima[at]);
    }
    highest = WarpMax(highest);
    float sum = 0.0f;
    for (int i = thread; i < few.splits; i += kWarp) {
      const int64_t at = (unit + i) * kFewRows + row;
      const float weight = few.weights[at];
      factors[i] = weight > 0.0f ? expf(few.maxima[at] - highest) : 0.0f;
      sum += weight * factors[i];
    }
    sum = WarpSum(sum);
    if (thread == 0) total = sum;
  }
  __syncthreads();
  for (int column = thread; column < p.kv.head_dim; column += kAttentionBlock) {
    float sum = 0.0f;
#pragma unroll 4
    for (int i = 0; i < few.splits; ++i) {
      // What an empty split has not written is not read.
      if (factors[i] > 0.0f) {
        sum = fmaf(
            factors[i],
            few.sums[((unit + i) * kFewRows + row) * few.padded_dim + column],
            sum);
      }
    }
    p.out[rows.At(row, p.ldo) + column] = FromFloat<T>(sum / total);
  }
}

template <class T, int kDim>
Status LaunchFew(const FewParams<T>& few, cudaStream_t stream) {
  const AttentionParams<T>& p = few.p;
  const auto kv_heads = static_cast<unsigned>(p.kv.kv_heads);
  const auto sequences = static_cast<unsigned>(p.sequences);
  BRAID_CUDA_RETURN_IF_ERROR(
      Launch("attention of few rows", AttentionOfFewKernel<T, kDim>,
             dim3(static_cast<unsigned>(few.splits), kv_heads, sequences),
             dim3(kAttentionBlock), sizeof(FewShared<T, kDim>), stream, few));
  const int64_t rows = p.tokens * (p.heads / p.kv.kv_heads);
  return Launch("attention, merging", MergeKernel<T>,
                dim3(static_cast<unsigned>(rows), kv_heads, sequences),
                dim3(kAttentionBlock), 0, stream, few);
}

}  // namespace

size_t AttentionWorkspaceBytes(int sequences, int kv_heads, int head_dim) {
  const int64_t units =
      int64_t{SplitsFor(sequences, kv_heads)} * sequences * kv_heads;
  return static_cast<size_t>(units) * kFewRows *
         (static_cast<size_t>(PaddedHeadDim(head_dim)) + 2) * sizeof(float);
}

template <class T>
Status AttentionOfFew(const AttentionParams<T>& p, float* workspace,
                      cudaStream_t stream) {
  FewParams<T> few;
  few.p = p;
  few.splits = SplitsFor(p.sequences, p.kv.kv_heads);
  few.padded_dim = PaddedHeadDim(p.kv.head_dim);
  const int64_t rows =
      int64_t{few.splits} * p.sequences * p.kv.kv_heads * kFewRows;
  few.sums = workspace;
  few.maxima = few.sums + rows * few.padded_dim;
  few.weights = few.maxima + rows;
  switch (few.padded_dim) {
    case 64:
      return LaunchFew<T, 64>(few, stream);
    case 128:
      return LaunchFew<T, 128>(few, stream);
    default:
      return LaunchFew<T, 256>(few, stream);
  }
}

template Status AttentionOfFew(const AttentionParams<float>&, float*,
                               cudaStream_t);
template Status AttentionOfFew(const AttentionParams<bf16>&, float*,
                               cudaStream_t);

}  // namespace braid::kernels::cuda
