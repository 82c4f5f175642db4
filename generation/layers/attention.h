// Causal grouped-query attention with a key and value cache.
#ifndef BRAID_GENERATION_LAYERS_ATTENTION_H_
#define BRAID_GENERATION_LAYERS_ATTENTION_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/model_spec.h"
#include "generation/layers/linear.h"
#include "generation/layers/workspace.h"

namespace braid::model {

// Keys and values of the tokens so far: [tokens, kv_heads * head_dim] each.
struct KvCache {
  std::vector<float> keys;
  std::vector<float> values;
  size_t tokens = 0;
};

// Immutable after loading; shared between threads.
class Attention {
 public:
  static absl::StatusOr<std::unique_ptr<Attention>> Load(
      const AttentionSpec& spec, const Checkpoint& checkpoint);

  // Bytes that one token adds to the cache.
  size_t kv_bytes_per_token() const { return 2 * kv_width_ * sizeof(float); }
  // Makes room, so that `tokens` in all need no further allocation.
  void Reserve(size_t tokens, KvCache* cache) const;

  // The next `rows` tokens of the sequence whose past is in `cache`: x and out
  // are [rows, hidden]. Any number of rows; the past grows by them.
  void Forward(const float* x, size_t rows, KvCache* cache, float* out,
               Workspace* workspace) const;

 private:
  explicit Attention(const AttentionSpec& spec);
  // Rotates rows [rows, heads * head_dim], `ld` apart, at `position` and after.
  void Rotate(float* x, size_t ld, size_t rows, size_t heads,
              size_t position) const;

  size_t heads_;
  size_t kv_heads_;
  size_t head_dim_;
  size_t kv_width_;
  float scale_;
  std::vector<float> inverse_frequencies_;  // [dims / 2]; empty without RoPE
  Linear qkv_;
  Linear out_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_ATTENTION_H_
