#include <algorithm>

#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/decay_sums.cuh"
#include "kernels/cuda/delta_rule.h"
#include "kernels/cuda/delta_rule_check.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/cuda/warp_tile.cuh"

namespace braid::kernels::cuda {
namespace {

// With G[i] the sum of g in a chunk up to token i, L its last token, S the
// state before it and the matrices of a chunk
//
//   A[i][j] = beta[i] exp(G[i] - G[j]) k[i] . k[j] for j < i, else 0
//   P[i][j] = exp(G[i] - G[j]) q[i] . k[j] for j <= i, else 0
//
// what the tokens write is N = (I + A)^-1 diag(beta) (V - diag(exp(G)) K S)
// (the UT transform of the paper), and
//
//   Y  = diag(exp(G)) Q S + P N
//   S' = exp(G[L]) S + (diag(exp(G[L] - G)) K)^T N
//
// One kernel prepares everything that does not need S, for many chunks at once:
// W = (I + A)^-1 diag(beta exp(G)) K and U = (I + A)^-1 diag(beta) V, P and the
// weighted keys and queries. A second one walks through the chunks with S in
// registers: N = U - W S, and so on. No exponent is above 0.

constexpr int kChunk = kDeltaScanChunk;
constexpr int kBlock = 128;  // a warp for each 16 tokens of a chunk
constexpr int kWarps = kBlock / kWarp;
constexpr int kColumns = 32;  // of values, of one block of the walk
constexpr int kPiece = 64;    // columns of a product of the preparation
constexpr int kChunksAtOnce = 32;
constexpr int kMaxKeyDim = 128;

static_assert(kChunk == kWarps * 16);

// What the preparation leaves of one chunk of one head, in values of T. kKey is
// key_dim with padding; values are padded to kColumns.
struct Layout {
  Layout(int key, int value_dim)
      : values((value_dim + kColumns - 1) / kColumns * kColumns),
        w(0),
        q(w + int64_t{kChunk} * key),
        k(q + int64_t{kChunk} * key),
        p(k + int64_t{kChunk} * key),
        u(p + int64_t{kChunk} * kChunk),
        size(u + int64_t{kChunk} * values) {}

  int values;
  int64_t w;  // W [kChunk, kKey]
  int64_t q;  // diag(exp(G)) Q [kChunk, kKey]
  int64_t k;  // diag(exp(G[L] - G)) K [kChunk, kKey]
  int64_t p;  // P [kChunk, kChunk]
  int64_t u;  // U [kChunk, values]
  int64_t size;
};

template <class T>
struct PassParams {
  DeltaRuleParams<T> p;  // one sequence
  int chunks;
  bool packed_q;
  bool packed_k;
  bool packed_v;
  Layout layout;
  T* prepared;    // [chunks, value_heads, layout.size]
  float* decays;  // [chunks, value_heads]: exp(G[L])

  __device__ int64_t UnitOf(int chunk, int head) const {
    return static_cast<int64_t>(chunk) * p.shape.value_heads + head;
  }
  __device__ int TokensOf(int chunk) const {
    return static_cast<int>(
        min(static_cast<int64_t>(kChunk),
            p.tokens - static_cast<int64_t>(chunk) * kChunk));
  }
};

__device__ int WarpRow() { return static_cast<int>(threadIdx.x) / kWarp * 16; }

template <class T, int kKey>
struct PrepareShared {
  T keys[kChunk * (kKey + kRowPadding<T>)];
  T other[kChunk * (kKey + kRowPadding<T>)];  // queries, then values
  T inverse[kChunk * (kChunk + kRowPadding<T>)];
  float a[kChunk * kChunk];
  DecaySums<kChunk> sums;
  float beta[kChunk];
};

// Column j of (I + A)^-1, times beta[j], by forward substitution; threads
// j < kChunk take part.
template <class T>
__device__ void InverseColumn(const float* a, const float* beta, T* inverse,
                              int ld) {
  const int j = static_cast<int>(threadIdx.x);
  float column[kChunk];
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    float value = i == j ? 1.0f : 0.0f;
#pragma unroll
    for (int m = 0; m < i; ++m) {
      value = fmaf(-a[i * kChunk + m], column[m], value);
    }
    column[i] = value;
    inverse[i * ld + j] = FromFloat<T>(value * beta[j]);
  }
}

// Block (chunk, value head).
template <class T, int kKey>
__global__ void __launch_bounds__(kBlock) PrepareKernel(PassParams<T> pass) {
  constexpr int kRow = kKey + kRowPadding<T>;
  constexpr int kInverseRow = kChunk + kRowPadding<T>;
  auto& shared = *DynamicShared<PrepareShared<T, kKey>>();
  const DeltaRuleParams<T>& p = pass.p;
  const DeltaRuleShape& s = p.shape;
  const int chunk = static_cast<int>(blockIdx.x);
  const int head = static_cast<int>(blockIdx.y);
  const int64_t first = static_cast<int64_t>(chunk) * kChunk;
  const int tokens = pass.TokensOf(chunk);
  const int64_t key_at =
      static_cast<int64_t>(head / (s.value_heads / s.key_heads)) * s.key_dim;
  T* prepared = pass.prepared + pass.UnitOf(chunk, head) * pass.layout.size;

  // Tokens that are not there have g = 0 and beta = 0.
  shared.sums.Fill([&](int t) {
    const bool there = t < tokens;
    shared.beta[t] = there ? p.beta[(first + t) * p.ldbeta + head] : 0.0f;
    return there ? p.g[(first + t) * p.ldg + head] : 0.0f;
  });
  LoadTile<kChunk, kKey, kBlock>(p.k + first * p.ldk + key_at, p.ldk, tokens,
                                 s.key_dim, pass.packed_k, shared.keys, kRow);
  LoadTile<kChunk, kKey, kBlock>(p.q + first * p.ldq + key_at, p.ldq, tokens,
                                 s.key_dim, pass.packed_q, shared.other, kRow);
  __syncthreads();
  if (threadIdx.x == 0) {
    pass.decays[pass.UnitOf(chunk, head)] = shared.sums.Until(kChunk - 1);
  }

  {
    WarpTile<1, kChunk / 8> products;
    Multiply<Rows::kOfTheResult, Rows::kOfTheResult>(
        shared.other + WarpRow() * kRow, kRow, shared.keys, kRow, kKey,
        &products);
    products.ForEach([&](int row, int j, float value) {
      const int i = WarpRow() + row;
      const float weight = j <= i ? shared.sums.Between(j, i) : 0.0f;
      prepared[pass.layout.p + i * kChunk + j] = FromFloat<T>(weight * value);
    });
  }
  {
    WarpTile<1, kChunk / 8> products;
    Multiply<Rows::kOfTheResult, Rows::kOfTheResult>(
        shared.keys + WarpRow() * kRow, kRow, shared.keys, kRow, kKey,
        &products);
    products.ForEach([&](int row, int j, float value) {
      const int i = WarpRow() + row;
      const float weight =
          j < i ? shared.beta[i] * shared.sums.Between(j, i) : 0.0f;
      shared.a[i * kChunk + j] = weight * value;
    });
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kChunk * kKey; i += kBlock) {
    const int t = i / kKey;
    const int at = t * kRow + i % kKey;
    const float decay = shared.sums.Until(t);
    const float key = ToFloat(shared.keys[at]);
    prepared[pass.layout.q + i] =
        FromFloat<T>(decay * ToFloat(shared.other[at]));
    prepared[pass.layout.k + i] =
        FromFloat<T>(shared.sums.Between(t, kChunk - 1) * key);
    shared.keys[at] = FromFloat<T>(decay * key);
  }
  if (threadIdx.x < kChunk) {
    InverseColumn(shared.a, shared.beta, shared.inverse, kInverseRow);
  }
  __syncthreads();

#pragma unroll
  for (int at = 0; at < kKey; at += kPiece) {
    WarpTile<1, kPiece / 8> tile;
    Multiply<Rows::kOfTheResult, Rows::kOfTheSum>(
        shared.inverse + WarpRow() * kInverseRow, kInverseRow, shared.keys + at,
        kRow, kChunk, &tile);
    tile.ForEach([&](int row, int column, float value) {
      prepared[pass.layout.w + (WarpRow() + row) * kKey + at + column] =
          FromFloat<T>(value);
    });
  }
  for (int at = 0; at < pass.layout.values; at += kPiece) {
    __syncthreads();  // `other` has been read
    LoadTile<kChunk, kPiece, kBlock>(
        p.v + first * p.ldv + static_cast<int64_t>(head) * s.value_dim + at,
        p.ldv, tokens, s.value_dim - at, pass.packed_v, shared.other, kRow);
    __syncthreads();
    WarpTile<1, kPiece / 8> tile;
    Multiply<Rows::kOfTheResult, Rows::kOfTheSum>(
        shared.inverse + WarpRow() * kInverseRow, kInverseRow, shared.other,
        kRow, kChunk, &tile);
    tile.ForEach([&](int row, int column, float value) {
      if (at + column < pass.layout.values) {
        prepared[pass.layout.u + (WarpRow() + row) * pass.layout.values + at +
                 column] = FromFloat<T>(value);
      }
    });
  }
}

template <class T, int kKey>
struct WalkStage {
  T w[kChunk * (kKey + kRowPadding<T>)];
  T q[kChunk * (kKey + kRowPadding<T>)];
  T k[kChunk * (kKey + kRowPadding<T>)];
  T p[kChunk * (kChunk + kRowPadding<T>)];
  T u[kChunk * (kColumns + kRowPadding<T>)];
};

// Chunks whose matrices are in shared memory or on their way there.
template <class T>
inline constexpr int kStages = sizeof(T) == 2 ? 2 : 1;

template <class T, int kKey>
struct WalkShared {
  WalkStage<T, kKey> stages[kStages<T>];
  T state[kKey * (kColumns + kRowPadding<T>)];
  T written[kChunk * (kColumns + kRowPadding<T>)];  // N
};

// Begins to bring [kRows, kCols], rows `ld` apart, to a tile.
template <int kRows, int kCols, class T>
__device__ void BeginTile(const T* from, int64_t ld, T* tile) {
  constexpr int kPacks = kCols / kPackSize<T>;
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kPacks; i += kBlock) {
    const int row = i / kPacks;
    const int column = i % kPacks * kPackSize<T>;
    CopyAsync(tile + row * (kCols + kRowPadding<T>)+column,
              from + row * ld + column, true);
  }
}

template <class T, int kKey>
__device__ void BeginChunk(const PassParams<T>& pass, int chunk, int head,
                           int column, WalkStage<T, kKey>* stage) {
  const T* prepared =
      pass.prepared + pass.UnitOf(chunk, head) * pass.layout.size;
  BeginTile<kChunk, kKey>(prepared + pass.layout.w, kKey, stage->w);
  BeginTile<kChunk, kKey>(prepared + pass.layout.q, kKey, stage->q);
  BeginTile<kChunk, kKey>(prepared + pass.layout.k, kKey, stage->k);
  BeginTile<kChunk, kChunk>(prepared + pass.layout.p, kChunk, stage->p);
  BeginTile<kChunk, kColumns>(prepared + pass.layout.u + column,
                              pass.layout.values, stage->u);
}

// Block (kColumns columns of values, value head).
template <class T, int kKey>
__global__ void __launch_bounds__(kBlock) WalkKernel(PassParams<T> pass) {
  constexpr int kRow = kKey + kRowPadding<T>;
  constexpr int kProductRow = kChunk + kRowPadding<T>;
  constexpr int kColumnRow = kColumns + kRowPadding<T>;
  constexpr int kOwnKeys = kKey / kWarps;  // rows of S of one warp
  auto& shared = *DynamicShared<WalkShared<T, kKey>>();
  const DeltaRuleParams<T>& p = pass.p;
  const DeltaRuleShape& s = p.shape;
  const int column_at = static_cast<int>(blockIdx.x) * kColumns;
  const int head = static_cast<int>(blockIdx.y);
  const int key_at = static_cast<int>(threadIdx.x) / kWarp * kOwnKeys;
  float* global_state =
      p.state + static_cast<int64_t>(head) * s.key_dim * s.value_dim;

#pragma unroll
  for (int stage = 0; stage < kStages<T>; ++stage) {
    if (stage < pass.chunks) {
      BeginChunk(pass, stage, head, column_at, &shared.stages[stage]);
    }
    CommitCopies();
  }
  WarpTile<kOwnKeys / 16, kColumns / 8> state;
  state.ForEach([&](int row, int column, float& value) {
    const int key = key_at + row;
    const int c = column_at + column;
    value = key < s.key_dim && c < s.value_dim
                ? global_state[static_cast<int64_t>(key) * s.value_dim + c]
                : 0.0f;
  });

  for (int chunk = 0; chunk < pass.chunks; ++chunk) {
    WalkStage<T, kKey>& stage = shared.stages[chunk % kStages<T>];
    state.ForEach([&](int row, int column, float value) {
      shared.state[(key_at + row) * kColumnRow + column] = FromFloat<T>(value);
    });
    WaitForCopies<kStages<T> - 1>();
    __syncthreads();

    WarpTile<1, kColumns / 8> read;
    Multiply<Rows::kOfTheResult, Rows::kOfTheSum>(stage.w + WarpRow() * kRow,
                                                  kRow, shared.state,
                                                  kColumnRow, kKey, &read);
    read.ForEach([&](int row, int column, float value) {
      const int at = (WarpRow() + row) * kColumnRow + column;
      shared.written[at] = FromFloat<T>(ToFloat(stage.u[at]) - value);
    });
    WarpTile<1, kColumns / 8> y;
    Multiply<Rows::kOfTheResult, Rows::kOfTheSum>(
        stage.q + WarpRow() * kRow, kRow, shared.state, kColumnRow, kKey, &y);
    __syncthreads();

    Multiply<Rows::kOfTheResult, Rows::kOfTheSum>(
        stage.p + WarpRow() * kProductRow, kProductRow, shared.written,
        kColumnRow, kChunk, &y);
    const int tokens = pass.TokensOf(chunk);
    y.ForEach([&](int row, int column, float value) {
      const int t = WarpRow() + row;
      const int c = column_at + column;
      if (t < tokens && c < s.value_dim) {
        p.y[(static_cast<int64_t>(chunk) * kChunk + t) * p.ldy +
            static_cast<int64_t>(head) * s.value_dim + c] = FromFloat<T>(value);
      }
    });
    const float decay = pass.decays[pass.UnitOf(chunk, head)];
    state.ForEach([&](int, int, float& value) { value *= decay; });
    Multiply<Rows::kOfTheSum, Rows::kOfTheSum>(
        stage.k + key_at, kRow, shared.written, kColumnRow, kChunk, &state);
    __syncthreads();  // the stage and the shared state have been read
    if (chunk + kStages<T> < pass.chunks) {
      BeginChunk(pass, chunk + kStages<T>, head, column_at, &stage);
    }
    CommitCopies();
  }
  state.ForEach([&](int row, int column, float value) {
    const int key = key_at + row;
    const int c = column_at + column;
    if (key < s.key_dim && c < s.value_dim) {
      global_state[static_cast<int64_t>(key) * s.value_dim + c] = value;
    }
  });
}

template <class T, int kKey>
Status Pass(const PassParams<T>& pass, cudaStream_t stream) {
  const DeltaRuleShape& s = pass.p.shape;
  const auto heads = static_cast<unsigned>(s.value_heads);
  BRAID_CUDA_RETURN_IF_ERROR(
      Launch("delta rule scan, preparation", PrepareKernel<T, kKey>,
             dim3(static_cast<unsigned>(pass.chunks), heads), dim3(kBlock),
             sizeof(PrepareShared<T, kKey>), stream, pass));
  return Launch(
      "delta rule scan", WalkKernel<T, kKey>,
      dim3(static_cast<unsigned>(pass.layout.values / kColumns), heads),
      dim3(kBlock), sizeof(WalkShared<T, kKey>), stream, pass);
}

int PaddedKeyDim(const DeltaRuleShape& s) { return s.key_dim <= 64 ? 64 : 128; }

bool InChunks(const DeltaRuleShape& s) {
  return !s.decay_per_key_channel && s.key_dim <= kMaxKeyDim;
}

}  // namespace

template <class T>
size_t DeltaRuleScanWorkspaceBytes(const DeltaRuleShape& s) {
  if (!InChunks(s)) return 0;
  const int64_t units = int64_t{kChunksAtOnce} * s.value_heads;
  const Layout layout(PaddedKeyDim(s), s.value_dim);
  return static_cast<size_t>(units) *
         (static_cast<size_t>(layout.size) * sizeof(T) + sizeof(float));
}

template <class T>
Status DeltaRuleScan(const DeltaRuleParams<T>& p, void* workspace,
                     cudaStream_t stream) {
  BRAID_CUDA_RETURN_IF_ERROR(CheckDeltaRule(p));
  BRAID_CUDA_REQUIRE(p.sequences == 1 && p.slots == nullptr,
                     "delta rule scan: one sequence, no slots");
  const DeltaRuleShape& s = p.shape;
  if (!InChunks(s)) return DeltaRuleStep(p, stream);
  BRAID_CUDA_REQUIRE(CanPack(static_cast<T*>(workspace), 0),
                     "delta rule scan: workspace is not aligned");
  const Layout layout(PaddedKeyDim(s), s.value_dim);
  const bool keys_pack = s.key_dim % kPackSize<T> == 0;
  PassParams<T> pass{p,
                     0,
                     keys_pack && CanPack(p.q, p.ldq),
                     keys_pack && CanPack(p.k, p.ldk),
                     s.value_dim % kPackSize<T> == 0 && CanPack(p.v, p.ldv),
                     layout,
                     static_cast<T*>(workspace),
                     nullptr};
  pass.decays = reinterpret_cast<float*>(
      pass.prepared + int64_t{kChunksAtOnce} * s.value_heads * layout.size);
  for (int64_t at = 0; at < p.tokens; at += kChunksAtOnce * kChunk) {
    const int64_t tokens =
        std::min<int64_t>(kChunksAtOnce * kChunk, p.tokens - at);
    pass.p.tokens = tokens;
    pass.p.q = p.q + at * p.ldq;
    pass.p.k = p.k + at * p.ldk;
    pass.p.v = p.v + at * p.ldv;
    pass.p.g = p.g + at * p.ldg;
    pass.p.beta = p.beta + at * p.ldbeta;
    pass.p.y = p.y + at * p.ldy;
    pass.chunks = static_cast<int>(CeilDiv(tokens, kChunk));
    BRAID_CUDA_RETURN_IF_ERROR(PaddedKeyDim(s) == 64
                                   ? (Pass<T, 64>(pass, stream))
                                   : (Pass<T, 128>(pass, stream)));
  }
  return Status();
}

template size_t DeltaRuleScanWorkspaceBytes<float>(const DeltaRuleShape&);
template size_t DeltaRuleScanWorkspaceBytes<bf16>(const DeltaRuleShape&);
template Status DeltaRuleScan(const DeltaRuleParams<float>&, void*,
                              cudaStream_t);
template Status DeltaRuleScan(const DeltaRuleParams<bf16>&, void*,
                              cudaStream_t);

}  // namespace braid::kernels::cuda
