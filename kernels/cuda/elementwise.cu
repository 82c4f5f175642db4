#include <algorithm>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kBlock = 256;
// Enough blocks to fill any device; each then takes several pieces.
constexpr int64_t kMaxBlocks = 8192;

// body(row, first column) for every piece of kCount columns.
template <int kCount, class Body>
__device__ void ForEachPiece(int64_t rows, int64_t dim, const Body& body) {
  const int64_t pieces = dim / kCount;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlock;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
       i < rows * pieces; i += step) {
    body(i / pieces, i % pieces * kCount);
  }
}

template <class Params>
Status LaunchPieces(const char* name, void (*kernel)(Params), int64_t pieces,
                    const Params& params, cudaStream_t stream) {
  const int64_t blocks = std::min(kMaxBlocks, (pieces + kBlock - 1) / kBlock);
  return Launch(name, kernel, dim3(static_cast<unsigned>(blocks)), dim3(kBlock),
                0, stream, params);
}

template <class T, int kCount>
__global__ void __launch_bounds__(kBlock)
    ActivateKernel(ActivationParams<T> p) {
  ForEachPiece<kCount>(p.rows, p.dim, [&](int64_t row, int64_t at) {
    float x[kCount];
    LoadFloats<kCount>(p.x + row * p.ldx + at, x);
#pragma unroll
    for (int j = 0; j < kCount; ++j) x[j] = Activated(p.activation, x[j]);
    if (p.up != nullptr) {
      float up[kCount];
      LoadFloats<kCount>(p.up + row * p.ldup + at, up);
#pragma unroll
      for (int j = 0; j < kCount; ++j) x[j] *= up[j];
    }
    StoreFloats<kCount>(x, p.out + row * p.ldo + at);
  });
}

template <class T>
struct AddScaledParams {
  float scale;
  const T* x;
  int64_t ldx;
  int64_t rows;
  int64_t dim;
  T* out;
  int64_t ldo;
};

template <class T, int kCount>
__global__ void __launch_bounds__(kBlock)
    AddScaledKernel(AddScaledParams<T> p) {
  ForEachPiece<kCount>(p.rows, p.dim, [&](int64_t row, int64_t at) {
    float x[kCount];
    float sum[kCount];
    LoadFloats<kCount>(p.x + row * p.ldx + at, x);
    LoadFloats<kCount>(p.out + row * p.ldo + at, sum);
#pragma unroll
    for (int j = 0; j < kCount; ++j) sum[j] = fmaf(p.scale, x[j], sum[j]);
    StoreFloats<kCount>(sum, p.out + row * p.ldo + at);
  });
}

template <class T>
__global__ void __launch_bounds__(kBlock) SoftplusKernel(SoftplusParams<T> p) {
  ForEachPiece<1>(p.rows, p.dim, [&](int64_t row, int64_t at) {
    const float bias = p.bias == nullptr ? 0.0f : p.bias[at];
    const float x = ToFloat(p.x[row * p.ldx + at]) + bias;
    const float softplus = fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)));
    p.out[row * p.ldo + at] = fminf(fmaxf(softplus, p.low), p.high);
  });
}

template <class T>
__global__ void __launch_bounds__(kBlock) RopeKernel(RopeParams<T> p) {
  ForEachPiece<1>(p.rows, p.half, [&](int64_t row, int64_t i) {
    const float angle =
        static_cast<float>(p.positions[row]) * p.inverse_frequencies[i];
    float sine;
    float cosine;
    sincosf(angle, &sine, &cosine);
    sine *= p.magnitude;
    cosine *= p.magnitude;
    const int64_t at = p.adjacent_pairs ? 2 * i : i;
    const int64_t other = p.adjacent_pairs ? 2 * i + 1 : i + p.half;
    for (int h = 0; h < p.heads; ++h) {
      T* head = p.x + row * p.ldx + static_cast<int64_t>(h) * p.head_stride;
      const float first = ToFloat(head[at]);
      const float second = ToFloat(head[other]);
      head[at] = FromFloat<T>(first * cosine - second * sine);
      head[other] = FromFloat<T>(second * cosine + first * sine);
    }
  });
}

}  // namespace

template <class T>
Status Activate(const ActivationParams<T>& p, cudaStream_t stream) {
  BRAID_CUDA_REQUIRE(p.rows >= 0 && p.dim >= 0, "activation: negative size");
  constexpr int kCount = kPackSize<T>;
  const bool packed = CanPack(p.x, p.ldx) && CanPack(p.up, p.ldup) &&
                      CanPack(p.out, p.ldo) && p.dim % kCount == 0;
  return LaunchPieces("activation",
                      packed ? ActivateKernel<T, kCount> : ActivateKernel<T, 1>,
                      p.rows * (p.dim / (packed ? kCount : 1)), p, stream);
}

template <class T>
Status AddScaled(float scale, const T* x, int64_t ldx, int64_t rows,
                 int64_t dim, T* out, int64_t ldo, cudaStream_t stream) {
  BRAID_CUDA_REQUIRE(rows >= 0 && dim >= 0, "add scaled: negative size");
  constexpr int kCount = kPackSize<T>;
  const bool packed = CanPack(x, ldx) && CanPack(out, ldo) && dim % kCount == 0;
  const AddScaledParams<T> p{scale, x, ldx, rows, dim, out, ldo};
  return LaunchPieces(
      "add scaled", packed ? AddScaledKernel<T, kCount> : AddScaledKernel<T, 1>,
      rows * (dim / (packed ? kCount : 1)), p, stream);
}

template <class T>
Status Softplus(const SoftplusParams<T>& p, cudaStream_t stream) {
  BRAID_CUDA_REQUIRE(p.rows >= 0 && p.dim >= 0, "softplus: negative size");
  return LaunchPieces("softplus", SoftplusKernel<T>, p.rows * p.dim, p, stream);
}

template <class T>
Status ApplyRope(const RopeParams<T>& p, cudaStream_t stream) {
  BRAID_CUDA_REQUIRE(p.rows >= 0 && p.heads >= 0 && p.half >= 0,
                     "rope: negative size");
  BRAID_CUDA_REQUIRE(2 * p.half <= p.head_stride,
                     "rope: more dimensions than a head has");
  return LaunchPieces("rope", RopeKernel<T>, p.rows * p.half, p, stream);
}

template Status Activate(const ActivationParams<float>&, cudaStream_t);
template Status Activate(const ActivationParams<bf16>&, cudaStream_t);
template Status AddScaled(float, const float*, int64_t, int64_t, int64_t,
                          float*, int64_t, cudaStream_t);
template Status AddScaled(float, const bf16*, int64_t, int64_t, int64_t, bf16*,
                          int64_t, cudaStream_t);
template Status Softplus(const SoftplusParams<float>&, cudaStream_t);
template Status Softplus(const SoftplusParams<bf16>&, cudaStream_t);
template Status ApplyRope(const RopeParams<float>&, cudaStream_t);
template Status ApplyRope(const RopeParams<bf16>&, cudaStream_t);

}  // namespace braid::kernels::cuda
