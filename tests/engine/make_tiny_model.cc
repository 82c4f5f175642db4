#include "tests/engine/make_tiny_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "generation/checkpoint/json_file.h"
#include "generation/checkpoint/model_spec.h"
#include "tests/checkpoint/test_directory.h"
#include "tests/text/tiny_tokenizer.h"

namespace braid::generation {
namespace {

namespace fs = std::filesystem;

// `count` numbers in [low, high), the same as `uniform` in make_goldens.py.
std::vector<float> Uniform(const std::string& name, int64_t count, double low,
                           double high) {
  uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
  for (const unsigned char byte : name) {
    hash = (hash ^ byte) * 0x100000001B3;
  }
  std::vector<float> values;
  for (int64_t i = 1; i <= count; ++i) {  // splitmix64
    uint64_t x = static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15 + hash;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    x ^= x >> 31;
    const double unit = static_cast<double>(x >> 40) / 0x1p24;
    values.push_back(static_cast<float>(low + unit * (high - low)));
  }
  return values;
}

std::vector<float> Draw(const model::TensorSpec& tensor) {
  int64_t count = 1;
  for (const int64_t dim : tensor.shape) count *= dim;
  const std::string& name = tensor.name;
  if (absl::EndsWith(name, "A_log")) return Uniform(name, count, -1.0, 1.75);
  if (absl::EndsWith(name, "dt_bias")) {
    return Uniform(name, count, -4.5, -0.25);
  }
  if (absl::EndsWith(name, ".D")) return Uniform(name, count, 0.25, 1.75);
  if (absl::StrContains(name, "norm")) return Uniform(name, count, 0.5, 1.5);
  if (absl::EndsWith(name, "bias")) return Uniform(name, count, -0.5, 0.5);
  if (absl::StrContains(name, "conv1d")) return Uniform(name, count, -1, 1);
  if (absl::StrContains(name, "embed_tokens") ||
      absl::StrContains(name, "lm_head")) {
    return Uniform(name, count, -0.5, 0.5);
  }
  const double high = 2.0 / std::sqrt(static_cast<double>(tensor.shape.back()));
  return Uniform(name, count, -high, high);
}

std::string DataFile(const std::string& name) {
  return std::string(BRAID_SOURCE_DIR) + "/tests/engine/" + name;
}

}  // namespace

nlohmann::json TinyConfig(const std::string& name) {
  auto config = model::ReadJsonObject(DataFile(name + ".config.json"), 1 << 20);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : nlohmann::json::object();
}

std::map<std::string, model::NamedTensor> TinyWeights(
    const nlohmann::json& config) {
  const std::string directory = model::NewDirectory("tiny_weights");
  std::ofstream(directory + "/config.json") << config.dump();
  std::map<std::string, model::NamedTensor> weights;
  auto spec = model::LoadModelSpec(directory);
  EXPECT_TRUE(spec.ok()) << spec.status();
  if (!spec.ok()) return weights;
  for (const model::TensorSpec& tensor : model::AllTensors(*spec)) {
    weights[tensor.name] = {tensor.shape, Draw(tensor)};
  }
  return weights;
}

std::string WriteTinyModel(
    const std::string& directory_name, const nlohmann::json& config,
    const std::map<std::string, model::NamedTensor>& weights) {
  const std::string directory = model::NewDirectory(directory_name);
  std::ofstream(directory + "/config.json") << config.dump();
  std::ofstream(directory + "/tokenizer.json")
      << model::TinyTokenizerJson().dump();
  std::ofstream(directory + "/tokenizer_config.json")
      << R"({"bos_token":"<s>","eos_token":"</s>"})";
  model::WriteSafetensors(directory + "/model.safetensors", weights);
  return directory;
}

std::string MakeTinyModel(const std::string& name) {
  const nlohmann::json config = TinyConfig(name);
  const std::string directory =
      WriteTinyModel(name, config, TinyWeights(config));
  fs::copy_file(DataFile(name + ".golden.json"), directory + "/reference.json");
  return directory;
}

}  // namespace braid::generation
