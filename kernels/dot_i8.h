// Inner products of rows of 8-bit integers.
//
// Exact: the sum of products of at most 65536 pairs cannot leave 32 bits, so
// every instruction set gives the same result.
#ifndef BRAID_KERNELS_DOT_I8_H_
#define BRAID_KERNELS_DOT_I8_H_

#include <cstddef>
#include <cstdint>

namespace braid::kernels {

// Row lengths are multiples of this; pad with zeros.
inline constexpr size_t kDotI8Multiple = 32;
inline constexpr size_t kMaxDotI8Size = 65536;

// sum_i a[i] * b[i] over `size` values, each in -127..127.
int32_t DotI8(const int8_t* a, const int8_t* b, size_t size);

// out[j] = sum_i query[i] * rows[j][i]: the rows are read side by side, so that
// their cache misses overlap.
void DotI8x4(const int8_t* query, const int8_t* const rows[4], size_t size,
             int32_t out[4]);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_DOT_I8_H_
