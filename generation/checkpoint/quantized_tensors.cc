#include "generation/checkpoint/quantized_tensors.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace braid::model {
namespace {

absl::Status CheckPart(const Checkpoint& checkpoint, const std::string& name,
                       DType dtype, absl::string_view dtype_name,
                       const std::vector<int64_t>& shape) {
  const TensorView* view = checkpoint.Find(name);
  if (view == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        checkpoint.directory(), ": tensor \"", name, "\" is missing"));
  }
  if (view->dtype != dtype || view->shape != shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        checkpoint.directory(), ": tensor \"", name, "\" is ", view->dtype_name,
        " [", absl::StrJoin(view->shape, ", "), "], but config.json says ",
        dtype_name, " [", absl::StrJoin(shape, ", "), "]"));
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<kernels::QuantizedFormat> ReadQuantization(ConfigReader& config) {
  std::optional<ConfigReader> part = config.Part(kQuantizationField);
  if (!part.has_value()) return std::nullopt;
  const std::string method = part->String("quant_method", "");
  if (method != kQuantizationMethod) {
    config.Unsupported(
        kQuantizationField,
        absl::StrCat("quant_method \"", method, "\" is not supported; \"",
                     kQuantizationMethod,
                     "\" is, as `braid model quantize` writes it"));
    return std::nullopt;
  }
  kernels::QuantizedFormat format;
  format.bits = static_cast<int>(part->Int("bits", 4, 8));
  format.group_size = part->Int("group_size", 32, 128);
  format.zero_points = part->Bool("zero_points", false);
  if (part->status().ok() && !format.valid()) {
    part->Fail("bits", "must be 8 or 4, and group_size one of 32, 64 and 128");
  }
  config.Adopt(part->status());
  if (!part->status().ok()) return std::nullopt;
  return format;
}

std::string ScalesName(absl::string_view matrix) {
  return absl::StrCat(matrix, ".scales");
}

std::string ZerosName(absl::string_view matrix) {
  return absl::StrCat(matrix, ".zeros");
}

std::vector<int64_t> CodesShape(const kernels::QuantizedFormat& format,
                                std::vector<int64_t> matrix) {
  matrix.back() = static_cast<int64_t>(format.RowBytes(matrix.back()));
  return matrix;
}

std::vector<int64_t> GroupsShape(const kernels::QuantizedFormat& format,
                                 std::vector<int64_t> matrix) {
  matrix.back() = static_cast<int64_t>(format.GroupsOf(matrix.back()));
  return matrix;
}

bool IsQuantized(const Checkpoint& checkpoint, absl::string_view name) {
  const TensorView* view = checkpoint.Find(name);
  return view != nullptr && view->dtype == DType::kU8;
}

absl::Status CheckQuantized(const Checkpoint& checkpoint,
                            const kernels::QuantizedFormat& format,
                            const TensorSpec& matrix) {
  absl::Status status = CheckPart(checkpoint, matrix.name, DType::kU8, "U8",
                                  CodesShape(format, matrix.shape));
  const std::vector<int64_t> groups = GroupsShape(format, matrix.shape);
  if (status.ok()) {
    status = CheckPart(checkpoint, ScalesName(matrix.name), DType::kF16, "F16",
                       groups);
  }
  if (status.ok() && format.zero_points) {
    status =
        CheckPart(checkpoint, ZerosName(matrix.name), DType::kU8, "U8", groups);
  }
  return status;
}

QuantizedTensor::QuantizedTensor(const Checkpoint& checkpoint,
                                 const kernels::QuantizedFormat& format,
                                 const TensorSpec& matrix) {
  const std::vector<int64_t> shape = matrix.view_shape();
  rows_ = shape[0];
  row_bytes_ = format.RowBytes(shape[1]);
  groups_ = format.GroupsOf(shape[1]);
  const size_t skipped = matrix.slice < 0 ? 0 : matrix.slice * rows_;
  first_.codes = checkpoint.Find(matrix.name)->data + skipped * row_bytes_;
  first_.scales = checkpoint.Find(ScalesName(matrix.name))->data +
                  skipped * groups_ * sizeof(uint16_t);
  if (format.zero_points) {
    first_.zeros =
        checkpoint.Find(ZerosName(matrix.name))->data + skipped * groups_;
  }
}

kernels::QuantizedRow QuantizedTensor::row(size_t i) const {
  return {first_.codes + i * row_bytes_,
          first_.scales + i * groups_ * sizeof(uint16_t),
          first_.zeros == nullptr ? nullptr : first_.zeros + i * groups_};
}

}  // namespace braid::model
