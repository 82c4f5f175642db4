#include "kernels/cpu/scratch.h"

#include <memory>
#include <new>

namespace braid::kernels {
namespace {

constexpr std::align_val_t kAlignment{64};

struct AlignedDelete {
  void operator()(float* p) const { ::operator delete[](p, kAlignment); }
};

}  // namespace

float* ThreadScratch(size_t floats) {
  thread_local std::unique_ptr<float[], AlignedDelete> buffer;
  thread_local size_t capacity = 0;
  if (capacity < floats) {
    buffer.reset();
    capacity = 0;
    buffer.reset(new (kAlignment) float[floats]);
    capacity = floats;
  }
  return buffer.get();
}

}  // namespace braid::kernels
