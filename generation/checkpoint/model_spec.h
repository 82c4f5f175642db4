// What a model is made of, in terms of generic layers. A family file
// (families/*.cc) fills it from `config.json`; everything downstream knows only
// this, never a family.
#ifndef BRAID_GENERATION_CHECKPOINT_MODEL_SPEC_H_
#define BRAID_GENERATION_CHECKPOINT_MODEL_SPEC_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "generation/checkpoint/checkpoint.h"

namespace braid::model {

// A tensor of the checkpoint and the shape it must have.
struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
};

// y = W x + b. `weights` are stacked by rows: several tensors of the file can
// make one matrix, so that they are one product.
struct LinearSpec {
  std::vector<TensorSpec> weights;  // each [rows, in]
  std::vector<TensorSpec> biases;   // each [rows], parallel to weights; or none
  int64_t in = 0;
  int64_t out() const;  // sum of the rows
};

struct RmsNormSpec {
  TensorSpec weight;
  double epsilon = 0;
};

// Rotary position embedding on the first `dims` of each head, halves rotated
// against each other.
struct RopeSpec {
  double theta = 0;
  int64_t dims = 0;
};

// Causal attention; grouped queries.
struct AttentionSpec {
  int64_t heads = 0;
  int64_t kv_heads = 0;  // divides heads
  int64_t head_dim = 0;
  double scale = 0;  // of the scores
  std::optional<RopeSpec> rope;
  LinearSpec qkv;  // rows: queries, keys, values
  LinearSpec out;
};

struct Mamba2Spec {
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t state_dim = 0;
  int64_t groups = 0;  // divides heads
  int64_t conv_kernel = 0;
  double dt_min = 0;  // clamp of the time step after softplus
  double dt_max = std::numeric_limits<double>::infinity();
  LinearSpec in;                        // rows: z, x, B, C, dt
  TensorSpec conv_weight;               // [x + B + C, 1, kernel]
  std::optional<TensorSpec> conv_bias;  // [x + B + C]
  TensorSpec a_log;                     // [heads]
  TensorSpec d;                         // [heads]
  TensorSpec dt_bias;                   // [heads]
  RmsNormSpec norm;                     // gated, over each of `groups`
  LinearSpec out;

  int64_t inner() const { return heads * head_dim; }
  int64_t conv_channels() const { return inner() + 2 * groups * state_dim; }
};

// SwiGLU: down(silu(gate x) * up x).
struct MlpSpec {
  int64_t intermediate = 0;
  LinearSpec gate_up;  // rows: gate, up
  LinearSpec down;
};

// Routed experts, each a SwiGLU. The router's top_k logits are chosen and the
// softmax is taken over these.
struct MoeSpec {
  int64_t experts = 0;
  int64_t top_k = 0;
  int64_t intermediate = 0;
  LinearSpec router;
  TensorSpec gate_up;  // [experts, 2 * intermediate, hidden], gate rows first
  TensorSpec down;     // [experts, hidden, intermediate]
};

// x += m * mixer(norm(x)); x += m * (moe(norm(x)) + mlp(norm(x))), where m is
// the model's residual multiplier.
struct LayerSpec {
  RmsNormSpec mixer_norm;
  std::variant<AttentionSpec, Mamba2Spec> mixer;
  RmsNormSpec ffn_norm;
  std::optional<MlpSpec> mlp;
  std::optional<MoeSpec> moe;
};

struct ModelSpec {
  std::string model_type;
  int64_t vocab_size = 0;
  int64_t hidden = 0;
  int64_t max_context_tokens = 0;
  double embedding_multiplier = 1;
  double residual_multiplier = 1;
  double logits_divisor = 1;
  TensorSpec embedding;  // [vocab, hidden]
  std::vector<LayerSpec> layers;
  RmsNormSpec final_norm;
  LinearSpec head;  // the embedding itself where the two are tied
  // Tensors that a checkpoint may hold and that are not used.
  std::vector<std::string> ignored_tensors;
  std::vector<int32_t> eos_ids;
};

// Reads `config.json` (and the end-of-sequence ids of `generation_config.json`)
// in `directory`. INVALID_ARGUMENT naming the file and the field for a
// malformed value; UNIMPLEMENTED for an architecture or an option that is not
// supported.
absl::StatusOr<ModelSpec> LoadModelSpec(const std::string& directory);

// Every tensor that `spec` names, each once.
std::vector<TensorSpec> AllTensors(const ModelSpec& spec);

// Checks that the checkpoint holds exactly these tensors in these shapes,
// before anything is allocated. INVALID_ARGUMENT naming the first missing,
// misshapen or unexpected one.
absl::Status CheckTensors(const ModelSpec& spec, const Checkpoint& checkpoint);

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_MODEL_SPEC_H_
