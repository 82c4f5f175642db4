// A BERT small enough to be computed by hand: random weights, written to disk
// in the Hugging Face layout, and its forward pass in scalar f64.
#ifndef BRAID_TESTS_ENCODER_TINY_BERT_H_
#define BRAID_TESTS_ENCODER_TINY_BERT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "generation/checkpoint/bert_config.h"

namespace braid::retrieval {

// A directory of its own, removed with what is in it.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  const std::string& path() const { return path_; }
  // Creates folders on the way.
  void Write(const std::string& name, const std::string& content) const;

 private:
  std::string path_;
};

struct TinyTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

class TinyBert {
 public:
  // Hidden size 12 (3 heads of 4), inner size 20, 2 layers, 16 positions and
  // the vocabulary of TokenizerJson.
  TinyBert();

  const model::BertConfig& config() const { return config_; }
  std::map<std::string, TinyTensor>& tensors() { return tensors_; }

  std::string ConfigJson() const;
  // In f32, each name with `prefix` in front.
  std::string Safetensors(const std::string& prefix) const;
  // WordPiece with [CLS] and [SEP] over the words "red", "green", "blue" and
  // the piece "##ish".
  static std::string TokenizerJson();

  // Hidden vectors [ids.size(), hidden_size] of one sequence; without `types`
  // all of type 0.
  std::vector<double> Forward(const std::vector<int32_t>& ids,
                              const std::vector<uint8_t>& types = {}) const;
  // x W^T + b of a tensor's weight and bias, for each row of x.
  std::vector<double> Linear(const std::string& name,
                             const std::vector<double>& x) const;

 private:
  void Normalize(const std::string& name, std::vector<double>* x) const;
  std::vector<double> Attend(const std::vector<double>& q,
                             const std::vector<double>& k,
                             const std::vector<double>& v) const;

  model::BertConfig config_;
  std::map<std::string, TinyTensor> tensors_;
};

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_ENCODER_TINY_BERT_H_
