// Matrices in 8 or 4 bits inside a checkpoint, as `braid model quantize` writes
// them. config.json says how:
//
//   "quantization_config": {"quant_method": "braid", "bits": 4,
//                           "group_size": 32, "zero_points": false}
//
// A matrix NAME of shape [..., rows, k] is then three tensors, in the terms of
// kernels/quantized_weights.h: NAME, the codes, U8 [..., rows, bytes];
// NAME.scales, F16 [..., rows, groups]; and with zero points NAME.zeros, U8
// [..., rows, groups]. Matrices that are still in floating point may stand
// beside them.
#ifndef BRAID_GENERATION_CHECKPOINT_QUANTIZED_TENSORS_H_
#define BRAID_GENERATION_CHECKPOINT_QUANTIZED_TENSORS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/config_reader.h"
#include "generation/checkpoint/model_spec.h"
#include "kernels/quantized_weights.h"

namespace braid::model {

inline constexpr char kQuantizationField[] = "quantization_config";
inline constexpr char kQuantizationMethod[] = "braid";

// The config's quantization_config; nullopt if there is none. Records an error
// for any that is not Braid's.
std::optional<kernels::QuantizedFormat> ReadQuantization(ConfigReader& config);

std::string ScalesName(absl::string_view matrix);
std::string ZerosName(absl::string_view matrix);

// The shapes of a matrix' parts.
std::vector<int64_t> CodesShape(const kernels::QuantizedFormat& format,
                                std::vector<int64_t> matrix);
std::vector<int64_t> GroupsShape(const kernels::QuantizedFormat& format,
                                 std::vector<int64_t> matrix);

// Whether `name` holds codes.
bool IsQuantized(const Checkpoint& checkpoint, absl::string_view name);

// Checks that a matrix of codes has all its parts, in their shapes and types.
// INVALID_ARGUMENT naming the part.
absl::Status CheckQuantized(const Checkpoint& checkpoint,
                            const kernels::QuantizedFormat& format,
                            const TensorSpec& matrix);

// A quantised matrix, or one slice of a stack of them, that CheckQuantized has
// passed. A view into the checkpoint.
class QuantizedTensor {
 public:
  QuantizedTensor(const Checkpoint& checkpoint,
                  const kernels::QuantizedFormat& format,
                  const TensorSpec& matrix);

  size_t rows() const { return rows_; }
  kernels::QuantizedRow row(size_t i) const;

 private:
  kernels::QuantizedRow first_;
  size_t rows_;
  size_t row_bytes_;
  size_t groups_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_QUANTIZED_TENSORS_H_
