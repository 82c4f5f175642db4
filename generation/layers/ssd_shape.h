// Shapes of the state-space mixers as their kernel takes them.
#ifndef BRAID_GENERATION_LAYERS_SSD_SHAPE_H_
#define BRAID_GENERATION_LAYERS_SSD_SHAPE_H_

#include <cstddef>

#include "generation/checkpoint/model_spec.h"
#include "kernels/ssd.h"

namespace braid::model {

inline kernels::SsdShape ShapeOf(const Mamba2Spec& spec) {
  return {.heads = static_cast<size_t>(spec.heads),
          .head_dim = static_cast<size_t>(spec.head_dim),
          .state_dim = static_cast<size_t>(spec.state_dim),
          .groups = static_cast<size_t>(spec.groups)};
}

// Each head has B and C of its own: their biases and rotations differ.
inline kernels::SsdShape ShapeOf(const Mamba3Spec& spec) {
  return {.heads = static_cast<size_t>(spec.heads),
          .head_dim = static_cast<size_t>(spec.head_dim),
          .state_dim = static_cast<size_t>(spec.state_dim),
          .groups = static_cast<size_t>(spec.heads),
          .rank = static_cast<size_t>(spec.rank),
          .trapezoid = true};
}

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_SSD_SHAPE_H_
