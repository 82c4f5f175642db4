// A safetensors file is hostile until proven otherwise: opening one must end in
// a view of its tensors or in an error, and every view must lie in the file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "generation/checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int fd = memfd_create("safetensors", 0);
  if (fd < 0) std::abort();
  if (write(fd, data, size) != static_cast<ssize_t>(size)) std::abort();
  auto file = braid::model::SafetensorsFile::Open("/proc/self/fd/" +
                                                  std::to_string(fd));
  if (file.ok()) {
    for (const braid::model::TensorView& tensor : (*file)->tensors()) {
      if (tensor.bytes > size) std::abort();
      volatile uint8_t sink = 0;
      for (uint64_t i = 0; i < tensor.bytes; ++i) sink = tensor.data[i];
      (void)sink;
    }
  }
  close(fd);
  return 0;
}
