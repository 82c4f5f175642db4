// Checks every kernel of kernels/cuda against a plain reference in f64, and
// times it against what the device can do at best.
//
//   gpu_check                 all checks, with the large shapes and the times
//   gpu_check --small         only small shapes: for compute-sanitizer
//   gpu_check [--small] NAME  only the checks of that name, such as ssd
//   gpu_check --list          the names
//
// Exit status: 0 all passed, 1 a check failed or a call did, 2 usage, 77 there
// is no GPU.

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "kernels/cuda/linear.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {
namespace {

constexpr int kNoGpu = 77;

struct Entry {
  const char* name;
  void (*check)(Checks&);
};

constexpr Entry kEntries[] = {
    {"memory_pool", CheckMemoryPool},
    {"norm", CheckNorm},
    {"elementwise", CheckElementwise},
    {"conv1d", CheckConv1d},
    {"ssd", CheckSsd},
    {"selective_scan", CheckSelectiveScan},
    {"delta_rule", CheckDeltaRule},
    {"attention", CheckAttention},
    {"router", CheckRouter},
    {"quantized_gemm", CheckQuantizedGemm},
    {"linear", CheckLinear},
};

void MeasureFloors(Checks& checks) {
  constexpr size_t kBytes = size_t{1} << 30;
  {
    const DeviceArray<uint8_t> from(kBytes);
    const DeviceArray<uint8_t> to(kBytes);
    const double seconds = checks.MedianSeconds([&] {
      Require(cudaMemcpyAsync(to.data(), from.data(), kBytes,
                              cudaMemcpyDeviceToDevice, checks.stream()),
              "cudaMemcpyAsync");
    });
    checks.floors().copy_bytes_per_second = 2.0 * kBytes / seconds;
  }
  constexpr int64_t kSize = 8192;
  const auto a = checks.Random<bf16>(kSize, kSize, -1, 1);
  const auto b = checks.Random<bf16>(kSize, kSize, -1, 1);
  const DeviceArray<bf16> c(kSize * kSize);
  const DeviceArray<uint8_t> workspace(size_t{32} << 20);
  std::unique_ptr<kernels::cuda::LinearProducts> products;
  Require(kernels::cuda::LinearProducts::Create(workspace.data(),
                                                workspace.size(), &products));
  kernels::cuda::LinearParams<bf16> p;
  p.a = a.device.data();
  p.weights = b.device.data();
  p.c = c.data();
  p.m = p.n = p.k = p.lda = p.ldw = p.ldc = kSize;
  const double seconds = checks.MedianSeconds(
      [&] { Require(products->Multiply(p, checks.stream())); });
  checks.floors().bf16_flops = 2.0 * kSize * kSize * kSize / seconds;
  std::printf(
      "floors  copy %.0f GB/s read and written, cuBLAS bf16 %.0f "
      "TFLOP/s\n",
      checks.floors().copy_bytes_per_second * 1e-9,
      checks.floors().bf16_flops * 1e-12);
}

int Run(bool small, const std::set<std::string>& names) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) {
    std::printf("there is no GPU on this machine\n");
    return kNoGpu;
  }
  cudaDeviceProp device;
  Require(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
  std::printf("device  %s, sm_%d%d, %d multiprocessors\n", device.name,
              device.major, device.minor, device.multiProcessorCount);
  cudaStream_t stream = nullptr;
  Require(cudaStreamCreate(&stream), "cudaStreamCreate");
  Checks checks(small, stream);
  if (!small) MeasureFloors(checks);
  for (const Entry& entry : kEntries) {
    if (names.empty() || names.count(entry.name) != 0) entry.check(checks);
  }
  Require(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  std::printf("%d passed, %d failed\n", checks.passed(), checks.failed());
  return checks.failed() == 0 ? 0 : 1;
}

int Main(int argc, char** argv) {
  bool small = false;
  std::set<std::string> names;
  for (int i = 1; i < argc; ++i) {
    bool known = false;
    for (const Entry& entry : kEntries) {
      known |= std::strcmp(argv[i], entry.name) == 0;
    }
    if (std::strcmp(argv[i], "--list") == 0) {
      for (const Entry& entry : kEntries) std::printf("%s\n", entry.name);
      return 0;
    }
    if (std::strcmp(argv[i], "--small") == 0) {
      small = true;
    } else if (known) {
      names.insert(argv[i]);
    } else {
      std::fprintf(stderr, "usage: gpu_check [--small] [NAME...] | --list\n");
      return 2;
    }
  }
  return Run(small, names);
}

}  // namespace
}  // namespace braid::gpu_check

int main(int argc, char** argv) { return braid::gpu_check::Main(argc, argv); }
