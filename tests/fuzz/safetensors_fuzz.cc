// A safetensors file is hostile until proven otherwise: opening one must end in
// a view of its tensors or in an error, every view must lie in the file, and
// every tensor reads as its numbers or as an error.
#include <cstdint>
#include <cstdlib>

#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/safetensors.h"
#include "tests/fuzz/fuzz_directory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const braid::model::FuzzDirectory directory;
  directory.Write("model.safetensors", data, size);
  const auto checkpoint = braid::model::Checkpoint::Open(directory.path());
  if (!checkpoint.ok()) {
    if (checkpoint.status().message().empty()) std::abort();
    return 0;
  }
  for (const std::string& name : (*checkpoint)->TensorNames()) {
    const braid::model::TensorView* tensor = (*checkpoint)->Find(name);
    if (tensor == nullptr || tensor->bytes > size) std::abort();
    volatile uint8_t sink = 0;
    for (uint64_t i = 0; i < tensor->bytes; ++i) sink = tensor->data[i];
    (void)sink;
    const auto values = (*checkpoint)->ReadF32(name, tensor->shape);
    const bool readable = braid::model::IsFloat(tensor->dtype);
    if (values.ok() != readable) std::abort();
    if (readable && values->size() != static_cast<size_t>(tensor->elements)) {
      std::abort();
    }
  }
  return 0;
}
