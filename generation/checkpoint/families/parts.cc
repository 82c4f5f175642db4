#include "generation/checkpoint/families/parts.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "generation/checkpoint/quantized_tensors.h"

namespace braid::model {
namespace {

// Three times what the largest published models have.
constexpr int64_t kMaxExpertsInAll = 1 << 16;
constexpr int64_t kMaxProduct = 1 << 20;

MlpSpec Mlp(const Context& context, int64_t intermediate, bool gated,
            LinearSpec up, LinearSpec down) {
  MlpSpec mlp;
  mlp.intermediate = intermediate;
  mlp.gated = gated;
  mlp.activation = context.activation;
  mlp.up = std::move(up);
  mlp.down = std::move(down);
  return mlp;
}

// Entry `index` of the stacked tensor `whole`, [entries, out, in].
LinearSpec Slice(TensorSpec whole, int64_t index) {
  LinearSpec linear;
  linear.in = whole.shape[2];
  whole.slice = index;
  linear.weights.push_back(std::move(whole));
  return linear;
}

}  // namespace

std::string Context::Pick(std::initializer_list<std::string> names) const {
  if (checkpoint != nullptr) {
    for (const std::string& name : names) {
      if (checkpoint->Find(name) != nullptr) return name;
    }
  }
  return *names.begin();
}

std::string Context::PickPrefix(std::initializer_list<std::string> prefixes,
                                absl::string_view rest) const {
  if (checkpoint != nullptr) {
    for (const std::string& prefix : prefixes) {
      if (checkpoint->Find(absl::StrCat(prefix, rest)) != nullptr) {
        return prefix;
      }
    }
  }
  return *prefixes.begin();
}

RmsNormSpec Context::Norm(absl::string_view name) const {
  return model::Norm(name, hidden, epsilon, weight_offset);
}

Context ReadCommon(ConfigReader& config, const Checkpoint* checkpoint,
                   const CommonFields& fields, ModelSpec* spec) {
  Context context{config, checkpoint};
  context.hidden = config.Int("hidden_size", 1, kMaxWidth);
  context.epsilon = config.Number(fields.epsilon, fields.absent_epsilon);
  if (!(context.epsilon > 0)) config.Fail(fields.epsilon, "must be positive");
  if (fields.layers != nullptr) {
    context.layers = config.Int(fields.layers, 1, kMaxLayers);
  }
  if (fields.activation != nullptr) {
    context.activation =
        ReadActivation(config, fields.activation, fields.absent_activation);
  }
  spec->hidden = context.hidden;
  spec->vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  spec->max_context_tokens =
      config.Int(fields.max_tokens, 1, kMaxContext, fields.absent_max_tokens);
  ReadQuantizationInto(config, spec);
  return context;
}

void ReadQuantizationInto(ConfigReader& config, ModelSpec* spec) {
  const std::optional<kernels::QuantizedFormat> format =
      ReadQuantization(config);
  if (format.has_value()) spec->quantization = format;
}

void AddEnds(const Context& context, const EndNames& names, bool tied,
             ModelSpec* spec) {
  spec->embedding = {names.embedding, {spec->vocab_size, spec->hidden}};
  spec->final_norm = {Tensor(names.final_norm, {spec->hidden}), context.epsilon,
                      context.weight_offset};
  if (tied) {
    spec->head.in = spec->hidden;
    spec->head.weights = {spec->embedding};
    // Some writers store the tied head a second time.
    spec->ignored_tensors.push_back("lm_head.weight");
  } else {
    spec->head = Linear("lm_head", spec->vocab_size, spec->hidden);
  }
}

bool TiedOnlyWithoutHead(const Context& context) {
  return context.config.Bool("tie_word_embeddings", false) &&
         context.checkpoint != nullptr &&
         context.checkpoint->Find("lm_head.weight") == nullptr;
}

kernels::Activation ReadActivation(ConfigReader& config,
                                   absl::string_view field,
                                   absl::string_view absent) {
  const std::string name = config.String(field, absent);
  if (name == "silu" || name == "swish") return kernels::Activation::kSilu;
  if (name == "gelu") return kernels::Activation::kGelu;
  if (name == "relu2") return kernels::Activation::kRelu2;
  config.Unsupported(
      field, absl::StrCat("\"", name,
                          "\" is not supported; silu, gelu and relu2 are"));
  return kernels::Activation::kSilu;
}

void RequireSilu(ConfigReader& config, absl::string_view field) {
  const std::string name = config.String(field, "silu");
  if (name != "silu" && name != "swish") {
    config.Unsupported(
        field, absl::StrCat("\"", name, "\" is not supported; silu is"));
  }
}

std::vector<std::string> ReadKinds(
    const Context& context, absl::string_view field,
    std::initializer_list<absl::string_view> allowed) {
  std::vector<std::string> kinds = context.config.Strings(field);
  if (!context.ok()) return {};
  if (static_cast<int64_t>(kinds.size()) != context.layers) {
    context.config.Fail(
        field,
        absl::StrCat("has ", kinds.size(),
                     " entries, but num_hidden_layers is ", context.layers));
    return {};
  }
  for (std::string& kind : kinds) {
    if (kind == "mamba") kind = "linear_attention";
    if (kind == "attention") kind = "full_attention";
    if (std::find(allowed.begin(), allowed.end(), kind) == allowed.end()) {
      context.config.Unsupported(
          field, absl::StrCat("\"", kind, "\" is not supported; ",
                              absl::StrJoin(allowed, " and "), " are"));
      return {};
    }
  }
  return kinds;
}

std::set<int64_t> ReadLayerSet(const Context& context,
                               absl::string_view field) {
  const std::vector<int64_t> layers = context.config.Ints(field, 0, kMaxLayers);
  return {layers.begin(), layers.end()};
}

int64_t Product(ConfigReader& config, absl::string_view field, int64_t a,
                int64_t b) {
  if (a > kMaxProduct / b) {
    config.Fail(field,
                absl::StrCat("makes a width of ", a, " * ", b, "; at most ",
                             kMaxProduct, " is supported"));
    return 1;
  }
  return a * b;
}

LinearSpec Linear(absl::string_view name, int64_t out, int64_t in, bool bias) {
  LinearSpec linear;
  linear.in = in;
  linear.weights.push_back({absl::StrCat(name, ".weight"), {out, in}});
  if (bias) linear.biases.push_back({absl::StrCat(name, ".bias"), {out}});
  return linear;
}

LinearSpec Stack(std::vector<LinearSpec> parts) {
  LinearSpec stacked;
  stacked.in = parts.front().in;
  for (LinearSpec& part : parts) {
    for (TensorSpec& weight : part.weights) {
      stacked.weights.push_back(std::move(weight));
    }
    for (TensorSpec& bias : part.biases) {
      stacked.biases.push_back(std::move(bias));
    }
  }
  return stacked;
}

RmsNormSpec Norm(absl::string_view name, int64_t width, double epsilon,
                 double weight_offset) {
  return {Tensor(absl::StrCat(name, ".weight"), {width}), epsilon,
          weight_offset};
}

TensorSpec Tensor(absl::string_view name, std::vector<int64_t> shape) {
  return {std::string(name), std::move(shape)};
}

BlockSpec PreNormBlock(RmsNormSpec norm, OperatorSpec branch) {
  BlockSpec block;
  block.pre_norm = std::move(norm);
  block.branches.push_back(std::move(branch));
  return block;
}

MlpSpec GatedMlp(const Context& context, absl::string_view name,
                 int64_t intermediate, bool bias, const MlpNames& names) {
  return Mlp(context, intermediate, /*gated=*/true,
             Stack({Linear(absl::StrCat(name, ".", names.gate), intermediate,
                           context.hidden, bias),
                    Linear(absl::StrCat(name, ".", names.up), intermediate,
                           context.hidden, bias)}),
             Linear(absl::StrCat(name, ".", names.down), context.hidden,
                    intermediate, bias));
}

MlpSpec PlainMlp(const Context& context, absl::string_view name, int64_t in,
                 int64_t intermediate, bool bias) {
  return Mlp(context, intermediate, /*gated=*/false,
             Linear(absl::StrCat(name, ".up_proj"), intermediate, in, bias),
             Linear(absl::StrCat(name, ".down_proj"), in, intermediate, bias));
}

MlpSpec FusedMlp(const Context& context, absl::string_view up,
                 absl::string_view down, int64_t intermediate, bool bias) {
  return Mlp(context, intermediate, /*gated=*/true,
             Linear(up, 2 * intermediate, context.hidden, bias),
             Linear(down, context.hidden, intermediate, bias));
}

int64_t ReadExperts(const Context& context, absl::string_view field,
                    int64_t min, std::optional<int64_t> absent) {
  const int64_t experts = context.config.Int(field, min, kMaxExperts, absent);
  if (experts * context.layers > kMaxExpertsInAll) {
    context.config.Fail(field,
                        absl::StrCat("makes ", experts * context.layers,
                                     " experts in all layers; at most ",
                                     kMaxExpertsInAll, " are supported"));
    return min;
  }
  return experts;
}

std::vector<MlpSpec> GatedExperts(const Context& context,
                                  absl::string_view name, int64_t experts,
                                  int64_t intermediate, const MlpNames& names) {
  const std::string stacked_up = absl::StrCat(name, ".gate_up_proj");
  if (context.checkpoint != nullptr &&
      context.checkpoint->Find(stacked_up) != nullptr) {
    return StackedExperts(context, stacked_up, absl::StrCat(name, ".down_proj"),
                          experts, intermediate);
  }
  std::vector<MlpSpec> list;
  for (int64_t e = 0; e < experts; ++e) {
    list.push_back(GatedMlp(context, absl::StrCat(name, ".", e), intermediate,
                            /*bias=*/false, names));
  }
  return list;
}

std::vector<MlpSpec> StackedExperts(const Context& context,
                                    absl::string_view up,
                                    absl::string_view down, int64_t experts,
                                    int64_t intermediate) {
  std::vector<MlpSpec> list;
  for (int64_t e = 0; e < experts; ++e) {
    list.push_back(
        Mlp(context, intermediate, /*gated=*/true,
            Slice(Tensor(up, {experts, 2 * intermediate, context.hidden}), e),
            Slice(Tensor(down, {experts, context.hidden, intermediate}), e)));
  }
  return list;
}

RouterSpec SoftmaxRouter(const Context& context, absl::string_view name,
                         int64_t experts, bool normalize) {
  RouterSpec router;
  router.score = RouterSpec::Score::kSoftmax;
  router.top_k = context.config.Int("num_experts_per_tok", 1, experts);
  router.normalize = normalize;
  router.logits = Linear(name, experts, context.hidden);
  return router;
}

RouterSpec GroupedRouter(const Context& context, absl::string_view name,
                         int64_t experts, const GroupedRouterFields& fields) {
  ConfigReader& config = context.config;
  RouterSpec router;
  router.score = RouterSpec::Score::kSigmoid;
  router.groups = config.Int(fields.groups, 1, experts, 1);
  router.top_groups = config.Int(fields.top_groups, 1, router.groups, 1);
  // A group is judged by its two best experts.
  if (router.groups > 1 &&
      (experts % router.groups != 0 || experts / router.groups < 2)) {
    config.Fail(fields.groups,
                absl::StrCat("must divide the ", experts,
                             " experts into groups of two or more"));
  }
  router.top_k =
      config.Int(fields.top_k, 1, experts / router.groups * router.top_groups);
  router.normalize = config.Bool(fields.normalize, true);
  router.scale = config.Number(fields.scale, 1.0);
  router.correction_bias =
      Tensor(absl::StrCat(name, ".e_score_correction_bias"), {experts});
  router.logits = Linear(name, experts, context.hidden);
  return router;
}

}  // namespace braid::model
