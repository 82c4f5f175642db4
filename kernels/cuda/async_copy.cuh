// Copies from device to shared memory that run beside the computation (PTX ISA,
// "cp.async").
#ifndef BRAID_KERNELS_CUDA_ASYNC_COPY_CUH_
#define BRAID_KERNELS_CUDA_ASYNC_COPY_CUH_

#include <cuda_runtime.h>

#include <cstdint>

namespace braid::kernels::cuda {

// Begins to copy 16 bytes, both sides aligned to 16. With !valid nothing is
// read and zeros are written; `from` must still be an address of the array.
__device__ inline void CopyAsync(void* to_shared, const void* from,
                                 bool valid) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(to_shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to),
               "l"(from), "r"(valid ? 16 : 0)
               : "memory");
}

// Ends a group: the copies that this thread has begun since the last group.
__device__ inline void CommitCopies() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}

// Waits until at most kOpen of this thread's newest groups are unfinished. The
// copies of other threads are there after a barrier that follows.
template <int kOpen>
__device__ void WaitForCopies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kOpen) : "memory");
}

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_ASYNC_COPY_CUH_
