#include "kernels/cpu/large_memory.h"

#include <sys/mman.h>

#include <mutex>
#include <new>

namespace braid::kernels {
namespace {

constexpr size_t kCacheLine = 64;
// What small allocations are cut from. The last one is as large in any case,
// so this is what a model may waste.
constexpr size_t kSlab = size_t{16} << 20;

size_t RoundUp(size_t bytes, size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

// Cuts slabs into pieces, which keep their slab alive.
class Slabs {
 public:
  LargeMemory Allocate(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    bytes = RoundUp(bytes, kCacheLine);
    if (slab_ == nullptr || kSlab - used_ < bytes) {
      slab_ = AllocatePages(kSlab);
      used_ = 0;
    }
    uint8_t* piece = slab_.get() + used_;
    used_ += bytes;
    return LargeMemory(slab_, piece);
  }

 private:
  std::mutex mutex_;
  LargeMemory slab_;
  size_t used_ = 0;
};

}  // namespace

LargeMemory AllocatePages(size_t bytes) {
  constexpr std::align_val_t kAlignment{kHugePage};
  const size_t allocated = RoundUp(bytes, kHugePage);
  auto* data = static_cast<uint8_t*>(::operator new[](allocated, kAlignment));
  // Advice: without it, the pages are small.
  madvise(data, allocated, MADV_HUGEPAGE);
  return LargeMemory(data,
                     [](uint8_t* p) { ::operator delete[](p, kAlignment); });
}

LargeMemory AllocateLarge(size_t bytes) {
  static Slabs* const slabs = new Slabs;
  return bytes < kSlab / 4 ? slabs->Allocate(bytes) : AllocatePages(bytes);
}

}  // namespace braid::kernels
