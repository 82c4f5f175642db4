// Rows of activations in 8 bits.
#ifndef BRAID_KERNELS_CPU_QUANTIZED_ROWS_H_
#define BRAID_KERNELS_CPU_QUANTIZED_ROWS_H_

#include <cstddef>
#include <cstdint>

namespace braid::kernels {

// activation = scale * code. Not owning.
struct QuantizedRows {
  int8_t* codes = nullptr;  // [rows], `stride` apart, zeros in the padding
  size_t stride = 0;        // groups * group_size
  size_t groups = 0;
  // All [rows, groups].
  float* scales = nullptr;
  float* sums = nullptr;      // of a group's activations, after rounding
  int32_t* starts = nullptr;  // -zero * sum of codes, for weights that all have
                              // the same zero; 0 else
};

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_CPU_QUANTIZED_ROWS_H_
