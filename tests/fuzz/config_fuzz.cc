// Whatever a config.json holds, it is a model whose tensors have sensible names
// and shapes, or a clear error; never much memory.
#include <cstdint>
#include <cstdlib>

#include "generation/checkpoint/model_spec.h"
#include "tests/fuzz/fuzz_directory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const braid::model::FuzzDirectory directory;
  directory.Write("config.json", data, size);
  // Also where the ids of the end tokens are looked for.
  directory.Write("generation_config.json", data, size);
  const auto spec = braid::model::LoadModelSpec(directory.path(), nullptr);
  if (!spec.ok()) {
    if (spec.status().message().empty()) std::abort();
    return 0;
  }
  if (spec->hidden <= 0 || spec->vocab_size <= 0 || spec->layers.empty()) {
    std::abort();
  }
  for (const auto& tensor : braid::model::AllTensors(*spec)) {
    if (tensor.name.empty() || tensor.shape.empty()) std::abort();
    for (const int64_t extent : tensor.shape) {
      if (extent <= 0) std::abort();
    }
  }
  return 0;
}
