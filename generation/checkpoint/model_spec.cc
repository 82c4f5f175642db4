#include "generation/checkpoint/model_spec.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/config_reader.h"
#include "generation/checkpoint/families/family.h"
#include "generation/checkpoint/json_file.h"

namespace braid::model {
namespace {

constexpr uint64_t kMaxConfigBytes = 16'000'000;

}  // namespace

absl::StatusOr<ModelSpec> LoadModelSpec(const std::string& directory,
                                        const Checkpoint* checkpoint) {
  const std::string path = absl::StrCat(directory, "/config.json");
  absl::StatusOr<nlohmann::json> json = ReadJsonObject(path, kMaxConfigBytes);
  if (!json.ok()) return json.status();
  ConfigReader config(*json, path);
  const std::string model_type = config.String("model_type", "");
  const FamilyFunction family = FindFamily(model_type);
  if (family == nullptr) {
    config.Unsupported(
        "model_type",
        absl::StrCat("\"", model_type,
                     "\" is not supported; known are: ", KnownFamilies()));
    return config.status();
  }
  absl::StatusOr<ModelSpec> spec = family(config, checkpoint);
  if (!spec.ok()) return spec.status();
  spec->model_type = model_type;
  spec->eos_ids = config.Ids("eos_token_id");
  // Multimodal wrappers keep it with the language model's part.
  const nlohmann::json* text = config.Find("text_config");
  if (spec->eos_ids.empty() && text != nullptr && text->is_object()) {
    ConfigReader inner(*text, absl::StrCat(path, ": text_config"));
    spec->eos_ids = inner.Ids("eos_token_id");
    if (!inner.status().ok()) return inner.status();
  }
  if (!config.status().ok()) return config.status();

  const std::string generation_path =
      absl::StrCat(directory, "/generation_config.json");
  absl::StatusOr<nlohmann::json> generation =
      ReadJsonObject(generation_path, kMaxConfigBytes);
  if (generation.ok()) {
    ConfigReader reader(*generation, generation_path);
    const std::vector<int32_t> ids = reader.Ids("eos_token_id");
    if (!reader.status().ok()) return reader.status();
    if (!ids.empty()) spec->eos_ids = ids;
  } else if (!absl::IsNotFound(generation.status())) {
    return generation.status();
  }
  return spec;
}

}  // namespace braid::model
