// What both forms of the delta rule ask of their parameters.
#ifndef BRAID_KERNELS_CUDA_DELTA_RULE_CHECK_H_
#define BRAID_KERNELS_CUDA_DELTA_RULE_CHECK_H_

#include "kernels/cuda/delta_rule.h"

namespace braid::kernels::cuda {

template <class T>
Status CheckDeltaRule(const DeltaRuleParams<T>& p) {
  const DeltaRuleShape& s = p.shape;
  BRAID_CUDA_REQUIRE(p.sequences >= 0 && p.tokens >= 0, "delta rule: sizes");
  BRAID_CUDA_REQUIRE(s.key_heads > 0 && s.value_heads > 0 && s.value_dim > 0,
                     "delta rule: empty shape");
  BRAID_CUDA_REQUIRE(s.value_heads % s.key_heads == 0,
                     "delta rule: value heads must be a multiple of key heads");
  BRAID_CUDA_REQUIRE(s.key_dim > 0 && s.key_dim <= kMaxDeltaKeyDim,
                     "delta rule: keys have 1 to 256 dimensions");
  BRAID_CUDA_REQUIRE(p.sequences <= 1 || p.state_stride >= s.state_floats(),
                     "delta rule: states overlap");
  return Status();
}

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_DELTA_RULE_CHECK_H_
