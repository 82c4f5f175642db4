#include <algorithm>

#include "kernels/cuda/decay_sums.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ssd.h"
#include "kernels/cuda/vector.cuh"
#include "kernels/cuda/warp_tile.cuh"

namespace braid::kernels::cuda {
namespace {

// Section 6 of the paper. With c[t] the sum of dt a inside a chunk up to t, L
// the last token of the chunk and S the state before it,
//
//   y[t] = sum_{s <= t} (C[t] . B[s]) exp(c[t] - c[s]) dt[s] x[s]
//          + exp(c[t]) S C[t] + d x[t]
//   S'   = exp(c[L]) S + sum_s exp(c[L] - c[s]) dt[s] x[s] B[s]^T
//
// in four kernels: the products C B^T of a chunk, which the heads of a group
// share; what a chunk adds to the state; the states before each chunk, one
// after another; the outputs. Several chunks at once, but no more than the
// second-level cache holds the states of.

constexpr int kChunk = kSsdScanChunk;
constexpr int kTile = 64;  // tokens, head dimensions or state dimensions
constexpr int kTiles = kChunk / kTile;
constexpr int kBlock = 128;  // a warp for each 16 rows of a tile
constexpr int kChunksAtOnce = 16;

using Tile = WarpTile<1, kTile / 8>;  // a warp's 16 rows

template <class T>
inline constexpr int kRow = kTile + kRowPadding<T>;  // of a tile in memory

// Chunks [0, chunks) of a call, the last of which may be short.
template <class T>
struct PassParams {
  SsdParams<T> p;
  int chunks;
  int64_t state_floats;  // of the shape
  bool packed_x;
  bool packed_b;
  bool packed_c;
  float* products;  // [chunks, groups, kChunk, kChunk], where s <= t
  float* states;    // [chunks, heads, head_dim, state_dim]
  float* decays;    // [chunks, heads]: exp(c[L])

  __device__ int TokensOf(int chunk) const {
    return static_cast<int>(
        min(static_cast<int64_t>(kChunk),
            p.tokens - static_cast<int64_t>(chunk) * kChunk));
  }
  __device__ int GroupOf(int head) const {
    return head / (p.shape.heads / p.shape.groups);
  }
};

// This warp's first row of a tile.
__device__ int WarpRow() { return static_cast<int>(threadIdx.x) / kWarp * 16; }

// dt and the running sums of dt a of a chunk's tokens of one head, for all
// threads after the barrier at its end. Tokens that are not there have dt = 0.
template <class T>
__device__ void LoadDecays(const PassParams<T>& pass, int chunk, int head,
                           float (&dt)[kChunk], DecaySums<kChunk>* sums) {
  const int tokens = pass.TokensOf(chunk);
  const double a = pass.p.a[head];
  const float* from =
      pass.p.dt + static_cast<int64_t>(chunk) * kChunk * pass.p.lddt + head;
  sums->Fill([&](int t) {
    dt[t] = t < tokens ? from[t * pass.p.lddt] : 0.0f;
    return a * dt[t];
  });
  __syncthreads();
}

// Block (pair of tiles t >= s, group, chunk).
template <class T>
__global__ void __launch_bounds__(kBlock)
    GroupProductsKernel(PassParams<T> pass) {
  __shared__ __align__(16) T c_tile[kTile * kRow<T>];
  __shared__ __align__(16) T b_tile[kTile * kRow<T>];
  const SsdParams<T>& p = pass.p;
  int t_tile = 0;
  int pair = static_cast<int>(blockIdx.x);
  while (pair > t_tile) pair -= ++t_tile;
  const int s_tile = pair;
  const int group = static_cast<int>(blockIdx.y);
  const int chunk = static_cast<int>(blockIdx.z);
  const int tokens = pass.TokensOf(chunk);
  if (t_tile * kTile >= tokens) return;
  const int64_t first = static_cast<int64_t>(chunk) * kChunk;
  const int n = p.shape.state_dim;

  Tile tile;
  for (int at = 0; at < n; at += kTile) {
    const int64_t column = static_cast<int64_t>(group) * n + at;
    LoadTile<kTile, kTile, kBlock>(
        p.c + (first + t_tile * kTile) * p.ldc + column, p.ldc,
        tokens - t_tile * kTile, n - at, pass.packed_c, c_tile, kRow<T>);
    LoadTile<kTile, kTile, kBlock>(
        p.b + (first + s_tile * kTile) * p.ldb + column, p.ldb,
        tokens - s_tile * kTile, n - at, pass.packed_b, b_tile, kRow<T>);
    __syncthreads();
    Multiply<Rows::kOfTheResult, Rows::kOfTheResult>(
        c_tile + WarpRow() * kRow<T>, kRow<T>, b_tile, kRow<T>, kTile, &tile);
    __syncthreads();
  }
  float* products =
      pass.products +
      (static_cast<int64_t>(chunk) * p.shape.groups + group) * kChunk * kChunk;
  tile.ForEach([&](int row, int column, float value) {
    const int t = t_tile * kTile + WarpRow() + row;
    products[t * kChunk + s_tile * kTile + column] = value;
  });
}

// Block (tile of head and state dimensions, head, chunk).
template <class T>
__global__ void __launch_bounds__(kBlock)
    ChunkStatesKernel(PassParams<T> pass) {
  __shared__ __align__(16) T x_tile[kTile * kRow<T>];
  __shared__ __align__(16) T b_tile[kTile * kRow<T>];
  __shared__ float dt[kChunk];
  __shared__ DecaySums<kChunk> sums;
  const SsdParams<T>& p = pass.p;
  const int dim = p.shape.head_dim;
  const int n = p.shape.state_dim;
  const int n_tiles = (n + kTile - 1) / kTile;
  const int row_at = static_cast<int>(blockIdx.x) / n_tiles * kTile;
  const int n_at = static_cast<int>(blockIdx.x) % n_tiles * kTile;
  const int head = static_cast<int>(blockIdx.y);
  const int chunk = static_cast<int>(blockIdx.z);
  const int tokens = pass.TokensOf(chunk);
  const int64_t first = static_cast<int64_t>(chunk) * kChunk;
  LoadDecays(pass, chunk, head, dt, &sums);

  Tile tile;
  for (int t = 0; t < tokens; t += kTile) {
    LoadTile<kTile, kTile, kBlock>(
        p.x + (first + t) * p.ldx + static_cast<int64_t>(head) * dim + row_at,
        p.ldx, tokens - t, dim - row_at, pass.packed_x, x_tile, kRow<T>);
    LoadTile<kTile, kTile, kBlock>(
        p.b + (first + t) * p.ldb +
            static_cast<int64_t>(pass.GroupOf(head)) * n + n_at,
        p.ldb, tokens - t, n - n_at, pass.packed_b, b_tile, kRow<T>);
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kTile;
         i += kBlock) {
      const int row = i / kTile;
      T& value = x_tile[row * kRow<T> + i % kTile];
      value = FromFloat<T>(ToFloat(value) * dt[t + row] *
                           sums.Between(t + row, kChunk - 1));
    }
    __syncthreads();
    Multiply<Rows::kOfTheSum, Rows::kOfTheSum>(x_tile + WarpRow(), kRow<T>,
                                               b_tile, kRow<T>, kTile, &tile);
    __syncthreads();
  }
  const int64_t unit = static_cast<int64_t>(chunk) * p.shape.heads + head;
  float* state = pass.states + unit * dim * n;
  tile.ForEach([&](int row, int column, float value) {
    const int r = row_at + WarpRow() + row;
    const int c = n_at + column;
    if (r < dim && c < n) state[static_cast<int64_t>(r) * n + c] = value;
  });
  if (blockIdx.x == 0 && threadIdx.x == 0)
    pass.decays[unit] = sums.Until(kChunk - 1);
}

// One thread for each number of the state: `states` become those before the
// chunks, p.state that after the last.
template <class T>
__global__ void __launch_bounds__(kBlock) PassStatesKernel(PassParams<T> pass) {
  const int64_t floats = pass.state_floats;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  if (i >= floats) return;
  const int heads = pass.p.shape.heads;
  const int64_t head = i / (floats / heads);
  float added[kChunksAtOnce];
#pragma unroll
  for (int chunk = 0; chunk < kChunksAtOnce; ++chunk) {
    if (chunk < pass.chunks) added[chunk] = pass.states[chunk * floats + i];
  }
  float state = pass.p.state[i];
#pragma unroll
  for (int chunk = 0; chunk < kChunksAtOnce; ++chunk) {
    if (chunk < pass.chunks) {
      pass.states[chunk * floats + i] = state;
      state = fmaf(pass.decays[static_cast<int64_t>(chunk) * heads + head],
                   state, added[chunk]);
    }
  }
  pass.p.state[i] = state;
}

// Block (tile of tokens and head dimensions, head, chunk).
template <class T>
__global__ void __launch_bounds__(kBlock) OutputsKernel(PassParams<T> pass) {
  __shared__ __align__(16) T left[kTile * kRow<T>];
  __shared__ __align__(16) T right[kTile * kRow<T>];
  __shared__ float dt[kChunk];
  __shared__ DecaySums<kChunk> sums;
  const SsdParams<T>& p = pass.p;
  const int dim = p.shape.head_dim;
  const int n = p.shape.state_dim;
  const int t_at = static_cast<int>(blockIdx.x) % kTiles * kTile;
  const int dim_at = static_cast<int>(blockIdx.x) / kTiles * kTile;
  const int head = static_cast<int>(blockIdx.y);
  const int chunk = static_cast<int>(blockIdx.z);
  const int group = pass.GroupOf(head);
  const int tokens = pass.TokensOf(chunk);
  if (t_at >= tokens) return;
  const int64_t first = static_cast<int64_t>(chunk) * kChunk;
  LoadDecays(pass, chunk, head, dt, &sums);

  Tile tile;
  const float* state =
      pass.states +
      (static_cast<int64_t>(chunk) * p.shape.heads + head) * dim * n;
  for (int at = 0; at < n; at += kTile) {
    LoadTile<kTile, kTile, kBlock>(
        p.c + (first + t_at) * p.ldc + static_cast<int64_t>(group) * n + at,
        p.ldc, tokens - t_at, n - at, pass.packed_c, left, kRow<T>);
    LoadTile<kTile, kTile, kBlock>(
        state + static_cast<int64_t>(dim_at) * n + at, n, dim - dim_at, n - at,
        n % 4 == 0, right, kRow<T>);
    __syncthreads();
    Multiply<Rows::kOfTheResult, Rows::kOfTheResult>(
        left + WarpRow() * kRow<T>, kRow<T>, right, kRow<T>, kTile, &tile);
    __syncthreads();
  }
  tile.ForEach([&](int row, int, float& value) {
    value *= sums.Until(t_at + WarpRow() + row);
  });

  const float* products =
      pass.products +
      (static_cast<int64_t>(chunk) * p.shape.groups + group) * kChunk * kChunk;
  for (int s_at = 0; s_at <= t_at; s_at += kTile) {
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kTile;
         i += kBlock) {
      const int t = t_at + i / kTile;
      const int s = s_at + i % kTile;
      float weight = 0.0f;
      if (s <= t && t < tokens) {
        weight = products[t * kChunk + s] * dt[s] * sums.Between(s, t);
      }
      left[i / kTile * kRow<T> + i % kTile] = FromFloat<T>(weight);
    }
    LoadTile<kTile, kTile, kBlock>(
        p.x + (first + s_at) * p.ldx + static_cast<int64_t>(head) * dim +
            dim_at,
        p.ldx, tokens - s_at, dim - dim_at, pass.packed_x, right, kRow<T>);
    __syncthreads();
    Multiply<Rows::kOfTheResult, Rows::kOfTheSum>(
        left + WarpRow() * kRow<T>, kRow<T>, right, kRow<T>, kTile, &tile);
    // The last x that is loaded, that of the tile's own tokens, is used below.
    if (s_at < t_at) __syncthreads();
  }
  const float d = p.d == nullptr ? 0.0f : p.d[head];
  tile.ForEach([&](int row, int column, float value) {
    const int t = t_at + WarpRow() + row;
    const int c = dim_at + column;
    if (t < tokens && c < dim) {
      const float x = ToFloat(right[(WarpRow() + row) * kRow<T> + column]);
      p.y[(first + t) * p.ldy + static_cast<int64_t>(head) * dim + c] =
          FromFloat<T>(fmaf(d, x, value));
    }
  });
}

template <class T>
Status Pass(const PassParams<T>& pass, cudaStream_t stream) {
  const SsdShape& s = pass.p.shape;
  const auto heads = static_cast<unsigned>(s.heads);
  const auto chunks = static_cast<unsigned>(pass.chunks);
  const unsigned dim_tiles = CeilDiv(s.head_dim, kTile);
  const unsigned n_tiles = CeilDiv(s.state_dim, kTile);
  const dim3 block(kBlock);
  BRAID_CUDA_RETURN_IF_ERROR(Launch(
      "ssd scan, products", GroupProductsKernel<T>,
      dim3(kTiles * (kTiles + 1) / 2, static_cast<unsigned>(s.groups), chunks),
      block, 0, stream, pass));
  BRAID_CUDA_RETURN_IF_ERROR(
      Launch("ssd scan, chunk states", ChunkStatesKernel<T>,
             dim3(dim_tiles * n_tiles, heads, chunks), block, 0, stream, pass));
  BRAID_CUDA_RETURN_IF_ERROR(Launch("ssd scan, states", PassStatesKernel<T>,
                                    dim3(CeilDiv(s.state_floats(), kBlock)),
                                    block, 0, stream, pass));
  return Launch("ssd scan, outputs", OutputsKernel<T>,
                dim3(kTiles * dim_tiles, heads, chunks), block, 0, stream,
                pass);
}

int64_t ProductFloats(const SsdShape& s) {
  return int64_t{kChunksAtOnce} * s.groups * kChunk * kChunk;
}

}  // namespace

size_t SsdScanWorkspaceBytes(const SsdShape& s) {
  const int64_t floats = ProductFloats(s) + kChunksAtOnce * s.state_floats() +
                         int64_t{kChunksAtOnce} * s.heads;
  return static_cast<size_t>(floats) * sizeof(float);
}

template <class T>
Status SsdScan(const SsdParams<T>& p, void* workspace, cudaStream_t stream) {
  const SsdShape& s = p.shape;
  BRAID_CUDA_REQUIRE(p.tokens >= 0, "ssd scan: tokens");
  BRAID_CUDA_REQUIRE(s.heads > 0 && s.head_dim > 0 && s.state_dim > 0,
                     "ssd scan: empty shape");
  BRAID_CUDA_REQUIRE(s.groups > 0 && s.heads % s.groups == 0,
                     "ssd scan: groups must divide heads");
  BRAID_CUDA_REQUIRE(p.slots == nullptr, "ssd scan: one sequence, no slots");
  BRAID_CUDA_REQUIRE(static_cast<const void*>(p.x) != p.y,
                     "ssd scan: not in place");
  BRAID_CUDA_REQUIRE(CanPack(static_cast<float*>(workspace), 0),
                     "ssd scan: workspace is not aligned");
  PassParams<T> pass;
  pass.p = p;
  pass.state_floats = s.state_floats();
  pass.packed_x = CanPack(p.x, p.ldx) && s.head_dim % kPackSize<T> == 0;
  pass.packed_b = CanPack(p.b, p.ldb) && s.state_dim % kPackSize<T> == 0;
  pass.packed_c = CanPack(p.c, p.ldc) && s.state_dim % kPackSize<T> == 0;
  pass.states = static_cast<float*>(workspace);
  pass.products = pass.states + kChunksAtOnce * s.state_floats();
  pass.decays = pass.products + ProductFloats(s);
  for (int64_t at = 0; at < p.tokens; at += kChunksAtOnce * kChunk) {
    const int64_t tokens =
        std::min<int64_t>(kChunksAtOnce * kChunk, p.tokens - at);
    pass.p.tokens = tokens;
    pass.p.x = p.x + at * p.ldx;
    pass.p.b = p.b + at * p.ldb;
    pass.p.c = p.c + at * p.ldc;
    pass.p.dt = p.dt + at * p.lddt;
    pass.p.y = p.y + at * p.ldy;
    pass.chunks = static_cast<int>(CeilDiv(tokens, kChunk));
    BRAID_CUDA_RETURN_IF_ERROR(Pass(pass, stream));
  }
  return Status();
}

template Status SsdScan(const SsdParams<float>&, void*, cudaStream_t);
template Status SsdScan(const SsdParams<bf16>&, void*, cudaStream_t);

}  // namespace braid::kernels::cuda
