// A std::vector whose floats begin on a cache line, as vector loads like them.
#ifndef BRAID_KERNELS_ALIGNED_VECTOR_H_
#define BRAID_KERNELS_ALIGNED_VECTOR_H_

#include <cstddef>
#include <new>
#include <vector>

namespace braid::kernels {

template <class T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};

  CacheLineAllocator() = default;
  template <class U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}

  T* allocate(size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* p, size_t) { ::operator delete(p, kAlignment); }

  friend bool operator==(const CacheLineAllocator&,
                         const CacheLineAllocator&) = default;
};

using AlignedVector = std::vector<float, CacheLineAllocator<float>>;

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_ALIGNED_VECTOR_H_
