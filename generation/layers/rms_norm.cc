#include "generation/layers/rms_norm.h"

namespace braid::model {

kernels::RmsNormParams RmsNorm::Params(const float* x, size_t ldx, size_t rows,
                                       size_t dim, float* out,
                                       size_t ldo) const {
  kernels::RmsNormParams params;
  params.x = x;
  params.ldx = ldx;
  params.rows = rows;
  params.dim = dim;
  params.weight = weight_.data();
  params.weight_offset = weight_offset_;
  params.epsilon = epsilon_;
  params.out = out;
  params.ldo = ldo;
  if (dim != weight_.size()) {
    params.groups = dim / weight_.size();
    params.weight_shared_by_groups = true;
  }
  return params;
}

}  // namespace braid::model
