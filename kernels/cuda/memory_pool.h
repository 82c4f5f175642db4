// Device memory of one process: taken from the system once, at start, and
// handed out in the order of streams.
#ifndef BRAID_KERNELS_CUDA_MEMORY_POOL_H_
#define BRAID_KERNELS_CUDA_MEMORY_POOL_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>

#include "kernels/cuda/status.h"

namespace braid::kernels::cuda {

// Thread-safe. Memory that is freed on a stream can be allocated again on the
// same stream at once, on others when that stream has come so far. Nothing
// synchronises with the host.
class MemoryPool {
 public:
  // Takes `bytes`, rounded up to whole units of 32 MiB, from the device. The
  // pool never grows: what does not fit any more is kOutOfMemory.
  static Status Create(int device, size_t bytes,
                       std::unique_ptr<MemoryPool>* pool);
  // Everything must have been freed and the streams must have come so far.
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  Status Allocate(size_t bytes, cudaStream_t stream, void** memory);
  Status Free(void* memory, cudaStream_t stream);

  size_t bytes() const { return bytes_; }
  // Bytes that are allocated now, and the most that ever were.
  Status Used(size_t* now, size_t* most) const;

 private:
  MemoryPool(cudaMemPool_t pool, size_t bytes) : pool_(pool), bytes_(bytes) {}

  cudaMemPool_t pool_;
  size_t bytes_;
};

// An array of device memory of a pool, freed on its stream with the object. The
// pool must live longer.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  static Status Allocate(MemoryPool* pool, size_t count, cudaStream_t stream,
                         DeviceArray* array) {
    void* memory = nullptr;
    BRAID_CUDA_RETURN_IF_ERROR(
        pool->Allocate(count * sizeof(T), stream, &memory));
    *array = DeviceArray(pool, static_cast<T*>(memory), count, stream);
    return Status();
  }
  ~DeviceArray() { Reset(); }
  DeviceArray(DeviceArray&& other) noexcept { *this = std::move(other); }
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(stream_, other.stream_);
    return *this;
  }

  T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  DeviceArray(MemoryPool* pool, T* data, size_t size, cudaStream_t stream)
      : pool_(pool), data_(data), size_(size), stream_(stream) {}
  void Reset() {
    // A failure here is one of the device, which the next operation reports.
    if (data_ != nullptr) static_cast<void>(pool_->Free(data_, stream_));
  }

  MemoryPool* pool_ = nullptr;
  T* data_ = nullptr;
  size_t size_ = 0;
  cudaStream_t stream_ = nullptr;
};

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_MEMORY_POOL_H_
