#include <algorithm>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/dequantize.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/quantized_gemm.h"
#include "kernels/cuda/vector.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kWarps = 8;  // that share the inputs of a block's rows
constexpr int kBlock = kWarps * kWarp;
constexpr int kRows = 16;        // of B in a matrix instruction
constexpr int kWords = 4;        // of codes that a thread loads at once
constexpr int kMaxColumns = 32;  // rows of A of one block

// The scale and zero of one group of one row; outside the matrix all weights
// are 0.
struct Group {
  float scale = 0.0f;
  float zero = 0.0f;
};

__device__ Group LoadGroup(const QuantizedMatrixView& b, int64_t groups,
                           int64_t row, int at) {
  Group group;
  group.zero = static_cast<float>(1 << (b.bits - 1));
  if (row < 0 || at >= b.k) return group;
  const int64_t i = row * groups + at / b.group_size;
  group.scale = __half2float(b.scales[i]);
  if (b.zeros != nullptr) group.zero = static_cast<float>(b.zeros[i]);
  return group;
}

// kCount inputs from `at` on, 0 behind the k-th, two in a register.
template <int kCount>
__device__ void LoadInputs(const bf16* row, int at, int k,
                           uint32_t (&inputs)[kCount / 2]) {
  static_assert(kCount % 8 == 0);
#pragma unroll
  for (int i = 0; i < kCount / 8; ++i) {
    uint4 bits = {0, 0, 0, 0};
    const int first = at + 8 * i;
    if (row != nullptr && first + 8 <= k) {
      bits = *reinterpret_cast<const uint4*>(row + first);
    } else if (row != nullptr && first < k) {
      bf16 values[8];
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        values[j] = first + j < k ? row[first + j] : FromFloat<bf16>(0.0f);
      }
      memcpy(&bits, values, sizeof(bits));
    }
    inputs[4 * i] = bits.x;
    inputs[4 * i + 1] = bits.y;
    inputs[4 * i + 2] = bits.z;
    inputs[4 * i + 3] = bits.w;
  }
}

// Block (16 kTiles rows of B, 8 kColumns rows of A). The tensor cores compute
// B A^T. The order of the inputs in a sum is free, so that each thread can take
// 16 bytes of codes that lie beside one another: 4 threads together take 64
// bytes of each of 16 rows, and every warp every eighth such piece.
template <class T, int kBits, int kTiles, int kColumns>
__global__ void __launch_bounds__(kBlock)
    QuantizedGemmKernel(QuantizedGemmParams<T> p) {
  using C = Codes<kBits>;
  constexpr int kCodes = kWords * C::kCodes;  // of a thread at once
  constexpr int kPiece = 4 * kCodes;
  constexpr int kFeatures = kRows * kTiles;
  constexpr int kInputs = 8 * kColumns;
  __shared__ float sums[kWarps][kInputs][kFeatures + 1];
  const QuantizedMatrixView& b = p.b;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4;
  const int t = lane % 4;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kFeatures;
  const int64_t first_input =
      static_cast<int64_t>(blockIdx.y) * (p.matrices == nullptr ? kInputs : 1);
  const int64_t inputs =
      p.matrices == nullptr
          ? min(static_cast<int64_t>(kInputs), p.m - first_input)
          : 1;
  const int64_t matrix = p.matrices == nullptr ? 0 : p.matrices[first_input];
  const int64_t row_base = matrix * b.n;
  const int64_t groups = (b.k + b.group_size - 1) / b.group_size;

  const uint8_t* codes[kTiles][2];
  int64_t rows[kTiles][2];
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int64_t row = first_row + i * kRows + g + 8 * e;
      rows[i][e] = row < b.n ? row_base + row : -1;
      codes[i][e] = b.codes + (row < b.n ? row_base + row : 0) * b.row_bytes;
    }
  }
  const bf16* a[kColumns];
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
    const int64_t input = g + 8 * j;
    a[j] = nullptr;
    if (input < inputs) {
      const int64_t row = first_input + input;
      a[j] = p.a + (p.a_rows == nullptr ? row : p.a_rows[row]) * p.lda;
    }
  }

  float acc[kTiles][kColumns][4] = {};
#pragma unroll 2
  for (int piece = warp * kPiece; piece < b.k; piece += kWarps * kPiece) {
    const int at = piece + t * kCodes;
    uint4 words[kTiles][2];
    Group scales[kTiles][2];
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        words[i][e] = {0, 0, 0, 0};
        const int64_t offset = at / (8 / kBits);
        if (offset + 16 <= b.row_bytes) {
          words[i][e] = *reinterpret_cast<const uint4*>(codes[i][e] + offset);
        }
        scales[i][e] = LoadGroup(b, groups, rows[i][e], at);
      }
    }
    uint32_t x[kColumns][kCodes / 2];
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
      LoadInputs<kCodes>(a[j], at, b.k, x[j]);
    }
#pragma unroll
    for (int w = 0; w < kWords; ++w) {
      uint32_t weights[kTiles][2][C::kPairs];
#pragma unroll
      for (int i = 0; i < kTiles; ++i) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const uint4& all = words[i][e];
          const uint32_t word = w == 0   ? all.x
                                : w == 1 ? all.y
                                : w == 2 ? all.z
                                         : all.w;
          C::Pairs(word, scales[i][e].scale, scales[i][e].zero, weights[i][e]);
        }
      }
#pragma unroll
      for (int j = 0; j < kColumns; ++j) {
        uint32_t pairs[C::kPairs];
        C::Inputs(x[j] + w * C::kCodes / 2, pairs);
#pragma unroll
        for (int i = 0; i < kTiles; ++i) {
#pragma unroll
          for (int s = 0; s < C::kPairs; s += 2) {
            const uint32_t left[4] = {weights[i][0][s], weights[i][1][s],
                                      weights[i][0][s + 1],
                                      weights[i][1][s + 1]};
            Mma(acc[i][j], left, pairs[s], pairs[s + 1]);
          }
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        sums[warp][8 * j + 2 * t + e % 2][kRows * i + g + e / 2 * 8] =
            acc[i][j][e];
      }
    }
  }
  __syncthreads();

  // The sum over the warps, and what comes after it.
  const auto output = [&](int input, int feature) {
    float value = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) value += sums[w][input][feature];
    const int64_t row = row_base + first_row + feature;
    if (p.row_scale != nullptr) value *= p.row_scale[row];
    if (p.bias != nullptr) value += p.bias[row];
    return value;
  };
  constexpr int kOutputs = kTiles == 2 ? kRows : kFeatures;
  for (int i = static_cast<int>(threadIdx.x); i < kOutputs * kInputs;
       i += kBlock) {
    const int input = i / kOutputs;
    const int feature = i % kOutputs;
    if (input >= inputs || first_row + feature >= b.n) continue;
    float value = Activated(p.activation, output(input, feature));
    if (kTiles == 2) value *= output(input, feature + kRows);
    const int64_t column = first_row / kTiles + feature;
    const int64_t place = (first_input + input) * p.ldc + column;
    if (p.residual != nullptr) value += ToFloat(p.residual[place]);
    p.c[place] = FromFloat<T>(value);
  }
}

template <class T, int kBits, int kTiles>
Status LaunchColumns(const QuantizedGemmParams<T>& p, cudaStream_t stream) {
  const auto launch = [&](void (*kernel)(QuantizedGemmParams<T>), int inputs) {
    return Launch("quantized gemm", kernel,
                  dim3(CeilDiv(p.b.n, kRows * kTiles), CeilDiv(p.m, inputs)),
                  dim3(kBlock), 0, stream, p);
  };
  if (p.matrices != nullptr) {
    return launch(QuantizedGemmKernel<T, kBits, kTiles, 1>, 1);
  }
  if (p.m <= 8) return launch(QuantizedGemmKernel<T, kBits, kTiles, 1>, 8);
  if (p.m <= 16) return launch(QuantizedGemmKernel<T, kBits, kTiles, 2>, 16);
  return launch(QuantizedGemmKernel<T, kBits, kTiles, 4>, kMaxColumns);
}

struct DequantizeParams {
  QuantizedMatrixView matrix;
  bf16* weights;
  int64_t ld;
};

// Block (columns, row).
__global__ void __launch_bounds__(kBlock) DequantizeKernel(DequantizeParams p) {
  const QuantizedMatrixView& b = p.matrix;
  const int64_t groups = (b.k + b.group_size - 1) / b.group_size;
  const int64_t row = blockIdx.x;
  for (int i = static_cast<int>(threadIdx.x); i < b.k; i += kBlock) {
    const uint8_t* codes = b.codes + row * b.row_bytes;
    const int code = b.bits == 8 ? codes[i] : codes[i / 2] >> (i % 2 * 4) & 0xf;
    const Group group = LoadGroup(b, groups, row, i);
    p.weights[row * p.ld + i] =
        FromFloat<bf16>(group.scale * (static_cast<float>(code) - group.zero));
  }
}

Status CheckMatrix(const QuantizedMatrixView& b) {
  BRAID_CUDA_REQUIRE(b.bits == 8 || b.bits == 4, "quantized gemm: 8 or 4 bits");
  BRAID_CUDA_REQUIRE(
      b.group_size == 32 || b.group_size == 64 || b.group_size == 128,
      "quantized gemm: groups of 32, 64 or 128");
  BRAID_CUDA_REQUIRE(b.n > 0 && b.k > 0, "quantized gemm: empty matrix");
  BRAID_CUDA_REQUIRE(CanPack(b.codes, b.row_bytes),
                     "quantized gemm: codes are not aligned to 16 bytes");
  BRAID_CUDA_REQUIRE(b.row_bytes * 8 >= int64_t{b.k} * b.bits,
                     "quantized gemm: rows of codes are too short");
  return Status();
}

}  // namespace

template <class T>
Status QuantizedGemm(const QuantizedGemmParams<T>& p, cudaStream_t stream) {
  BRAID_CUDA_RETURN_IF_ERROR(CheckMatrix(p.b));
  BRAID_CUDA_REQUIRE(p.m >= 0, "quantized gemm: rows");
  BRAID_CUDA_REQUIRE(CanPack(p.a, p.lda),
                     "quantized gemm: inputs are not aligned to 16 bytes");
  BRAID_CUDA_REQUIRE(!p.gated || p.b.n % (2 * kRows) == 0,
                     "quantized gemm: gates and values come in blocks of 16");
  if (p.b.bits == 8) {
    return p.gated ? LaunchColumns<T, 8, 2>(p, stream)
                   : LaunchColumns<T, 8, 1>(p, stream);
  }
  return p.gated ? LaunchColumns<T, 4, 2>(p, stream)
                 : LaunchColumns<T, 4, 1>(p, stream);
}

Status Dequantize(const QuantizedMatrixView& matrix, __nv_bfloat16* weights,
                  int64_t ld, cudaStream_t stream) {
  BRAID_CUDA_RETURN_IF_ERROR(CheckMatrix(matrix));
  return Launch("dequantize", DequantizeKernel,
                dim3(static_cast<unsigned>(matrix.n)), dim3(kBlock), 0, stream,
                DequantizeParams{matrix, weights, ld});
}

template Status QuantizedGemm(const QuantizedGemmParams<float>&, cudaStream_t);
template Status QuantizedGemm(const QuantizedGemmParams<bf16>&, cudaStream_t);

}  // namespace braid::kernels::cuda
