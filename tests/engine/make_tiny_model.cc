#include "tests/engine/make_tiny_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "generation/checkpoint/json_file.h"
#include "tests/checkpoint/test_directory.h"
#include "tests/text/tiny_tokenizer.h"

namespace braid::generation {
namespace {

namespace fs = std::filesystem;

// `count` numbers in [low, high), the same as `uniform` in
// tiny/make_goldens.py.
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

std::vector<float> Draw(const std::string& name,
                        const std::vector<int64_t>& shape, int seed) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  const auto draw = [&](double low, double high) {
    return Uniform(absl::StrCat(seed, "/", name), count, low, high);
  };
  if (absl::EndsWith(name, "A_log")) return draw(-1.0, 1.75);
  if (absl::EndsWith(name, "dt_bias") || absl::EndsWith(name, "dt_proj.bias")) {
    return draw(-4.5, -0.25);
  }
  if (absl::EndsWith(name, ".D")) return draw(0.25, 1.75);
  if (absl::StrContains(name, "norm")) return draw(0.5, 1.5);
  if (absl::EndsWith(name, "bias")) return draw(-0.5, 0.5);
  if (absl::StrContains(name, "conv") && shape.size() == 3) {
    return draw(-1.0, 1.0);
  }
  if (absl::StrContains(name, "embed") || absl::StrContains(name, "lm_head")) {
    return draw(-0.5, 0.5);
  }
  const double high = 2.0 / std::sqrt(static_cast<double>(shape.back()));
  return draw(-high, high);
}

std::string DataFile(const std::string& name) {
  return std::string(BRAID_SOURCE_DIR) + "/tests/engine/tiny/" + name;
}

nlohmann::json ReadData(const std::string& name) {
  auto data = model::ReadJsonObject(DataFile(name), 1 << 20);
  EXPECT_TRUE(data.ok()) << data.status();
  return data.ok() ? *data : nlohmann::json::object();
}

}  // namespace

std::vector<std::string> TinyModels() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(DataFile(""))) {
    std::string name = entry.path().filename();
    if (!absl::EndsWith(name, ".golden.json")) continue;
    names.push_back(name.substr(0, name.find('.')));
  }
  std::sort(names.begin(), names.end());
  return names;
}

nlohmann::json TinyConfig(const std::string& name) {
  return ReadData(name + ".config.json");
}

std::map<std::string, model::NamedTensor> TinyWeights(const std::string& name) {
  const nlohmann::json golden = ReadData(name + ".golden.json");
  std::map<std::string, model::NamedTensor> weights;
  const nlohmann::json tensors =
      golden.value("tensors", nlohmann::json::object());
  for (const auto& [tensor, shape] : tensors.items()) {
    const auto dims = shape.get<std::vector<int64_t>>();
    weights[tensor] = {dims, Draw(tensor, dims, golden.value("seed", 0))};
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
  const std::string directory =
      WriteTinyModel(name, TinyConfig(name), TinyWeights(name));
  fs::copy_file(DataFile(name + ".golden.json"), directory + "/reference.json");
  return directory;
}

}  // namespace braid::generation
