// The families that Braid knows. To add one: write families/<name>.cc with a
// function of this form, and enter it in families/registry.cc.
#ifndef BRAID_GENERATION_CHECKPOINT_FAMILIES_FAMILY_H_
#define BRAID_GENERATION_CHECKPOINT_FAMILIES_FAMILY_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "generation/checkpoint/config_reader.h"
#include "generation/checkpoint/model_spec.h"

namespace braid::model {

// Maps the config's fields and the family's tensor names onto generic layers.
// Sets everything of the spec but model_type and eos_ids. Sizes are only
// checked for plausibility here; CheckTensors compares them with the file.
// `checkpoint` is only asked which spelling of a name is there, and may be
// null: then the hub's is meant.
using Family = absl::StatusOr<ModelSpec>(ConfigReader& config,
                                         const Checkpoint* checkpoint);
using FamilyFunction = Family*;

// Null if the model type is not known.
FamilyFunction FindFamily(absl::string_view model_type);
// For messages: the known model types, comma-separated.
std::string KnownFamilies();

// The families, one file each unless they differ in little.
Family GraniteMoeHybrid;
Family NemotronH;
Family Bamba;
Family Jamba;
Family Qwen3Next;
Family Qwen35;
Family Qwen35Moe;
Family FalconH1;
Family Lfm2;
Family Lfm2Moe;
Family MambaFamily;
Family Mamba2Family;
Family KimiLinear;
Family Zamba2;
Family OlmoHybrid;
Family Llama;
Family Mistral;
Family Mixtral;
Family Qwen2;
Family Qwen3;
Family Qwen3Moe;
Family Granite;

// Bounds that no real model comes near. They keep every product of two or three
// sizes far from overflow.
inline constexpr int64_t kMaxWidth = 1 << 18;  // hidden, intermediate, heads
inline constexpr int64_t kMaxLayers = 4096;
inline constexpr int64_t kMaxVocab = 1 << 24;
inline constexpr int64_t kMaxExperts = 1 << 14;
inline constexpr int64_t kMaxContext = int64_t{1} << 27;

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_FAMILIES_FAMILY_H_
