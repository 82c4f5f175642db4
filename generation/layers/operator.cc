#include "generation/layers/operator.h"

#include <memory>
#include <variant>

#include "generation/layers/attention.h"
#include "generation/layers/delta_net.h"
#include "generation/layers/latent_attention.h"
#include "generation/layers/mamba1.h"
#include "generation/layers/mamba2.h"
#include "generation/layers/mamba3.h"
#include "generation/layers/mlp.h"
#include "generation/layers/moe.h"
#include "generation/layers/short_conv.h"

namespace braid::model {
namespace {

using Loaded = absl::StatusOr<std::unique_ptr<Operator>>;

template <typename Layer, typename Spec>
Loaded Load(const Spec& spec, WeightLoader& loader) {
  absl::StatusOr<std::unique_ptr<Layer>> layer = Layer::Load(spec, loader);
  if (!layer.ok()) return layer.status();
  return std::unique_ptr<Operator>(*std::move(layer));
}

struct Loading {
  WeightLoader& loader;
  Loaded operator()(const AttentionSpec& spec) {
    return Load<Attention>(spec, loader);
  }
  Loaded operator()(const MlaSpec& spec) {
    return Load<LatentAttention>(spec, loader);
  }
  Loaded operator()(const Mamba1Spec& spec) {
    return Load<Mamba1>(spec, loader);
  }
  Loaded operator()(const Mamba2Spec& spec) {
    return Load<Mamba2>(spec, loader);
  }
  Loaded operator()(const Mamba3Spec& spec) {
    return Load<Mamba3>(spec, loader);
  }
  Loaded operator()(const DeltaNetSpec& spec) {
    return Load<DeltaNet>(spec, loader);
  }
  Loaded operator()(const ShortConvSpec& spec) {
    return Load<ShortConv>(spec, loader);
  }
  Loaded operator()(const MlpSpec& spec) { return Load<Mlp>(spec, loader); }
  Loaded operator()(const MoeSpec& spec) { return Load<Moe>(spec, loader); }
};

}  // namespace

Loaded LoadOperator(const OperatorSpec& spec, WeightLoader& loader) {
  return std::visit(Loading{loader}, spec);
}

}  // namespace braid::model
