// Memory that is read from end to end again and again, as weights are.
#ifndef BRAID_KERNELS_CPU_LARGE_MEMORY_H_
#define BRAID_KERNELS_CPU_LARGE_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace braid::kernels {

using LargeMemory = std::shared_ptr<uint8_t[]>;

// `bytes` bytes, uninitialised, on a cache line. They lie in pages of 2 MB
// where the system has them, small allocations side by side in the same ones:
// with pages of 4 KB, a pass over the weights spends half of its time looking
// up addresses. Pages return to the system once all that lies in them is gone.
// Thread-safe.
LargeMemory AllocateLarge(size_t bytes);

// The same in pages of its own: whole ones of 2 MB.
LargeMemory AllocatePages(size_t bytes);
inline constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_CPU_LARGE_MEMORY_H_
