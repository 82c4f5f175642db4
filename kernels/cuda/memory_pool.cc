#include "kernels/cuda/memory_pool.h"

#include <cstdint>
#include <limits>

namespace braid::kernels::cuda {
namespace {

// What the driver takes from the device at a time.
constexpr size_t kUnit = size_t{32} << 20;

Status Reserve(cudaMemPool_t pool, size_t bytes) {
  // Freed memory stays with the pool.
  uint64_t keep = std::numeric_limits<uint64_t>::max();
  BRAID_CUDA_RETURN_IF_ERROR(Status::FromCuda(
      cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep),
      "keeping freed memory"));
  void* memory = nullptr;
  BRAID_CUDA_RETURN_IF_ERROR(
      Status::FromCuda(cudaMallocFromPoolAsync(&memory, bytes, pool, nullptr),
                       "reserving device memory"));
  BRAID_CUDA_RETURN_IF_ERROR(
      Status::FromCuda(cudaFreeAsync(memory, nullptr), "freeing"));
  return Status::FromCuda(cudaStreamSynchronize(nullptr),
                          "reserving device memory");
}

}  // namespace

Status MemoryPool::Create(int device, size_t bytes,
                          std::unique_ptr<MemoryPool>* pool) {
  bytes = (bytes + kUnit - 1) / kUnit * kUnit;
  cudaMemPoolProps properties = {};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = device;
  properties.maxSize = bytes;
  cudaMemPool_t handle = nullptr;
  BRAID_CUDA_RETURN_IF_ERROR(Status::FromCuda(
      cudaMemPoolCreate(&handle, &properties), "making a memory pool"));
  pool->reset(new MemoryPool(handle, bytes));
  Status status = Reserve(handle, bytes);
  if (!status.ok()) pool->reset();
  return status;
}

MemoryPool::~MemoryPool() {
  // Nobody is left to be told; the process's memory goes with the process.
  static_cast<void>(cudaMemPoolDestroy(pool_));
}

Status MemoryPool::Allocate(size_t bytes, cudaStream_t stream, void** memory) {
  *memory = nullptr;
  if (bytes == 0) return Status();
  const cudaError_t error =
      cudaMallocFromPoolAsync(memory, bytes, pool_, stream);
  // The caller has the answer: the next one to look must not find it again.
  if (error != cudaSuccess) static_cast<void>(cudaGetLastError());
  return Status::FromCuda(error, "allocating device memory");
}

Status MemoryPool::Free(void* memory, cudaStream_t stream) {
  if (memory == nullptr) return Status();
  return Status::FromCuda(cudaFreeAsync(memory, stream),
                          "freeing device memory");
}

Status MemoryPool::Used(size_t* now, size_t* most) const {
  uint64_t value = 0;
  BRAID_CUDA_RETURN_IF_ERROR(Status::FromCuda(
      cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrUsedMemCurrent, &value),
      "reading the pool's use"));
  *now = value;
  BRAID_CUDA_RETURN_IF_ERROR(Status::FromCuda(
      cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrUsedMemHigh, &value),
      "reading the pool's use"));
  *most = value;
  return Status();
}

}  // namespace braid::kernels::cuda
