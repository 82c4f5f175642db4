#include "generation/checkpoint/weight_type.h"

namespace braid::model {
namespace {

constexpr struct {
  WeightType type;
  const char* name;
} kTypes[] = {{WeightType::kStored, "stored"},
              {WeightType::kF32, "f32"},
              {WeightType::kInt8, "int8"},
              {WeightType::kInt4, "int4"}};

}  // namespace

std::optional<WeightType> ParseWeightType(absl::string_view name) {
  for (const auto& [type, known] : kTypes) {
    if (name == known) return type;
  }
  return std::nullopt;
}

const char* WeightTypeName(WeightType type) {
  for (const auto& [known, name] : kTypes) {
    if (type == known) return name;
  }
  return "";
}

std::optional<kernels::QuantizedFormat> DefaultFormat(WeightType type) {
  switch (type) {
    case WeightType::kInt8:
      return kernels::QuantizedFormat{.bits = 8, .group_size = 64};
    case WeightType::kInt4:
      return kernels::QuantizedFormat{.bits = 4, .group_size = 32};
    case WeightType::kStored:
    case WeightType::kF32:
      break;
  }
  return std::nullopt;
}

}  // namespace braid::model
