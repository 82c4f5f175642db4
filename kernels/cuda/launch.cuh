// How kernels are started: with their parameters in one struct, and with every
// error in a Status.
#ifndef BRAID_KERNELS_CUDA_LAUNCH_CUH_
#define BRAID_KERNELS_CUDA_LAUNCH_CUH_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/status.h"

namespace braid::kernels::cuda {

// What a block gets without being asked for more.
inline constexpr size_t kDefaultSharedBytes = 48 * 1024;

// Starts `kernel` on `stream`. An empty grid is not started. `name` is for the
// error message.
template <class Params>
Status Launch(const char* name, void (*kernel)(Params), dim3 grid, dim3 block,
              size_t shared_bytes, cudaStream_t stream, const Params& params) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return Status();
  BRAID_CUDA_REQUIRE(grid.y <= 65535 && grid.z <= 65535,
                     std::string(name) + ": too many blocks in one dimension");
  if (shared_bytes > kDefaultSharedBytes) {
    BRAID_CUDA_RETURN_IF_ERROR(Status::FromCuda(
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes)),
        name));
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  return Status::FromCuda(cudaLaunchKernelEx(&config, kernel, params), name);
}

// The block's dynamic shared memory, 16-byte aligned.
template <class T>
__device__ T* DynamicShared() {
  extern __shared__ uint4 braid_dynamic_shared[];
  return reinterpret_cast<T*>(braid_dynamic_shared);
}

inline unsigned CeilDiv(int64_t a, int64_t b) {
  return static_cast<unsigned>((a + b - 1) / b);
}

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_LAUNCH_CUH_
