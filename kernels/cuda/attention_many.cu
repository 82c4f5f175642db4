#include "kernels/cuda/attention_block.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kRows = kAttentionWarps * 16;

template <class T>
inline constexpr int kKeys = sizeof(T) == 2 ? 64 : 32;  // tokens of a tile

// Tiles in shared memory or on their way there; more than one where a block of
// sm_80 has room for it.
template <class T, int kDim>
inline constexpr int kStages = sizeof(T) == 2 && kDim <= 128 ? 2 : 1;

template <class T, int kDim>
struct ManyShared {
  struct Stage {
    T keys[kKeys<T> * (kDim + kRowPadding<T>)];
    T values[kKeys<T> * (kDim + kRowPadding<T>)];
  };
  T queries[kRows * (kDim + kRowPadding<T>)];
  Stage stages[kStages<T, kDim>];
  T weights[kRows * (kKeys<T> + kRowPadding<T>)];
};

// Block (64 rows, key/value head, sequence); a warp has 16 of the rows.
template <class T, int kDim>
__global__ void __launch_bounds__(kAttentionBlock)
    AttentionOfManyKernel(AttentionParams<T> p) {
  constexpr int kStage = kStages<T, kDim>;
  constexpr int kTile = kKeys<T>;
  constexpr int kRow = kDim + kRowPadding<T>;
  constexpr int kWeightRow = kTile + kRowPadding<T>;
  using Scores = WarpTile<1, kTile / 8>;
  auto& shared = *DynamicShared<ManyShared<T, kDim>>();
  const QueryRows<T> rows{p, static_cast<int>(blockIdx.z),
                          static_cast<int>(blockIdx.y)};
  // The last rows first: they see most.
  const int64_t first =
      static_cast<int64_t>(gridDim.x - 1 - blockIdx.x) * kRows;
  const int warp_row = static_cast<int>(threadIdx.x) / kWarp * 16;
  const int64_t length = p.kv.lengths[rows.sequence];
  const int64_t past = length - p.tokens;
  // What the block's last row sees.
  const int64_t seen =
      past + rows.TokenOf(min(first + kRows, rows.Count()) - 1) + 1;
  const int tiles = static_cast<int>((seen + kTile - 1) / kTile);

  const auto begin = [&](int tile) {
    if (tile < tiles) {
      auto& stage = shared.stages[tile % kStage];
      BeginKeysAndValues<kTile, kDim>(p.kv, rows.sequence, rows.kv_head,
                                      static_cast<int64_t>(tile) * kTile,
                                      length, stage.keys, stage.values);
    }
    CommitCopies();
  };
#pragma unroll
  for (int tile = 0; tile < kStage; ++tile) begin(tile);
  LoadQueries<kRows, kDim>(rows, first, shared.queries);

  int64_t last_seen[2];  // by this thread's rows
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    last_seen[r] = past + rows.TokenOf(first + warp_row + Scores::RowOf(2 * r));
  }
  RunningSoftmax<kDim> softmax;
  T* weights = shared.weights + warp_row * kWeightRow;
  for (int tile = 0; tile < tiles; ++tile) {
    const auto& stage = shared.stages[tile % kStage];
    WaitForCopies<kStage - 1>();
    __syncthreads();
    Scores scores;
    Multiply<Rows::kOfTheResult, Rows::kOfTheResult>(
        shared.queries + warp_row * kRow, kRow, stage.keys, kRow, kDim,
        &scores);
    const int64_t at = static_cast<int64_t>(tile) * kTile;
#pragma unroll
    for (int j = 0; j < kTile / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        if (at + 8 * j + Scores::ColumnOf(e) > last_seen[e / 2]) {
          scores.acc[0][j][e] = -INFINITY;
        }
      }
    }
    softmax.TakeScores(p.scale, &scores, weights, kWeightRow);
    __syncwarp();
    Multiply<Rows::kOfTheResult, Rows::kOfTheSum>(
        weights, kWeightRow, stage.values, kRow, kTile, &softmax.sum);
    __syncthreads();  // the stage has been read
    begin(tile + kStage);
  }
  softmax.FinishWeights();
#pragma unroll
  for (int j = 0; j < kDim / 8; ++j) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int64_t row = first + warp_row + Scores::RowOf(e);
      const int column = 8 * j + Scores::ColumnOf(e);
      if (row < rows.Count() && column < p.kv.head_dim) {
        p.out[rows.At(row, p.ldo) + column] =
            FromFloat<T>(softmax.sum.acc[0][j][e] / softmax.weight[e / 2]);
      }
    }
  }
}

template <class T, int kDim>
Status LaunchMany(const AttentionParams<T>& p, cudaStream_t stream) {
  const int64_t rows = p.tokens * (p.heads / p.kv.kv_heads);
  return Launch("attention of many rows", AttentionOfManyKernel<T, kDim>,
                dim3(CeilDiv(rows, kRows), static_cast<unsigned>(p.kv.kv_heads),
                     static_cast<unsigned>(p.sequences)),
                dim3(kAttentionBlock), sizeof(ManyShared<T, kDim>), stream, p);
}

}  // namespace

template <class T>
Status AttentionOfMany(const AttentionParams<T>& p, cudaStream_t stream) {
  switch (PaddedHeadDim(p.kv.head_dim)) {
    case 64:
      return LaunchMany<T, 64>(p, stream);
    case 128:
      return LaunchMany<T, 128>(p, stream);
    default:
      return LaunchMany<T, 256>(p, stream);
  }
}

template Status AttentionOfMany(const AttentionParams<float>&, cudaStream_t);
template Status AttentionOfMany(const AttentionParams<bf16>&, cudaStream_t);

}  // namespace braid::kernels::cuda
