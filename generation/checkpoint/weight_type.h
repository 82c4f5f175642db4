// What a model's matrices are in memory.
#ifndef BRAID_GENERATION_CHECKPOINT_WEIGHT_TYPE_H_
#define BRAID_GENERATION_CHECKPOINT_WEIGHT_TYPE_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "kernels/quantized_weights.h"

namespace braid::model {

// kStored: as the checkpoint has them: codes stay codes, all else becomes f32.
// kInt8 and kInt4: quantised as they are loaded, unless they are stored so.
enum class WeightType { kStored, kF32, kInt8, kInt4 };

// "stored", "f32", "int8", "int4"; nullopt for anything else.
std::optional<WeightType> ParseWeightType(absl::string_view name);
const char* WeightTypeName(WeightType type);

// How matrices are quantised unless somebody wants it otherwise; nullopt for
// types that are not.
std::optional<kernels::QuantizedFormat> DefaultFormat(WeightType type);

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_WEIGHT_TYPE_H_
