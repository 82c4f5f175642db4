#include "tests/kernels/targets.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

// Before Highway: what to leave out, in any kernel.
#define BRAID_WANT_DOT_PRODUCTS
#include "kernels/cpu/targets.h"
// After it.
#include "hwy/targets.h"

namespace braid::kernels {

void ForEachTarget(const std::function<void()>& body) {
  const std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  ASSERT_FALSE(targets.empty());
  for (const int64_t target : targets) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    SCOPED_TRACE(hwy::TargetName(target));
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
}

}  // namespace braid::kernels
