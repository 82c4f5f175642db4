#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/family.h"

namespace braid::model {
namespace {

constexpr std::pair<absl::string_view, FamilyFunction> kFamilies[] = {
    {"granitemoehybrid", &GraniteMoeHybrid},
    {"nemotron_h", &NemotronH},
    {"bamba", &Bamba},
    {"jamba", &Jamba},
    {"qwen3_next", &Qwen3Next},
    {"qwen3_5", &Qwen35},
    {"qwen3_5_text", &Qwen35},
    {"qwen3_5_moe", &Qwen35Moe},
    {"qwen3_5_moe_text", &Qwen35Moe},
    {"falcon_h1", &FalconH1},
    {"lfm2", &Lfm2},
    {"lfm2_moe", &Lfm2Moe},
    {"mamba", &MambaFamily},
    {"mamba2", &Mamba2Family},
    {"kimi_linear", &KimiLinear},
    {"zamba2", &Zamba2},
    {"olmo_hybrid", &OlmoHybrid},
    {"llama", &Llama},
    {"mistral", &Mistral},
    {"mixtral", &Mixtral},
    {"qwen2", &Qwen2},
    {"qwen3", &Qwen3},
    {"qwen3_moe", &Qwen3Moe},
    {"granite", &Granite},
};

}  // namespace

FamilyFunction FindFamily(absl::string_view model_type) {
  for (const auto& [name, function] : kFamilies) {
    if (name == model_type) return function;
  }
  return nullptr;
}

std::string KnownFamilies() {
  std::string names;
  for (const auto& [name, function] : kFamilies) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", name);
  }
  return names;
}

}  // namespace braid::model
