#include "kernels/quantized_weights.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/large_memory.h"
#include "kernels/half.h"

namespace braid::kernels {
namespace {

int CodeAt(const QuantizedFormat& format, const uint8_t* codes, size_t i) {
  if (format.bits == 8) return codes[i];
  return codes[i / 2] >> (i % 2 * 4) & 15;
}

uint16_t HalfAt(const uint8_t* halves, size_t i) {
  uint16_t half;
  std::memcpy(&half, halves + i * sizeof(half), sizeof(half));
  return half;
}

// Spreads the codes of a row over its panel, whose four bytes of this row in
// each quad begin at `to`. Inputs of padding keep a code of zero: their
// activations are 0.
void PlaceCodes(const QuantizedFormat& format, const uint8_t* codes, size_t k,
                uint8_t* to) {
  constexpr size_t kQuad = QuantizedWeights::kColumns * 4;
  if (format.bits == 8) {
    for (size_t i = 0; i < k; i += 4) {
      std::memcpy(to + i / 4 * kQuad, codes + i, std::min<size_t>(4, k - i));
    }
    return;
  }
  // Eight inputs are four bytes here and there: the later four go into the high
  // bits.
  const size_t bytes = format.RowBytes(k);
  for (size_t i = 0; i < bytes; i += 4, to += kQuad) {
    uint8_t eight[4] = {};
    std::memcpy(eight, codes + i, std::min<size_t>(4, bytes - i));
    to[0] = (eight[0] & 15) | (eight[2] & 15) << 4;
    to[1] = eight[0] >> 4 | (eight[2] & 0xf0);
    to[2] = (eight[1] & 15) | (eight[3] & 15) << 4;
    to[3] = eight[1] >> 4 | (eight[3] & 0xf0);
  }
}

}  // namespace

QuantizedMatrix QuantizedMatrix::OfSize(const QuantizedFormat& format, size_t n,
                                        size_t k) {
  QuantizedMatrix matrix;
  matrix.format = format;
  matrix.n = n;
  matrix.k = k;
  matrix.codes.resize(n * format.RowBytes(k));
  matrix.scales.resize(n * format.GroupsOf(k));
  if (format.zero_points) matrix.zeros.resize(n * format.GroupsOf(k));
  return matrix;
}

QuantizedRow QuantizedMatrix::row(size_t i) const {
  const size_t groups = format.GroupsOf(k);
  return {codes.data() + i * format.RowBytes(k),
          reinterpret_cast<const uint8_t*>(scales.data() + i * groups),
          zeros.empty() ? nullptr : zeros.data() + i * groups};
}

void Dequantize(const QuantizedFormat& format, const QuantizedRow& row,
                size_t k, float* weights) {
  for (size_t i = 0; i < k; ++i) {
    const size_t group = i / format.group_size;
    const int zero = row.zeros == nullptr ? format.zero() : row.zeros[group];
    weights[i] = HalfToFloat(HalfAt(row.scales, group)) *
                 static_cast<float>(CodeAt(format, row.codes, i) - zero);
  }
}

QuantizedWeights QuantizedWeights::Pack(
    const QuantizedFormat& format, size_t n, size_t k,
    const std::function<QuantizedRow(size_t)>& row_of) {
  QuantizedWeights packed;
  packed.format_ = format;
  packed.n_ = n;
  packed.k_ = k;
  const size_t groups = format.GroupsOf(k);
  const size_t panels = (n + kColumns - 1) / kColumns;
  packed.codes_stride_ =
      groups * format.group_size * kColumns * format.bits / 8;
  packed.scales_at_ = panels * packed.codes_stride_;
  packed.zeros_at_ =
      packed.scales_at_ + panels * groups * kColumns * sizeof(uint16_t);
  packed.bytes_ =
      packed.zeros_at_ + (format.zero_points ? panels * groups * kColumns : 0);

  packed.data_ = AllocateLarge(packed.bytes_);
  uint8_t* data = packed.data_.get();
  // Codes of padding: weights are 0 whatever they are, because the scale is.
  std::memset(data, 0, packed.bytes_);

  for (size_t row = 0; row < n; ++row) {
    const QuantizedRow from = row_of(row);
    const size_t panel = row / kColumns;
    const size_t column = row % kColumns;
    PlaceCodes(format, from.codes, k,
               data + panel * packed.codes_stride_ + column * 4);
    for (size_t g = 0; g < groups; ++g) {
      const size_t at = (panel * groups + g) * kColumns + column;
      const uint16_t scale = HalfAt(from.scales, g);
      std::memcpy(data + packed.scales_at_ + at * sizeof(scale), &scale,
                  sizeof(scale));
      if (format.zero_points) data[packed.zeros_at_ + at] = from.zeros[g];
    }
  }
  return packed;
}

}  // namespace braid::kernels
