#include "generation/checkpoint/bert_config.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "generation/checkpoint/config_reader.h"
#include "generation/checkpoint/json_file.h"
#include "generation/checkpoint/quantized_tensors.h"
#include "nlohmann/json.hpp"

namespace braid::model {
namespace {

constexpr uint64_t kMaxConfigBytes = 1'000'000;

// Reads an integer field in [1, max].
absl::Status ReadSize(const nlohmann::json& json, const std::string& path,
                      const char* field, int64_t max, int64_t* out) {
  const auto it = json.find(field);
  if (it == json.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", field, " is missing"));
  }
  // An unsigned number above the signed range would wrap around in a cast.
  if (!it->is_number_integer() ||
      (it->is_number_unsigned() &&
       it->get<uint64_t>() > static_cast<uint64_t>(max)) ||
      it->get<int64_t>() < 1 || it->get<int64_t>() > max) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", field, " must be an integer from 1 to ", max,
                     ", not ", it->dump().substr(0, 40)));
  }
  *out = it->get<int64_t>();
  return absl::OkStatus();
}

// A string field that must have one value; absent means that value.
absl::Status RequireValue(const nlohmann::json& json, const std::string& path,
                          const char* field, const std::string& value) {
  const auto it = json.find(field);
  if (it == json.end() || it->is_null()) return absl::OkStatus();
  if (!it->is_string()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", field, " must be a string"));
  }
  const std::string& found = it->get_ref<const std::string&>();
  if (found != value) {
    return absl::UnimplementedError(
        absl::StrCat(path, ": ", field, " \"", found.substr(0, 80),
                     "\" is not supported; only \"", value, "\" is"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> IsBert(const std::string& directory) {
  const absl::StatusOr<nlohmann::json> json =
      ReadJsonObject(absl::StrCat(directory, "/config.json"), kMaxConfigBytes);
  if (!json.ok()) return json.status();
  const auto type = json->find("model_type");
  return type != json->end() && *type == "bert";
}

absl::StatusOr<BertConfig> ReadBertConfig(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/config.json");
  absl::StatusOr<nlohmann::json> json = ReadJsonObject(path, kMaxConfigBytes);
  if (!json.ok()) return json.status();
  if (!json->contains("model_type")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": model_type is missing"));
  }
  for (const auto& [field, value] :
       {std::pair<const char*, const char*>{"model_type", "bert"},
        {"hidden_act", "gelu"},
        {"position_embedding_type", "absolute"}}) {
    if (absl::Status s = RequireValue(*json, path, field, value); !s.ok()) {
      return s;
    }
  }

  BertConfig config;
  struct Field {
    const char* name;
    int64_t max;
    int64_t* out;
  };
  for (const Field& field :
       {Field{"vocab_size", int64_t{1} << 24, &config.vocab_size},
        Field{"hidden_size", 1 << 14, &config.hidden_size},
        Field{"num_hidden_layers", 256, &config.num_layers},
        Field{"num_attention_heads", 1 << 10, &config.num_heads},
        Field{"intermediate_size", 1 << 16, &config.intermediate_size},
        Field{"max_position_embeddings", 1 << 16, &config.max_positions},
        Field{"type_vocab_size", 1 << 10, &config.type_vocab_size}}) {
    if (absl::Status s =
            ReadSize(*json, path, field.name, field.max, field.out);
        !s.ok()) {
      return s;
    }
  }
  if (config.hidden_size % config.num_heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": hidden_size ", config.hidden_size,
        " is not a multiple of num_attention_heads ", config.num_heads));
  }
  if (const auto it = json->find("layer_norm_eps"); it != json->end()) {
    if (!it->is_number() || !(it->get<double>() >= 0.0) ||
        !(it->get<double>() <= 1.0)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": layer_norm_eps must be a number from 0 to 1"));
    }
    config.layer_norm_epsilon = it->get<float>();
  }
  ConfigReader reader(*json, path);
  config.quantization = ReadQuantization(reader);
  if (!reader.status().ok()) return reader.status();
  return config;
}

}  // namespace braid::model
