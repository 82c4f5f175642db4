#include <memory>

#include "kernels/cuda/memory_pool.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {

namespace cuda = kernels::cuda;

void CheckMemoryPool(Checks& checks) {
  constexpr size_t kUnit = size_t{32} << 20;
  std::unique_ptr<cuda::MemoryPool> pool;
  Require(cuda::MemoryPool::Create(0, 2 * kUnit - 5, &pool));
  checks.Expect("memory pool: whole units", pool->bytes() == 2 * kUnit);
  size_t now = 1;
  size_t most = 0;
  {
    cuda::DeviceArray<float> first;
    cuda::DeviceArray<float> second;
    Require(cuda::DeviceArray<float>::Allocate(&*pool, kUnit / sizeof(float),
                                               checks.stream(), &first));
    checks.Expect("memory pool: memory", first.data() != nullptr);
    Require(pool->Used(&now, &most));
    checks.Expect("memory pool: used", now >= kUnit && most >= now);
    const cuda::Status full = cuda::DeviceArray<float>::Allocate(
        &*pool, 2 * kUnit / sizeof(float), checks.stream(), &second);
    checks.Expect("memory pool: never grows",
                  full.code() == cuda::Status::Code::kOutOfMemory);
    // A runtime error that was answered is not left behind for the next call.
    checks.Expect("memory pool: nothing left behind",
                  cudaGetLastError() == cudaSuccess);
    second = std::move(first);
  }
  Require(cudaStreamSynchronize(checks.stream()), "cudaStreamSynchronize");
  Require(pool->Used(&now, &most));
  checks.Expect("memory pool: freed", now == 0);
}

}  // namespace braid::gpu_check
