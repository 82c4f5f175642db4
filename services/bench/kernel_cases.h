// The kernels that `braid bench kernels` measures, each on a shape of a model
// and with what it has to read and to compute.
#ifndef BRAID_SERVICES_BENCH_KERNEL_CASES_H_
#define BRAID_SERVICES_BENCH_KERNEL_CASES_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "kernels/thread_pool.h"

namespace braid::services {

struct KernelCase {
  std::string kernel;  // quantized_gemm int8
  std::string shape;   // 4096 x 1536
  size_t tokens = 0;   // rows of one call
  // What one call reads that was not used just before: weights, state.
  double bytes = 0;
  // Multiplications and additions of one call, by the definition of the kernel.
  double operations = 0;
  bool int8 = false;  // products of 8-bit integers; otherwise f32
  // Calls with data of their own, in turn, so that each comes from memory.
  size_t turns = 1;
  // Owns its data.
  std::function<void(size_t turn, kernels::ThreadPool* pool)> run;
};

using KernelCaseMaker = std::function<KernelCase()>;

// One token (decode) and 512 (prefill) of each kernel that has a state or
// weights, 512 of the others. Made one after another,
// because their data take some 100 MB each.
std::vector<KernelCaseMaker> KernelCases();

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_KERNEL_CASES_H_
