#include "retrieval/encoder/sentence_config.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "generation/checkpoint/json_file.h"
#include "nlohmann/json.hpp"

namespace braid::retrieval {
namespace {

constexpr uint64_t kMaxConfigBytes = 1'000'000;
constexpr size_t kMaxModules = 8;
constexpr int64_t kMaxSequenceLength = 1 << 16;

struct Module {
  std::string kind;  // last part of the type: Transformer, Pooling, Normalize
  std::string path;  // relative to the directory; may be empty
};

// A relative path that cannot leave the directory.
bool StaysBelow(const std::string& path) {
  if (absl::StartsWith(path, "/") || path.find('\0') != std::string::npos) {
    return false;
  }
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == "..") return false;
  }
  return true;
}

std::string Join(const std::string& directory, const std::string& path) {
  return path.empty() ? directory : absl::StrCat(directory, "/", path);
}

absl::StatusOr<std::vector<Module>> ReadModules(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/modules.json");
  absl::StatusOr<std::string> text =
      model::ReadSmallFile(path, kMaxConfigBytes);
  if (absl::IsNotFound(text.status())) return std::vector<Module>();
  if (!text.ok()) return text.status();
  const nlohmann::json json =
      nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array() || json.empty() || json.size() > kMaxModules) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": must be a list of 1 to ", kMaxModules, " modules"));
  }
  std::vector<Module> modules;
  for (size_t i = 0; i < json.size(); ++i) {
    const nlohmann::json& entry = json[i];
    if (!entry.is_object() || !entry.contains("type") ||
        !entry["type"].is_string() || !entry.contains("path") ||
        !entry["path"].is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": module ", i, " needs a \"type\" and a \"path\""));
    }
    const std::string type = entry["type"].get<std::string>();
    Module module{type.substr(type.rfind('.') + 1),
                  entry["path"].get<std::string>()};
    if (!StaysBelow(module.path)) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": module ", i, ": path leaves the model directory"));
    }
    modules.push_back(std::move(module));
  }
  return modules;
}

// Both spellings: a flag for each mode, or the name of one.
absl::StatusOr<Pooling> ReadPooling(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/config.json");
  absl::StatusOr<nlohmann::json> json =
      model::ReadJsonObject(path, kMaxConfigBytes);
  if (!json.ok()) return json.status();
  std::vector<std::string> modes;
  if (const auto it = json->find("pooling_mode");
      it != json->end() && it->is_string()) {
    modes.push_back(it->get<std::string>());
  }
  for (const auto& [flag, mode] :
       {std::pair<const char*, const char*>{"pooling_mode_mean_tokens", "mean"},
        {"pooling_mode_cls_token", "cls"},
        {"pooling_mode_max_tokens", "max"},
        {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
        {"pooling_mode_weightedmean_tokens", "weightedmean"},
        {"pooling_mode_lasttoken", "lasttoken"}}) {
    const auto it = json->find(flag);
    if (it == json->end()) continue;
    if (!it->is_boolean()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": ", flag, " must be true or false"));
    }
    if (it->get<bool>()) modes.push_back(mode);
  }
  if (modes.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": must name exactly one pooling mode, not ", modes.size()));
  }
  if (modes[0] == "mean") return Pooling::kMean;
  if (modes[0] == "cls") return Pooling::kCls;
  return absl::UnimplementedError(
      absl::StrCat(path, ": pooling mode \"", modes[0].substr(0, 80),
                   "\" is not supported; mean and cls are"));
}

absl::Status ReadTransformerSettings(SentenceConfig* config) {
  const std::string path =
      absl::StrCat(config->model_directory, "/sentence_bert_config.json");
  absl::StatusOr<nlohmann::json> json =
      model::ReadJsonObject(path, kMaxConfigBytes);
  if (absl::IsNotFound(json.status())) return absl::OkStatus();
  if (!json.ok()) return json.status();
  if (const auto it = json->find("max_seq_length");
      it != json->end() && !it->is_null()) {
    if (!it->is_number_integer() || it->get<int64_t>() < 3 ||
        it->get<int64_t>() > kMaxSequenceLength) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": max_seq_length must be an integer from 3 to ",
                       kMaxSequenceLength));
    }
    config->max_tokens = it->get<int64_t>();
  }
  if (const auto it = json->find("do_lower_case"); it != json->end()) {
    if (!it->is_boolean()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": do_lower_case must be true or false"));
    }
    config->lower_case = it->get<bool>();
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SentenceConfig> ReadSentenceConfig(
    const std::string& directory) {
  absl::StatusOr<std::vector<Module>> modules = ReadModules(directory);
  if (!modules.ok()) return modules.status();

  SentenceConfig config;
  config.model_directory = directory;
  bool pooled = modules->empty();
  for (size_t i = 0; i < modules->size(); ++i) {
    const Module& module = (*modules)[i];
    const std::string path = Join(directory, module.path);
    if (i == 0 && module.kind == "Transformer") {
      config.model_directory = path;
    } else if (i == 1 && module.kind == "Pooling") {
      absl::StatusOr<Pooling> pooling = ReadPooling(path);
      if (!pooling.ok()) return pooling.status();
      config.pooling = *pooling;
      pooled = true;
    } else if (i != 2 || module.kind != "Normalize") {
      return absl::UnimplementedError(absl::StrCat(
          directory, "/modules.json: module ", i, " \"",
          module.kind.substr(0, 80),
          "\" is not supported; Transformer, Pooling, Normalize is"));
    }
  }
  if (!pooled) {
    return absl::UnimplementedError(absl::StrCat(
        directory, "/modules.json: a model without Pooling is not supported"));
  }
  if (absl::Status s = ReadTransformerSettings(&config); !s.ok()) return s;
  return config;
}

}  // namespace braid::retrieval
