// The accelerators of this machine.
#ifndef BRAID_KERNELS_DEVICE_H_
#define BRAID_KERNELS_DEVICE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace braid::kernels {

struct GpuDevice {
  int index = 0;
  std::string name;
  int compute_major = 0;  // compute capability
  int compute_minor = 0;
  int multiprocessors = 0;
  uint64_t memory_bytes = 0;       // total
  uint64_t free_memory_bytes = 0;  // at the time of the call
};

struct GpuInventory {
  // False in a build without the CUDA backend: then nothing else is set.
  bool compiled = false;
  // Version of the installed driver as CUDA counts it (13000 is 13.0); 0 where
  // there is no driver.
  int driver_version = 0;
  int runtime_version = 0;
  std::vector<GpuDevice> devices;
  // Why the devices could not be listed; empty when they could.
  std::string error;
};

// Lists the GPUs. Never fails: a machine without a driver has an empty list and
// an error text.
GpuInventory ListGpus();

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_DEVICE_H_
