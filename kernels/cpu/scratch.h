// Working memory of one kernel task.
#ifndef BRAID_KERNELS_CPU_SCRATCH_H_
#define BRAID_KERNELS_CPU_SCRATCH_H_

#include <cstddef>

namespace braid::kernels {

// At least `floats` floats, 64-byte aligned, uninitialised, owned by the
// calling thread and valid until its next call: kernel tasks do not nest. The
// buffer only grows, and is freed when the thread ends.
float* ThreadScratch(size_t floats);

// The same for what the tasks of one kernel share: owned by the thread that
// calls the kernel, valid until its next call.
float* SharedScratch(size_t floats);

// `floats` rounded up to whole cache lines, for carving a buffer into parts.
constexpr size_t RoundUpToLine(size_t floats) {
  return (floats + 15) / 16 * 16;
}

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_CPU_SCRATCH_H_
