#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/vector.cuh"

namespace braid::kernels::cuda {
namespace {

// Short rows are a warp's work, long ones a block's.
constexpr int kBlock = 256;
constexpr int kLongestOfWarp = 512;

// What a team of kTeam threads normalises: unit of rows * groups.
template <int kTeam>
__device__ int64_t UnitOfTeam() {
  const int64_t block = blockIdx.x;
  if constexpr (kTeam == kBlock) return block;
  return block * (kBlock / kTeam) + threadIdx.x / kTeam;
}

// The sum over the elements of `count` values, kCount at a time: of what
// `term(first index)` adds up.
template <int kTeam, int kCount, class Term>
__device__ float SumOver(int count, const Term& term) {
  float sum = 0.0f;
  for (int i = static_cast<int>(threadIdx.x) % kTeam * kCount; i < count;
       i += kTeam * kCount) {
    sum += term(i);
  }
  return TeamSum<kTeam>(sum);
}

template <class T, int kTeam, int kCount>
__global__ void __launch_bounds__(kBlock)
    LayerNormKernel(LayerNormParams<T> p) {
  const int64_t row = UnitOfTeam<kTeam>();
  if (row >= p.rows) return;  // all of the team
  const T* x = p.x + row * p.ldx;
  const float inverse = 1.0f / static_cast<float>(p.dim);
  const float mean = inverse * SumOver<kTeam, kCount>(p.dim, [&](int i) {
                       float values[kCount];
                       LoadFloats<kCount>(x + i, values);
                       float sum = 0.0f;
#pragma unroll
                       for (int j = 0; j < kCount; ++j) sum += values[j];
                       return sum;
                     });
  const float variance = inverse * SumOver<kTeam, kCount>(p.dim, [&](int i) {
                           float values[kCount];
                           LoadFloats<kCount>(x + i, values);
                           float sum = 0.0f;
#pragma unroll
                           for (int j = 0; j < kCount; ++j) {
                             sum += (values[j] - mean) * (values[j] - mean);
                           }
                           return sum;
                         });
  const float scale = rsqrtf(variance + p.epsilon);
  for (int i = static_cast<int>(threadIdx.x) % kTeam * kCount; i < p.dim;
       i += kTeam * kCount) {
    float values[kCount];
    LoadFloats<kCount>(x + i, values);
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      const float bias = p.bias == nullptr ? 0.0f : p.bias[i + j];
      values[j] = (values[j] - mean) * scale * p.weight[i + j] + bias;
    }
    StoreFloats<kCount>(values, p.out + row * p.ldo + i);
  }
}

// Reads a row twice, the second time from the caches.
template <class T, int kTeam, int kCount>
__global__ void __launch_bounds__(kBlock) RmsNormKernel(RmsNormParams<T> p) {
  const int64_t unit = UnitOfTeam<kTeam>();
  if (unit >= p.rows * p.groups) return;  // all of the team
  const int64_t row = unit / p.groups;
  const int group = static_cast<int>(unit % p.groups);
  const int width = p.dim / p.groups;
  const int at = group * width;
  const T* x = p.x + row * p.ldx + at;
  const T* gate = p.gate == nullptr ? nullptr : p.gate + row * p.ldg + at;
  const float* weight = p.weight + (p.weight_shared_by_groups ? 0 : at);
  const bool gate_first = p.gate_order == GateOrder::kGateFirst;

  const auto load = [&](int i, float(&values)[kCount]) {
    LoadFloats<kCount>(x + i, values);
    if (gate == nullptr || !gate_first) return;
    float gates[kCount];
    LoadFloats<kCount>(gate + i, gates);
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      values[j] *= Activated(p.gate_activation, gates[j]);
    }
  };
  const float square = SumOver<kTeam, kCount>(width, [&](int i) {
    float values[kCount];
    load(i, values);
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < kCount; ++j) sum += values[j] * values[j];
    return sum;
  });
  const float scale = rsqrtf(square / static_cast<float>(width) + p.epsilon);
  for (int i = static_cast<int>(threadIdx.x) % kTeam * kCount; i < width;
       i += kTeam * kCount) {
    float values[kCount];
    load(i, values);
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      values[j] *= scale * (weight[i + j] + p.weight_offset);
    }
    if (gate != nullptr && !gate_first) {
      float gates[kCount];
      LoadFloats<kCount>(gate + i, gates);
#pragma unroll
      for (int j = 0; j < kCount; ++j) {
        values[j] *= Activated(p.gate_activation, gates[j]);
      }
    }
    StoreFloats<kCount>(values, p.out + row * p.ldo + at + i);
  }
}

// Starts the kernel whose team fits `width`; kWarpKernel and kBlockKernel are
// one kernel for either.
template <class Params>
Status LaunchTeams(const char* name, void (*warp_kernel)(Params),
                   void (*block_kernel)(Params), int64_t units, int width,
                   const Params& params, cudaStream_t stream) {
  const bool of_warp = width <= kLongestOfWarp;
  const int64_t blocks = of_warp ? CeilDiv(units, kBlock / kWarp) : units;
  BRAID_CUDA_REQUIRE(blocks < (int64_t{1} << 31),
                     std::string(name) + ": too many rows");
  return Launch(name, of_warp ? warp_kernel : block_kernel,
                dim3(static_cast<unsigned>(blocks)), dim3(kBlock), 0, stream,
                params);
}

}  // namespace

template <class T>
Status LayerNorm(const LayerNormParams<T>& p, cudaStream_t stream) {
  BRAID_CUDA_REQUIRE(p.rows >= 0 && p.dim > 0, "layer norm: empty rows");
  constexpr int kCount = kPackSize<T>;
  const bool packed =
      CanPack(p.x, p.ldx) && CanPack(p.out, p.ldo) && p.dim % kCount == 0;
  return packed ? LaunchTeams("layer norm", LayerNormKernel<T, kWarp, kCount>,
                              LayerNormKernel<T, kBlock, kCount>, p.rows, p.dim,
                              p, stream)
                : LaunchTeams("layer norm", LayerNormKernel<T, kWarp, 1>,
                              LayerNormKernel<T, kBlock, 1>, p.rows, p.dim, p,
                              stream);
}

template <class T>
Status RmsNorm(const RmsNormParams<T>& p, cudaStream_t stream) {
  BRAID_CUDA_REQUIRE(p.rows >= 0 && p.dim > 0, "rms norm: empty rows");
  BRAID_CUDA_REQUIRE(p.groups > 0 && p.dim % p.groups == 0,
                     "rms norm: groups must divide dim");
  constexpr int kCount = kPackSize<T>;
  const int width = p.dim / p.groups;
  const bool packed = CanPack(p.x, p.ldx) && CanPack(p.gate, p.ldg) &&
                      CanPack(p.out, p.ldo) && width % kCount == 0;
  return packed ? LaunchTeams("rms norm", RmsNormKernel<T, kWarp, kCount>,
                              RmsNormKernel<T, kBlock, kCount>,
                              p.rows * p.groups, width, p, stream)
                : LaunchTeams("rms norm", RmsNormKernel<T, kWarp, 1>,
                              RmsNormKernel<T, kBlock, 1>, p.rows * p.groups,
                              width, p, stream);
}

template Status LayerNorm(const LayerNormParams<float>&, cudaStream_t);
template Status LayerNorm(const LayerNormParams<bf16>&, cudaStream_t);
template Status RmsNorm(const RmsNormParams<float>&, cudaStream_t);
template Status RmsNorm(const RmsNormParams<bf16>&, cudaStream_t);

}  // namespace braid::kernels::cuda
