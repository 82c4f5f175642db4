#include "generation/checkpoint/model_spec.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "generation/checkpoint/config_reader.h"
#include "generation/checkpoint/families/family.h"
#include "generation/checkpoint/json_file.h"

namespace braid::model {
namespace {

constexpr uint64_t kMaxConfigBytes = 16'000'000;

void Append(const LinearSpec& linear, std::vector<TensorSpec>* tensors) {
  tensors->insert(tensors->end(), linear.weights.begin(), linear.weights.end());
  tensors->insert(tensors->end(), linear.biases.begin(), linear.biases.end());
}

void Append(const AttentionSpec& attention, std::vector<TensorSpec>* tensors) {
  Append(attention.qkv, tensors);
  Append(attention.out, tensors);
}

void Append(const Mamba2Spec& mamba, std::vector<TensorSpec>* tensors) {
  Append(mamba.in, tensors);
  tensors->push_back(mamba.conv_weight);
  if (mamba.conv_bias.has_value()) tensors->push_back(*mamba.conv_bias);
  tensors->insert(tensors->end(),
                  {mamba.a_log, mamba.d, mamba.dt_bias, mamba.norm.weight});
  Append(mamba.out, tensors);
}

}  // namespace

int64_t LinearSpec::out() const {
  int64_t rows = 0;
  for (const TensorSpec& weight : weights) rows += weight.shape[0];
  return rows;
}

std::vector<TensorSpec> AllTensors(const ModelSpec& spec) {
  std::vector<TensorSpec> all = {spec.embedding};
  for (const LayerSpec& layer : spec.layers) {
    all.push_back(layer.mixer_norm.weight);
    std::visit([&](const auto& mixer) { Append(mixer, &all); }, layer.mixer);
    all.push_back(layer.ffn_norm.weight);
    if (layer.mlp.has_value()) {
      Append(layer.mlp->gate_up, &all);
      Append(layer.mlp->down, &all);
    }
    if (layer.moe.has_value()) {
      Append(layer.moe->router, &all);
      all.push_back(layer.moe->gate_up);
      all.push_back(layer.moe->down);
    }
  }
  all.push_back(spec.final_norm.weight);
  Append(spec.head, &all);

  std::set<std::string> seen;
  std::vector<TensorSpec> unique;
  for (TensorSpec& tensor : all) {
    if (seen.insert(tensor.name).second) unique.push_back(std::move(tensor));
  }
  return unique;
}

absl::Status CheckTensors(const ModelSpec& spec, const Checkpoint& checkpoint) {
  std::set<std::string> known(spec.ignored_tensors.begin(),
                              spec.ignored_tensors.end());
  for (const TensorSpec& tensor : AllTensors(spec)) {
    known.insert(tensor.name);
    const TensorView* view = checkpoint.Find(tensor.name);
    if (view == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          checkpoint.directory(), ": tensor \"", tensor.name, "\" is missing"));
    }
    if (view->shape != tensor.shape) {
      return absl::InvalidArgumentError(absl::StrCat(
          checkpoint.directory(), ": tensor \"", tensor.name,
          "\" has the shape [", absl::StrJoin(view->shape, ", "),
          "], but config.json says [", absl::StrJoin(tensor.shape, ", "), "]"));
    }
    if (view->dtype == DType::kOther) {
      return absl::InvalidArgumentError(
          absl::StrCat(checkpoint.directory(), ": tensor \"", tensor.name,
                       "\" has the dtype ", view->dtype_name,
                       "; F32, F16 and BF16 are supported"));
    }
  }
  for (const std::string& name : checkpoint.TensorNames()) {
    if (!known.contains(name)) {
      return absl::InvalidArgumentError(absl::StrCat(
          checkpoint.directory(), ": tensor \"", name, "\" is unexpected: ",
          spec.model_type, " with this config.json has none of that name"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelSpec> LoadModelSpec(const std::string& directory) {
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
  absl::StatusOr<ModelSpec> spec = family(config);
  if (!spec.ok()) return spec.status();
  spec->model_type = model_type;
  spec->eos_ids = config.Ids("eos_token_id");
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
