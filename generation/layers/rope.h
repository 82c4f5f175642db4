// Rotary position embedding (Su et al. 2021, section 3.4.2).
#ifndef BRAID_GENERATION_LAYERS_ROPE_H_
#define BRAID_GENERATION_LAYERS_ROPE_H_

#include <cstddef>

#include "generation/checkpoint/model_spec.h"

namespace braid::model {

// Which two dimensions make a pair: i and i + half, or 2 i and 2 i + 1.
enum class RopePairs { kHalves, kAdjacent };

// Rotates in place `heads` heads of each of `rows` rows: row r is at `position`
// + r, rows are `ld` and heads `head_stride` floats apart.
void ApplyRope(const RopeSpec& rope, RopePairs pairs, float* x, size_t ld,
               size_t rows, size_t heads, size_t head_stride, size_t position);

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_ROPE_H_
