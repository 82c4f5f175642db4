#include "kernels/cpu/scratch.h"

#include <memory>
#include <new>

namespace braid::kernels {
namespace {

constexpr std::align_val_t kAlignment{64};

struct AlignedDelete {
  void operator()(float* p) const { ::operator delete[](p, kAlignment); }
};

class Buffer {
 public:
  float* Reserve(size_t floats) {
    if (capacity_ < floats) {
      floats_.reset();
      capacity_ = 0;
      floats_.reset(new (kAlignment) float[floats]);
      capacity_ = floats;
    }
    return floats_.get();
  }

 private:
  std::unique_ptr<float[], AlignedDelete> floats_;
  size_t capacity_ = 0;
};

}  // namespace

float* ThreadScratch(size_t floats) {
  thread_local Buffer buffer;
  return buffer.Reserve(floats);
}

float* SharedScratch(size_t floats) {
  thread_local Buffer buffer;
  return buffer.Reserve(floats);
}

}  // namespace braid::kernels
