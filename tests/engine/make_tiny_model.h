// Tiny models that tests build themselves: configs from the repository, weights
// drawn from the tensors' names by the rule that tiny/make_goldens.py uses too.
#ifndef BRAID_TESTS_ENGINE_MAKE_TINY_MODEL_H_
#define BRAID_TESTS_ENGINE_MAKE_TINY_MODEL_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/checkpoint/safetensors_writer.h"

namespace braid::generation {

// Every model in tests/engine/tiny: one or more of each family.
std::vector<std::string> TinyModels();

// The config in tests/engine/tiny/<name>.config.json.
nlohmann::json TinyConfig(const std::string& name);

// The weights of that model, by the names and shapes that transformers writes.
std::map<std::string, model::NamedTensor> TinyWeights(const std::string& name);

// Writes config.json, model.safetensors, tokenizer.json and
// tokenizer_config.json into a new directory and returns its path.
std::string WriteTinyModel(
    const std::string& directory_name, const nlohmann::json& config,
    const std::map<std::string, model::NamedTensor>& weights);

// TinyConfig, TinyWeights, WriteTinyModel, and the golden as reference.json.
std::string MakeTinyModel(const std::string& name);

}  // namespace braid::generation

#endif  // BRAID_TESTS_ENGINE_MAKE_TINY_MODEL_H_
