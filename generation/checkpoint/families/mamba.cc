// Mamba and Mamba-2 as Hugging Face ships them: one mixer per layer.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/mixers.h"
#include "generation/checkpoint/families/parts.h"

namespace braid::model {
namespace {

constexpr CommonFields kFields = {.epsilon = "layer_norm_epsilon",
                                  .absent_epsilon = 1e-5,
                                  .absent_max_tokens = kUnboundedContext,
                                  .activation = nullptr};

void AddMambaEnds(const Context& context, bool tied_if_absent,
                  ModelSpec* spec) {
  // Early writers left out an "s".
  AddEnds(context,
          {context.Pick(
               {"backbone.embeddings.weight", "backbone.embedding.weight"}),
           "backbone.norm_f.weight"},
          context.config.Bool("tie_word_embeddings", tied_if_absent), spec);
}

void AddLayer(const Context& context, int64_t index, OperatorSpec mixer,
              ModelSpec* spec) {
  spec->layers.push_back({{PreNormBlock(
      context.Norm(absl::StrCat("backbone.layers.", index, ".norm")),
      std::move(mixer))}});
}

}  // namespace

absl::StatusOr<ModelSpec> MambaFamily(ConfigReader& config,
                                      const Checkpoint* checkpoint) {
  ModelSpec spec;
  const Context context = ReadCommon(config, checkpoint, kFields, &spec);
  Mamba1Sizes sizes;
  sizes.inner = config.Int("expand", 1, 64, 2) * context.hidden;
  sizes.state_dim = config.Int("state_size", 1, kMaxWidth, 16);
  sizes.dt_rank = ReadTimeStepRank(context, "time_step_rank");
  sizes.conv_kernel = config.Int("conv_kernel", 1, kMaxConvKernel, 4);
  sizes.conv_bias = config.Bool("use_conv_bias", true);
  sizes.bias = config.Bool("use_bias", false);
  RequireSilu(config, "hidden_act");
  if (!context.ok()) return config.status();
  for (int64_t i = 0; i < context.layers; ++i) {
    AddLayer(
        context, i,
        Mamba1(context, absl::StrCat("backbone.layers.", i, ".mixer"), sizes),
        &spec);
  }
  AddMambaEnds(context, /*tied_if_absent=*/true, &spec);
  if (!context.ok()) return config.status();
  return spec;
}

absl::StatusOr<ModelSpec> Mamba2Family(ConfigReader& config,
                                       const Checkpoint* checkpoint) {
  ModelSpec spec;
  const Context context = ReadCommon(config, checkpoint, kFields, &spec);
  Mamba2Sizes sizes;
  sizes.heads = config.Int("num_heads", 1, kMaxWidth, 128);
  sizes.head_dim = config.Int("head_dim", 1, kMaxWidth, 64);
  if (sizes.heads * sizes.head_dim !=
      config.Int("expand", 1, 64, 2) * context.hidden) {
    config.Fail("num_heads", "times head_dim must be expand * hidden_size");
  }
  sizes.groups = config.Int("n_groups", 1, kMaxWidth, 8);
  sizes.state_dim = config.Int("state_size", 1, kMaxWidth, 128);
  sizes.conv_kernel = config.Int("conv_kernel", 1, kMaxConvKernel, 4);
  sizes.conv_bias = config.Bool("use_conv_bias", true);
  sizes.in_bias = config.Bool("use_bias", false);
  sizes.out_bias = sizes.in_bias;
  RequireSilu(config, "hidden_act");
  if (!context.ok()) return config.status();
  for (int64_t i = 0; i < context.layers; ++i) {
    Mamba2Spec mamba =
        Mamba2(context, absl::StrCat("backbone.layers.", i, ".mixer"), sizes);
    ReadTimeStepLimit(config, &mamba);
    if (!context.ok()) return config.status();
    AddLayer(context, i, std::move(mamba), &spec);
  }
  AddMambaEnds(context, /*tied_if_absent=*/false, &spec);
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace braid::model
