// Weights in 8 or 4 bits. Inputs come in groups of `group_size`; each group of
// each row has its own scale, and, if the format says so, its own zero point:
//
//   weight = scale * (code - zero)
//
// with codes from 0 to 2^bits - 1 and, without zero points, zero = 2^(bits-1).
#ifndef BRAID_KERNELS_QUANTIZED_WEIGHTS_H_
#define BRAID_KERNELS_QUANTIZED_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace braid::kernels {

class ThreadPool;

inline constexpr size_t kMaxGroupSize = 128;

struct QuantizedFormat {
  int bits = 8;            // 8 or 4
  size_t group_size = 32;  // 32, 64 or 128
  bool zero_points = false;

  bool valid() const {
    return (bits == 8 || bits == 4) &&
           (group_size == 32 || group_size == 64 || group_size == 128);
  }
  size_t GroupsOf(size_t k) const { return (k + group_size - 1) / group_size; }
  // Bytes of one row of k codes: two in a byte, the earlier one in the low
  // bits.
  size_t RowBytes(size_t k) const { return bits == 8 ? k : (k + 1) / 2; }
  // Of all codes of a symmetric format.
  int zero() const { return 1 << (bits - 1); }

  friend bool operator==(const QuantizedFormat&,
                         const QuantizedFormat&) = default;
};

// One row of a matrix as it is stored; not owning.
struct QuantizedRow {
  const uint8_t* codes = nullptr;   // [RowBytes(k)]
  const uint8_t* scales = nullptr;  // [GroupsOf(k)] f16, little endian
  const uint8_t* zeros = nullptr;   // [GroupsOf(k)], or null
};

// A matrix as it is stored, row-major.
struct QuantizedMatrix {
  QuantizedFormat format;
  size_t n = 0;  // rows
  size_t k = 0;
  std::vector<uint8_t> codes;    // [n, RowBytes(k)]
  std::vector<uint16_t> scales;  // [n, GroupsOf(k)], f16
  std::vector<uint8_t> zeros;    // [n, GroupsOf(k)], or empty

  // With room for all parts, every code and scale 0.
  static QuantizedMatrix OfSize(const QuantizedFormat& format, size_t n,
                                size_t k);

  QuantizedRow row(size_t i) const;
};

// The codes and scales with the least squared error that a search over the
// scales of each group finds. `weights` is [n, k] row-major and finite. A
// scale beyond the range of f16 is cut to it. `pool` may be null (runs on the
// caller); the result does not depend on it.
QuantizedMatrix Quantize(const float* weights, size_t n, size_t k,
                         const QuantizedFormat& format, ThreadPool* pool);

// The k weights that a row stands for.
void Dequantize(const QuantizedFormat& format, const QuantizedRow& row,
                size_t k, float* weights);

// A matrix in the layout of the kernels: panels of 16 output features; in a
// panel, four inputs of all its features are 64 bytes. In 4 bits, the 64 bytes
// hold eight inputs, the later four in the high bits. Scales and zeros are
// [panel][group][16]. The last panel and the last group are padded with weights
// of zero. Immutable; shared between threads,
// and by copies.
class QuantizedWeights {
 public:
  // `row_of(i)` is the stored row of output feature i; it need not live longer
  // than the call.
  static QuantizedWeights Pack(
      const QuantizedFormat& format, size_t n, size_t k,
      const std::function<QuantizedRow(size_t)>& row_of);

  const QuantizedFormat& format() const { return format_; }
  size_t n() const { return n_; }  // output features
  size_t k() const { return k_; }  // input features
  size_t groups() const { return format_.GroupsOf(k_); }
  size_t bytes() const { return bytes_; }

  // Of one panel.
  const uint8_t* codes(size_t panel) const {
    return data_.get() + panel * codes_stride_;
  }
  const uint16_t* scales(size_t panel) const {
    return reinterpret_cast<const uint16_t*>(data_.get() + scales_at_) +
           panel * groups() * kColumns;
  }
  const uint8_t* zeros(size_t panel) const {  // null if there are none
    return format_.zero_points
               ? data_.get() + zeros_at_ + panel * groups() * kColumns
               : nullptr;
  }
  size_t codes_stride() const { return codes_stride_; }  // between panels

  static constexpr size_t kColumns = 16;

 private:
  QuantizedFormat format_;
  size_t n_ = 0;
  size_t k_ = 0;
  size_t bytes_ = 0;
  size_t codes_stride_ = 0;
  size_t scales_at_ = 0;
  size_t zeros_at_ = 0;
  std::shared_ptr<uint8_t[]> data_;
};

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_QUANTIZED_WEIGHTS_H_
