#include "generation/layers/rope.h"

#include <cmath>

namespace braid::model {

void ApplyRope(const RopeSpec& rope, RopePairs pairs, float* x, size_t ld,
               size_t rows, size_t heads, size_t head_stride, size_t position) {
  const size_t half = rope.inverse_frequencies.size();
  const float magnitude = static_cast<float>(rope.magnitude);
  const bool adjacent = pairs == RopePairs::kAdjacent;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < half; ++i) {
      // In f32 like the reference: the angles of far positions depend on it.
      const float angle =
          static_cast<float>(position + r) * rope.inverse_frequencies[i];
      const float cosine = std::cos(angle) * magnitude;
      const float sine = std::sin(angle) * magnitude;
      const size_t at = adjacent ? 2 * i : i;
      const size_t other = adjacent ? 2 * i + 1 : i + half;
      for (size_t h = 0; h < heads; ++h) {
        float* head = x + r * ld + h * head_stride;
        const float first = head[at];
        const float second = head[other];
        head[at] = first * cosine - second * sine;
        head[other] = second * cosine + first * sine;
      }
    }
  }
}

}  // namespace braid::model
