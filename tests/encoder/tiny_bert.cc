#include "tests/encoder/tiny_bert.h"

#include <stdlib.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace braid::retrieval {

TempDirectory::TempDirectory() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "braid-encoder-XXXXXX")
          .string();
  if (mkdtemp(pattern.data()) == nullptr) {
    throw std::runtime_error("cannot make a temporary directory");
  }
  path_ = pattern;
}

TempDirectory::~TempDirectory() { std::filesystem::remove_all(path_); }

void TempDirectory::Write(const std::string& name,
                          const std::string& content) const {
  const std::filesystem::path path = std::filesystem::path(path_) / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

TinyBert::TinyBert() {
  config_ = {.vocab_size = 8,
             .hidden_size = 12,
             .num_layers = 2,
             .num_heads = 3,
             .intermediate_size = 20,
             .max_positions = 16,
             .type_vocab_size = 2,
             .layer_norm_epsilon = 1e-12f};
  std::mt19937 engine(11);
  std::normal_distribution<float> normal(0.0f, 0.5f);
  const auto add = [&](const std::string& name, std::vector<int64_t> shape,
                       float offset = 0.0f) {
    TinyTensor& tensor = tensors_[name];
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    tensor.shape = std::move(shape);
    for (int64_t i = 0; i < count; ++i) {
      tensor.values.push_back(offset + normal(engine));
    }
  };
  const int64_t hidden = config_.hidden_size;
  const auto add_linear = [&](const std::string& name, int64_t out,
                              int64_t in) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  };
  const auto add_norm = [&](const std::string& name) {
    add(name + ".weight", {hidden}, 1.0f);
    add(name + ".bias", {hidden});
  };
  add("embeddings.word_embeddings.weight", {config_.vocab_size, hidden});
  add("embeddings.position_embeddings.weight", {config_.max_positions, hidden});
  add("embeddings.token_type_embeddings.weight",
      {config_.type_vocab_size, hidden});
  add_norm("embeddings.LayerNorm");
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const std::string layer = absl::StrCat("encoder.layer.", i, ".");
    for (const char* part : {"query", "key", "value"}) {
      add_linear(layer + "attention.self." + part, hidden, hidden);
    }
    add_linear(layer + "attention.output.dense", hidden, hidden);
    add_norm(layer + "attention.output.LayerNorm");
    add_linear(layer + "intermediate.dense", config_.intermediate_size, hidden);
    add_linear(layer + "output.dense", hidden, config_.intermediate_size);
    add_norm(layer + "output.LayerNorm");
  }
}

std::string TinyBert::ConfigJson() const {
  return nlohmann::json{{"model_type", "bert"},
                        {"hidden_act", "gelu"},
                        {"vocab_size", config_.vocab_size},
                        {"hidden_size", config_.hidden_size},
                        {"num_hidden_layers", config_.num_layers},
                        {"num_attention_heads", config_.num_heads},
                        {"intermediate_size", config_.intermediate_size},
                        {"max_position_embeddings", config_.max_positions},
                        {"type_vocab_size", config_.type_vocab_size},
                        {"layer_norm_eps", config_.layer_norm_epsilon}}
      .dump();
}

std::string TinyBert::Safetensors(const std::string& prefix) const {
  nlohmann::json header;
  std::string data;
  for (const auto& [name, tensor] : tensors_) {
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(tensor.values.data()),
                tensor.values.size() * sizeof(float));
    // A classifier stands beside the model, not in it.
    const bool head = name.rfind("classifier.", 0) == 0;
    header[head ? name : prefix + name] = {
        {"dtype", "F32"},
        {"shape", tensor.shape},
        {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = header.dump();
  const uint64_t size = text.size();
  std::string file(sizeof(size), '\0');
  std::memcpy(file.data(), &size, sizeof(size));
  return file + text + data;
}

std::string TinyBert::TokenizerJson() {
  nlohmann::json json = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", nlohmann::json::array()},
      {"normalizer",
       {{"type", "BertNormalizer"},
        {"clean_text", true},
        {"handle_chinese_chars", true},
        {"strip_accents", nullptr},
        {"lowercase", true}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"post_processor",
       {{"type", "BertProcessing"},
        {"sep", {"[SEP]", 3}},
        {"cls", {"[CLS]", 2}}}},
      {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
      {"model",
       {{"type", "WordPiece"},
        {"unk_token", "[UNK]"},
        {"continuing_subword_prefix", "##"},
        {"max_input_chars_per_word", 100},
        {"vocab",
         {{"[PAD]", 0},
          {"[UNK]", 1},
          {"[CLS]", 2},
          {"[SEP]", 3},
          {"red", 4},
          {"green", 5},
          {"blue", 6},
          {"##ish", 7}}}}}};
  const std::pair<int, const char*> special[] = {
      {0, "[PAD]"}, {1, "[UNK]"}, {2, "[CLS]"}, {3, "[SEP]"}};
  for (const auto& [id, content] : special) {
    json["added_tokens"].push_back({{"id", id},
                                    {"content", content},
                                    {"single_word", false},
                                    {"lstrip", false},
                                    {"rstrip", false},
                                    {"normalized", false},
                                    {"special", true}});
  }
  return json.dump();
}

// x [rows, in] -> [rows, out]
std::vector<double> TinyBert::Linear(const std::string& name,
                                     const std::vector<double>& x) const {
  const TinyTensor& weight = tensors_.at(name + ".weight");
  const TinyTensor& bias = tensors_.at(name + ".bias");
  const size_t out = weight.shape[0];
  const size_t in = weight.shape[1];
  std::vector<double> y;
  for (size_t r = 0; r < x.size() / in; ++r) {
    for (size_t o = 0; o < out; ++o) {
      double sum = bias.values[o];
      for (size_t i = 0; i < in; ++i) {
        sum += weight.values[o * in + i] * x[r * in + i];
      }
      y.push_back(sum);
    }
  }
  return y;
}

void TinyBert::Normalize(const std::string& name,
                         std::vector<double>* x) const {
  const TinyTensor& weight = tensors_.at(name + ".weight");
  const TinyTensor& bias = tensors_.at(name + ".bias");
  const size_t dim = config_.hidden_size;
  for (size_t at = 0; at < x->size(); at += dim) {
    double mean = 0.0;
    double variance = 0.0;
    for (size_t i = 0; i < dim; ++i) mean += (*x)[at + i] / dim;
    for (size_t i = 0; i < dim; ++i) {
      variance += ((*x)[at + i] - mean) * ((*x)[at + i] - mean) / dim;
    }
    for (size_t i = 0; i < dim; ++i) {
      (*x)[at + i] = ((*x)[at + i] - mean) /
                         std::sqrt(variance + config_.layer_norm_epsilon) *
                         weight.values[i] +
                     bias.values[i];
    }
  }
}

std::vector<double> TinyBert::Attend(const std::vector<double>& q,
                                     const std::vector<double>& k,
                                     const std::vector<double>& v) const {
  const size_t dim = config_.hidden_size;
  const size_t head_dim = dim / config_.num_heads;
  const size_t rows = q.size() / dim;
  std::vector<double> out(q.size());
  for (int64_t head = 0; head < config_.num_heads; ++head) {
    for (size_t t = 0; t < rows; ++t) {
      std::vector<double> weights(rows);
      double sum = 0.0;
      for (size_t s = 0; s < rows; ++s) {
        double dot = 0.0;
        for (size_t i = head * head_dim; i < (head + 1) * head_dim; ++i) {
          dot += q[t * dim + i] * k[s * dim + i];
        }
        sum += weights[s] = std::exp(dot / std::sqrt(head_dim));
      }
      for (size_t s = 0; s < rows; ++s) {
        for (size_t i = head * head_dim; i < (head + 1) * head_dim; ++i) {
          out[t * dim + i] += weights[s] / sum * v[s * dim + i];
        }
      }
    }
  }
  return out;
}

std::vector<double> TinyBert::Forward(const std::vector<int32_t>& ids,
                                      const std::vector<uint8_t>& types) const {
  const size_t dim = config_.hidden_size;
  const auto row = [&](const char* table, size_t index, size_t i) {
    return tensors_.at(absl::StrCat("embeddings.", table, ".weight"))
        .values[index * dim + i];
  };
  std::vector<double> x;
  for (size_t t = 0; t < ids.size(); ++t) {
    for (size_t i = 0; i < dim; ++i) {
      x.push_back(
          static_cast<double>(row("word_embeddings", ids[t], i)) +
          row("position_embeddings", t, i) +
          row("token_type_embeddings", types.empty() ? 0 : types[t], i));
    }
  }
  const auto add = [](const std::vector<double>& a, std::vector<double>* b) {
    for (size_t i = 0; i < a.size(); ++i) (*b)[i] += a[i];
  };
  Normalize("embeddings.LayerNorm", &x);
  for (int64_t index = 0; index < config_.num_layers; ++index) {
    const std::string layer = absl::StrCat("encoder.layer.", index, ".");
    const std::string self = layer + "attention.self.";
    const std::vector<double> context =
        Attend(Linear(self + "query", x), Linear(self + "key", x),
               Linear(self + "value", x));
    add(Linear(layer + "attention.output.dense", context), &x);
    Normalize(layer + "attention.output.LayerNorm", &x);
    std::vector<double> inner = Linear(layer + "intermediate.dense", x);
    for (double& value : inner) {
      value = 0.5 * value * std::erfc(-value / std::sqrt(2.0));
    }
    add(Linear(layer + "output.dense", inner), &x);
    Normalize(layer + "output.LayerNorm", &x);
  }
  return x;
}

}  // namespace braid::retrieval
