// Matrix instructions of sm_80 and later (PTX ISA, "Matrix multiply-accumulate
// operation using mma instruction" and "ldmatrix"). In the comments, lane =
// 4 g + t.
#ifndef BRAID_KERNELS_CUDA_MMA_CUH_
#define BRAID_KERNELS_CUDA_MMA_CUH_

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace braid::kernels::cuda {

// d += a b with a [16, 16], b [16, 8] in bf16 and d [16, 8] in f32. Two values
// that are neighbours along the sum lie in one register, the earlier one low.
//   a: (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8)
//   b: (2t, g), (2t + 8, g)
//   d: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
__device__ inline void Mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                           uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four matrices [8, 8] of bf16 from shared memory. Lane 8 i + r says where row
// r of matrix i lies (16 bytes, aligned). Register i of the lane holds the
// values (g, 2t) and (g, 2t + 1) of matrix i; transposed, (2t, g) and (2t + 1,
// g).
template <bool kTransposed>
__device__ void LoadMatrices(const __nv_bfloat16* row, uint32_t (&r)[4]) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kTransposed) {
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, "
        "[%4];\n"
        : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
        : "r"(address)
        : "memory");
  } else {
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
        : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
        : "r"(address)
        : "memory");
  }
}

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_MMA_CUH_
