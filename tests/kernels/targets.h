// Runs kernel tests on every instruction set of this machine.
#ifndef BRAID_TESTS_KERNELS_TARGETS_H_
#define BRAID_TESTS_KERNELS_TARGETS_H_

#include <functional>
#include <string>

namespace braid::kernels {

// Calls `body` once per instruction set that is both compiled in and supported
// here, with dispatch pinned to it, under a SCOPED_TRACE with its name.
void ForEachTarget(const std::function<void()>& body);

}  // namespace braid::kernels

#endif  // BRAID_TESTS_KERNELS_TARGETS_H_
