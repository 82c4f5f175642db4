// What a model is made of, in terms of generic layers. A family file
// (families/*.cc) fills it from `config.json`; everything downstream knows only
// this, never a family.
//
//   model  = embedding, layers, final norm, head
//   layer  = one or more blocks
//   block  : x += residual_multiplier * post_norm(sum of branches(pre_norm(x)))
//   branch = one operator: attention, a linear mixer, a feed-forward
#ifndef BRAID_GENERATION_CHECKPOINT_MODEL_SPEC_H_
#define BRAID_GENERATION_CHECKPOINT_MODEL_SPEC_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "generation/checkpoint/checkpoint.h"
#include "kernels/activation.h"
#include "kernels/quantized_weights.h"

namespace braid::model {

// A tensor of the checkpoint and the shape it must have.
struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
  // Not negative: only this entry of the first dimension is meant, as for one
  // of the experts that some writers stack. `shape` is that of the whole
  // tensor.
  int64_t slice = -1;

  // Shape of what is meant: `shape` without its first dimension for a slice.
  std::vector<int64_t> view_shape() const;
};

// y = s (W (t x) + b) + B (A x). `weights` are stacked by rows: several tensors
// of the file can make one matrix, so that they are one product.
struct LinearSpec {
  std::vector<TensorSpec> weights;  // each [rows, in] once viewed
  std::vector<TensorSpec> biases;   // each [rows], parallel to weights; or none
  int64_t in = 0;
  // Row i of the matrix is row row_order[i] of the stacked tensors. Empty: as
  // stored. For writers that interleave heads.
  std::vector<int64_t> row_order;
  double in_scale = 1;  // t
  // s, as runs of rows (after row_order) that together cover all; empty: 1.
  std::vector<std::pair<int64_t, double>> row_scales;
  // The low-rank addition: A is [rank, in], and B one or more tensors that add
  // to as many runs of rows. Empty: none.
  struct Adapter {
    TensorSpec down;        // [rank, in]
    TensorSpec up;          // [rows, rank]
    int64_t first_row = 0;  // where the run begins
  };
  std::vector<Adapter> adapters;

  int64_t out() const;  // sum of the rows
};

struct RmsNormSpec {
  TensorSpec weight;
  double epsilon = 0;
  double weight_offset = 0;  // 1 for families that store (w - 1)
};

// Rotary position embedding of the first 2 * inverse_frequencies.size()
// dimensions of each head, halves rotated against each other. At position p,
// pair i is turned by p * inverse_frequencies[i] and scaled by `magnitude`.
struct RopeSpec {
  std::vector<float> inverse_frequencies;
  double magnitude = 1;
};

// Causal attention; grouped queries.
struct AttentionSpec {
  int64_t heads = 0;
  int64_t kv_heads = 0;  // divides heads
  int64_t head_dim = 0;
  double scale = 0;  // of the scores
  std::optional<RopeSpec> rope;
  // Of queries and keys, before the rotation: over each head (weight
  // [head_dim]), or over all of a row (weight [heads * head_dim]).
  std::optional<RmsNormSpec> q_norm;
  std::optional<RmsNormSpec> k_norm;
  bool output_gate = false;  // out(attention * sigmoid(gates))
  LinearSpec qkv;  // rows: queries, keys, values, and gates if there are any
  LinearSpec out;

  int64_t q_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
};

// Multi-head latent attention (DeepSeek-V2, section 2.1): keys and values are
// made from a latent of `rank` numbers per token, and `rope_dim` dimensions of
// the key are shared by all heads.
struct MlaSpec {
  int64_t heads = 0;
  int64_t rank = 0;
  int64_t nope_dim = 0;  // of queries and keys, from the latent
  int64_t rope_dim = 0;  // of queries and keys, shared; may be 0
  int64_t value_dim = 0;
  double scale = 0;
  std::optional<RopeSpec> rope;       // of the rope_dim dimensions, if at all
  bool rope_interleaved = false;      // adjacent pairs instead of halves
  std::optional<LinearSpec> q_down;   // low-rank queries: q(q_norm(q_down x))
  std::optional<RmsNormSpec> q_norm;  // there if q_down is
  LinearSpec q;                       // rows: heads x [nope_dim, rope_dim]
  LinearSpec kv_down;                 // rows: latent [rank], key [rope_dim]
  RmsNormSpec kv_norm;                // of the latent
  LinearSpec kv_up;                   // [heads x (nope_dim, value_dim), rank]
  LinearSpec out;
};

// Mamba (Gu and Dao 2023): x_t and z_t from `in`; after the convolution,
// S = exp(dt A) S + dt B x; y = (S C + D x) * silu(z).
struct Mamba1Spec {
  int64_t inner = 0;
  int64_t state_dim = 0;
  int64_t dt_rank = 0;
  int64_t conv_kernel = 0;
  LinearSpec in;                        // rows: x, z, each [inner]
  TensorSpec conv_weight;               // [inner, 1, kernel]
  std::optional<TensorSpec> conv_bias;  // [inner]
  LinearSpec x_proj;                    // rows: dt [dt_rank], B, C [state_dim]
  std::optional<RmsNormSpec> dt_norm;   // Jamba norms the three
  std::optional<RmsNormSpec> b_norm;
  std::optional<RmsNormSpec> c_norm;
  LinearSpec dt_proj;  // [inner, dt_rank]; its bias is added before softplus
  TensorSpec a_log;    // [inner, state_dim]
  TensorSpec d;        // [inner]
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
  // Gated by z. Without a norm, y * silu(z).
  std::optional<RmsNormSpec> norm;
  int64_t norm_groups = 1;  // the norm is taken over each of these parts
  bool norm_before_gate = false;
  LinearSpec out;

  int64_t inner() const { return heads * head_dim; }
  int64_t conv_channels() const { return inner() + 2 * groups * state_dim; }
};

// Mamba-3 (Lahoti et al. 2026): no convolution; the trapezoidal rule, decays
// that depend on the token, a rotation by data-dependent angles, and `rank`
// inputs and outputs per head (MIMO; 1: SISO). For each head, with j over
// ranks:
//
//   dt = softplus(dt + dt_bias), A = -max(decay(a), decay_floor), l =
//   sigmoid(t) B_j, C_j = rotate(norm(B_j) + b_bias_j, norm(C_j) + c_bias_j;
//   theta) theta += pi tanh(angle) dt, one for each of `angles` pairs of
//   dimensions S = exp(dt A) (S + (1 - l) dt sum_j x'_j B'_j^T) + l dt sum_j
//   x_j B_j^T y = out(sum_j mimo_o_j norm(S C_j + D x_j) silu(mimo_z_j z))
//
// where x_j = mimo_x_j x, and x', B' are those of the token before.
struct Mamba3Spec {
  enum class Decay { kSoftplus, kHeavyTail };  // x < 0 ? 1 / (1 - x) : 1 + x
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t state_dim = 0;
  int64_t groups = 0;  // divides heads
  int64_t rank = 1;    // 1, 2, 4, 8 or 16
  int64_t angles = 0;  // at most state_dim / 2
  Decay decay = Decay::kHeavyTail;
  double decay_floor = 1e-4;
  // Pairs (i, i + state_dim / 2), as MIMO checkpoints have them, instead of
  // (2 i, 2 i + 1).
  bool rotate_halves = false;
  // Rows: z, x, B and C [rank, groups, state_dim], dt, a, t [heads], angle.
  LinearSpec in;
  TensorSpec dt_bias;  // [heads]
  RmsNormSpec b_norm;  // [state_dim]
  RmsNormSpec c_norm;
  TensorSpec b_bias;  // [heads, rank, state_dim]
  TensorSpec c_bias;
  TensorSpec d;                      // [heads]
  std::optional<TensorSpec> mimo_x;  // [heads, rank, head_dim], or all three
  std::optional<TensorSpec> mimo_z;  // are missing and 1
  std::optional<TensorSpec> mimo_o;
  std::optional<RmsNormSpec> norm;  // over each head, weight [inner()]
  LinearSpec out;

  int64_t inner() const { return heads * head_dim; }
  int64_t bc_width() const { return rank * groups * state_dim; }
};

// Gated DeltaNet (Yang et al. 2024) and Kimi delta attention (Kimi Linear,
// 2025). For each value head, with q and k of unit length and q scaled by
// key_dim^-0.5:
//
//   S = e^g S;  S += k (beta (v - S^T k))^T;  o = S^T q
//   g = -exp(A_log) softplus(a + dt_bias);  beta = beta_scale sigmoid(b)
//   out(norm(o) * gate_activation(z))
struct DeltaNetSpec {
  int64_t key_heads = 0;  // divides value_heads; each serves consecutive ones
  int64_t value_heads = 0;
  int64_t key_dim = 0;
  int64_t value_dim = 0;
  int64_t conv_kernel = 0;
  bool decay_per_key_channel = false;  // Kimi: g for each of key_dim channels
  double beta_scale = 1;               // 2 allows negative eigenvalues
  // Rows: q, k, v, then z, b, a; where z_up or a_up is there, the row's z or a
  // is its low-rank input instead. b is [value_heads].
  LinearSpec in;
  std::optional<LinearSpec> z_up;  // [value_heads * value_dim, rank]
  std::optional<LinearSpec> a_up;  // [decay_width(), rank]
  // Stacked to [2 * key_heads * key_dim + value_heads * value_dim, 1, kernel],
  // in the order q, k, v.
  std::vector<TensorSpec> conv_weights;
  TensorSpec a_log;           // value_heads elements, in whatever shape
  TensorSpec dt_bias;         // [decay_width()]
  RmsNormSpec norm;           // over each head, weight [value_dim]
  bool sigmoid_gate = false;  // else silu
  LinearSpec out;

  int64_t key_width() const { return key_heads * key_dim; }
  int64_t value_width() const { return value_heads * value_dim; }
  int64_t conv_channels() const { return 2 * key_width() + value_width(); }
  int64_t decay_width() const {
    return decay_per_key_channel ? value_heads * key_dim : value_heads;
  }
};

// LFM2: out(c * conv(b * x)), where b, c and x come from `in`.
struct ShortConvSpec {
  int64_t conv_kernel = 0;
  LinearSpec in;                        // rows: b, c, x, each [hidden]
  TensorSpec conv_weight;               // [hidden, 1, kernel]
  std::optional<TensorSpec> conv_bias;  // [hidden]
  LinearSpec out;
};

// Gated: down(act(gate x) * up x). Not gated: down(act(up x)).
struct MlpSpec {
  int64_t intermediate = 0;
  bool gated = true;
  kernels::Activation activation = kernels::Activation::kSilu;
  LinearSpec up;  // rows: gate, up; or up alone
  LinearSpec down;
  // One row: the output is scaled by sigmoid(output_gate x).
  std::optional<LinearSpec> output_gate;
};

// How a token's experts and their weights follow from the router's logits.
struct RouterSpec {
  // kSoftmax over all experts before the choice; kSoftmaxOfChosen over the
  // chosen ones' logits; kSigmoid of each.
  enum class Score { kSoftmax, kSoftmaxOfChosen, kSigmoid };
  Score score = Score::kSoftmax;
  int64_t top_k = 0;
  // [experts]: added to the score for the choice, not for the weight.
  std::optional<TensorSpec> correction_bias;
  // With groups > 1, experts are chosen inside the best top_groups groups; a
  // group's score is the sum of its two best experts' (biased) scores.
  int64_t groups = 1;
  int64_t top_groups = 1;
  bool normalize = false;  // divide the weights by their sum + epsilon
  double normalize_epsilon = 1e-20;
  double scale = 1;   // of the weights, after that
  LinearSpec logits;  // [experts, hidden]
};

// Routed experts: sum of weight * expert(x) over the chosen ones. Shared
// experts are an MlpSpec beside it. With a latent, the experts work in a
// narrower space: latent_up(sum of weight * expert(latent_down x)).
struct MoeSpec {
  RouterSpec router;
  std::vector<MlpSpec> experts;
  std::optional<LinearSpec> latent_down;
  std::optional<LinearSpec> latent_up;
};

using OperatorSpec =
    std::variant<AttentionSpec, MlaSpec, Mamba1Spec, Mamba2Spec, Mamba3Spec,
                 DeltaNetSpec, ShortConvSpec, MlpSpec, MoeSpec>;

// A path beside the residual stream (Zamba2's shared transformer):
//   out(mlp(mlp_norm(attention(norm([x, embedding of the token])))))
// is added to the input of a block, but not to the stream.
struct SidePathSpec {
  RmsNormSpec norm;  // [2 * hidden]
  AttentionSpec attention;
  RmsNormSpec mlp_norm;
  MlpSpec mlp;
  LinearSpec out;
};

struct BlockSpec {
  std::optional<SidePathSpec> side;  // added to x before pre_norm
  std::optional<RmsNormSpec> pre_norm;
  std::vector<OperatorSpec> branches;
  std::optional<RmsNormSpec> post_norm;
};

// What a layer is, is what one entry of the config's list of layers made.
struct LayerSpec {
  std::vector<BlockSpec> blocks;
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
  // How the matrices that hold codes are stored, if any do.
  std::optional<kernels::QuantizedFormat> quantization;
  // Tensors that a checkpoint may hold and that are not used: whole names, or
  // prefixes that end in ".".
  std::vector<std::string> ignored_tensors;
  std::vector<int32_t> eos_ids;
};

// Reads `config.json` (and the end-of-sequence ids of `generation_config.json`)
// in `directory`. INVALID_ARGUMENT naming the file and the field for a
// malformed value; UNIMPLEMENTED for an architecture or an option that is not
// supported. `checkpoint`, the one in the same directory, tells the spellings
// of tensor names apart; null: the hub's spelling.
absl::StatusOr<ModelSpec> LoadModelSpec(const std::string& directory,
                                        const Checkpoint* checkpoint);

// Every tensor that `spec` names, whole, each once.
std::vector<TensorSpec> AllTensors(const ModelSpec& spec);

// Those of them that may be stored in 8 or 4 bits: the embedding and the
// weights of linear layers, but for what is small and decides much (routers,
// low-rank additions) or is not used as it is stored (what latent attention
// makes its heads of).
std::vector<TensorSpec> QuantizableTensors(const ModelSpec& spec);

// Checks that the checkpoint holds exactly these tensors in these shapes, as
// floating-point numbers or, where they may be, as codes, before anything is
// allocated. INVALID_ARGUMENT naming the first missing, misshapen or unexpected
// one.
absl::Status CheckTensors(const ModelSpec& spec, const Checkpoint& checkpoint);

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_MODEL_SPEC_H_
