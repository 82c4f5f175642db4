#include <cuda_runtime_api.h>

#include "kernels/device.h"

namespace braid::kernels {

GpuInventory ListGpus() {
  GpuInventory inventory;
  inventory.compiled = true;
  cudaDriverGetVersion(&inventory.driver_version);
  cudaRuntimeGetVersion(&inventory.runtime_version);

  int count = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    inventory.error = cudaGetErrorString(status);
    return inventory;
  }
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties;
    status = cudaGetDeviceProperties(&properties, index);
    if (status != cudaSuccess) {
      inventory.error = cudaGetErrorString(status);
      continue;
    }
    GpuDevice device;
    device.index = index;
    device.name = properties.name;
    device.compute_major = properties.major;
    device.compute_minor = properties.minor;
    device.multiprocessors = properties.multiProcessorCount;
    device.memory_bytes = properties.totalGlobalMem;
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    if (cudaSetDevice(index) == cudaSuccess &&
        cudaMemGetInfo(&free_bytes, &total_bytes) == cudaSuccess) {
      device.free_memory_bytes = free_bytes;
    }
    inventory.devices.push_back(std::move(device));
  }
  return inventory;
}

}  // namespace braid::kernels
