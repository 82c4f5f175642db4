#include <algorithm>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_block.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kBlock = 128;

// One thread for 16 bytes of a key and of the value beside it.
template <class T, int kCount>
__global__ void __launch_bounds__(kBlock) AppendKernel(AppendKvParams<T> p) {
  const PagedKv<T>& kv = p.kv;
  const int width = kv.kv_heads * kv.head_dim;
  const int column =
      static_cast<int>(blockIdx.y * kBlock + threadIdx.x) * kCount;
  if (column >= width) return;
  const int64_t row = blockIdx.x;
  const int64_t sequence = row / p.tokens;
  const int64_t position = kv.lengths[sequence] - p.tokens + row % p.tokens;
  const int64_t page =
      kv.table[sequence * kv.ld_table + position / kKvPageTokens];
  const int64_t head_values = static_cast<int64_t>(kKvPageTokens) * kv.head_dim;
  T* to = kv.pages +
          (page * kv.kv_heads + column / kv.head_dim) * 2 * head_values +
          position % kKvPageTokens * kv.head_dim + column % kv.head_dim;
  using Values = Pack<T, kCount>;
  *reinterpret_cast<Values*>(to) =
      *reinterpret_cast<const Values*>(p.k + row * p.ldk + column);
  *reinterpret_cast<Values*>(to + head_values) =
      *reinterpret_cast<const Values*>(p.v + row * p.ldv + column);
}

template <class T>
Status CheckKv(const PagedKv<T>& kv) {
  BRAID_CUDA_REQUIRE(
      kv.kv_heads > 0 && kv.head_dim > 0 && kv.head_dim <= kMaxHeadDim,
      "attention: heads have 1 to 256 dimensions");
  BRAID_CUDA_REQUIRE(CanPack(kv.pages, kv.head_dim),
                     "attention: pages are not aligned to 16 bytes");
  return Status();
}

}  // namespace

template <class T>
Status AppendKv(const AppendKvParams<T>& p, cudaStream_t stream) {
  BRAID_CUDA_RETURN_IF_ERROR(CheckKv(p.kv));
  BRAID_CUDA_REQUIRE(p.sequences >= 0 && p.tokens >= 0 &&
                         p.sequences * p.tokens < (int64_t{1} << 31),
                     "append kv: sizes");
  constexpr int kCount = kPackSize<T>;
  const bool packed = CanPack(p.k, p.ldk) && CanPack(p.v, p.ldv);
  const int width = p.kv.kv_heads * p.kv.head_dim;
  return Launch("append kv",
                packed ? AppendKernel<T, kCount> : AppendKernel<T, 1>,
                dim3(static_cast<unsigned>(p.sequences * p.tokens),
                     CeilDiv(width, kBlock * (packed ? kCount : 1))),
                dim3(kBlock), 0, stream, p);
}

template <class T>
Status Attention(const AttentionParams<T>& p, void* workspace,
                 cudaStream_t stream) {
  BRAID_CUDA_RETURN_IF_ERROR(CheckKv(p.kv));
  BRAID_CUDA_REQUIRE(p.sequences >= 0 && p.tokens >= 0, "attention: sizes");
  BRAID_CUDA_REQUIRE(p.heads > 0 && p.heads % p.kv.kv_heads == 0,
                     "attention: heads must be a multiple of kv_heads");
  if (p.tokens == 0) return Status();
  if (p.tokens * (p.heads / p.kv.kv_heads) > kFewRows) {
    return AttentionOfMany(p, stream);
  }
  BRAID_CUDA_REQUIRE(CanPack(static_cast<float*>(workspace), 0),
                     "attention: workspace is not aligned");
  return AttentionOfFew(p, static_cast<float*>(workspace), stream);
}

template Status AppendKv(const AppendKvParams<float>&, cudaStream_t);
template Status AppendKv(const AppendKvParams<bf16>&, cudaStream_t);
template Status Attention(const AttentionParams<float>&, void*, cudaStream_t);
template Status Attention(const AttentionParams<bf16>&, void*, cudaStream_t);

}  // namespace braid::kernels::cuda
