// What family files share: reading the fields that all of them have, and
// building the linear maps, norms and feed-forwards that most of them have.
#ifndef BRAID_GENERATION_CHECKPOINT_FAMILIES_PARTS_H_
#define BRAID_GENERATION_CHECKPOINT_FAMILIES_PARTS_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "generation/checkpoint/config_reader.h"
#include "generation/checkpoint/families/family.h"
#include "generation/checkpoint/model_spec.h"

namespace braid::model {

// What a family file carries from one part of a model to the next.
struct Context {
  ConfigReader& config;
  const Checkpoint* checkpoint = nullptr;
  int64_t hidden = 1;
  int64_t layers = 1;
  double epsilon = 1;
  double weight_offset = 0;  // of the norms over the hidden size
  kernels::Activation activation = kernels::Activation::kSilu;

  bool ok() const { return config.status().ok(); }
  // The first name that the checkpoint holds; the first one, which is the
  // hub's, if it holds none of them or there is no checkpoint.
  std::string Pick(std::initializer_list<std::string> names) const;
  // The same with names that differ in how they begin: returns the beginning.
  std::string PickPrefix(std::initializer_list<std::string> prefixes,
                         absl::string_view rest) const;
  // A norm over the hidden size.
  RmsNormSpec Norm(absl::string_view name) const;
};

// Which field says what, and what its absence means. Null: no such field.
struct CommonFields {
  const char* epsilon = "rms_norm_eps";
  double absent_epsilon = 1e-6;
  const char* max_tokens = "max_position_embeddings";
  int64_t absent_max_tokens = 2048;
  const char* activation = "hidden_act";
  const char* absent_activation = "silu";
  const char* layers = "num_hidden_layers";
};

// Bound on the context of a model whose config has none, as that of a purely
// recurrent one.
inline constexpr int64_t kUnboundedContext = 1 << 20;

// Reads the sizes of the model as a whole, into the spec too, and how its
// matrices are quantised.
Context ReadCommon(ConfigReader& config, const Checkpoint* checkpoint,
                   const CommonFields& fields, ModelSpec* spec);

// Done by ReadCommon; for a wrapper's own fields.
void ReadQuantizationInto(ConfigReader& config, ModelSpec* spec);

// Where the model begins and ends.
struct EndNames {
  std::string embedding = "model.embed_tokens.weight";
  std::string final_norm = "model.norm.weight";
};
// Fills embedding, final norm and head. Tied: the head is the embedding.
void AddEnds(const Context& context, const EndNames& names, bool tied,
             ModelSpec* spec);
// For families that ignore tie_word_embeddings and store a head of its own,
// whatever the config says: true only if the checkpoint has no head.
bool TiedOnlyWithoutHead(const Context& context);

// The operator a field names: silu, gelu or relu2.
kernels::Activation ReadActivation(ConfigReader& config,
                                   absl::string_view field,
                                   absl::string_view absent);
// For fields that may only say silu, as that of a convolution.
void RequireSilu(ConfigReader& config, absl::string_view field);

// The kinds of the layers in the list `field`, in the newer spelling
// ("linear_attention" for "mamba", "full_attention" for "attention"): as many
// as there are layers, each one of `allowed`.
std::vector<std::string> ReadKinds(
    const Context& context, absl::string_view field,
    std::initializer_list<absl::string_view> allowed);
// Layers by their indices; none if the field is absent.
std::set<int64_t> ReadLayerSet(const Context& context, absl::string_view field);
// Kinds from a rule of the layer's index.
template <typename Predicate>
std::vector<std::string> MakeKinds(const Context& context, Predicate is_full) {
  std::vector<std::string> kinds;
  for (int64_t i = 0; i < context.layers; ++i) {
    kinds.push_back(is_full(i) ? "full_attention" : "linear_attention");
  }
  return kinds;
}

// a * b; an error naming the field if no real model is that wide.
int64_t Product(ConfigReader& config, absl::string_view field, int64_t a,
                int64_t b);

// `name`.weight, and `name`.bias if there is one.
LinearSpec Linear(absl::string_view name, int64_t out, int64_t in,
                  bool bias = false);
// Several maps of the same input as one, rows below each other.
LinearSpec Stack(std::vector<LinearSpec> parts);
// `name`.weight.
RmsNormSpec Norm(absl::string_view name, int64_t width, double epsilon,
                 double weight_offset = 0);
// One tensor, for operators that are not linear maps.
TensorSpec Tensor(absl::string_view name, std::vector<int64_t> shape);
BlockSpec PreNormBlock(RmsNormSpec norm, OperatorSpec branch);

// Projections of a gated feed-forward, as they are called in the files.
struct MlpNames {
  std::string gate = "gate_proj";
  std::string up = "up_proj";
  std::string down = "down_proj";
};
MlpSpec GatedMlp(const Context& context, absl::string_view name,
                 int64_t intermediate, bool bias = false,
                 const MlpNames& names = {});
// down(act(up x)).
MlpSpec PlainMlp(const Context& context, absl::string_view name, int64_t in,
                 int64_t intermediate, bool bias = false);
// Gate and up already stacked in one tensor, [2 * intermediate, hidden].
MlpSpec FusedMlp(const Context& context, absl::string_view up,
                 absl::string_view down, int64_t intermediate,
                 bool bias = false);

// How many experts a layer has. The number of layers times that of experts is
// bounded too: every expert becomes a spec before any tensor is looked at.
int64_t ReadExperts(const Context& context, absl::string_view field,
                    int64_t min, std::optional<int64_t> absent = std::nullopt);
// Experts `name`.E.gate_proj.weight and so on; or, if the checkpoint has those,
// the stacked `name`.gate_up_proj [E, 2 * intermediate, hidden] and
// `name`.down_proj [E, hidden, intermediate].
std::vector<MlpSpec> GatedExperts(const Context& context,
                                  absl::string_view name, int64_t experts,
                                  int64_t intermediate,
                                  const MlpNames& names = {});
// The same with the whole names of the stacked tensors, always.
std::vector<MlpSpec> StackedExperts(const Context& context,
                                    absl::string_view up,
                                    absl::string_view down, int64_t experts,
                                    int64_t intermediate);

// Softmax over all experts, weights of the chosen ones normalised or not.
RouterSpec SoftmaxRouter(const Context& context, absl::string_view name,
                         int64_t experts, bool normalize);

// DeepSeek-V3's router: sigmoid, correction bias, groups.
struct GroupedRouterFields {
  absl::string_view top_k = "num_experts_per_tok";
  absl::string_view groups = "n_group";
  absl::string_view top_groups = "topk_group";
  absl::string_view normalize = "norm_topk_prob";
  absl::string_view scale = "routed_scaling_factor";
};
RouterSpec GroupedRouter(const Context& context, absl::string_view name,
                         int64_t experts, const GroupedRouterFields& fields);

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_FAMILIES_PARTS_H_
