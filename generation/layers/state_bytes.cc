#include "generation/layers/state_bytes.h"

#include <variant>

#include "generation/layers/kv_shape.h"
#include "generation/layers/ssd_shape.h"
#include "kernels/delta_rule.h"
#include "kernels/selective_scan.h"

namespace braid::model {
namespace {

StateBytes Recurrent(int64_t numbers) {
  return {.recurrent = sizeof(float) * static_cast<uint64_t>(numbers)};
}

StateBytes PerToken(const kernels::KvShape& shape) {
  return {.kv_per_token = kernels::KvPageLayout(shape).page_bytes() /
                          kernels::kKvPageTokens};
}

struct Counter {
  kernels::KvType kv;

  StateBytes operator()(const AttentionSpec& spec) const {
    return PerToken(ShapeOf(spec, kv));
  }
  StateBytes operator()(const MlaSpec& spec) const {
    return PerToken(ShapeOf(spec, kv));
  }
  StateBytes operator()(const Mamba1Spec& spec) const {
    return Recurrent((spec.conv_kernel - 1) * spec.inner +
                     kernels::SelectiveScanFloats(spec.inner, spec.state_dim));
  }
  StateBytes operator()(const Mamba2Spec& spec) const {
    return Recurrent((spec.conv_kernel - 1) * spec.conv_channels() +
                     kernels::SsdStateFloats(ShapeOf(spec)));
  }
  StateBytes operator()(const Mamba3Spec& spec) const {
    return Recurrent(kernels::SsdStateFloats(ShapeOf(spec)) +
                     spec.heads * spec.angles);
  }
  StateBytes operator()(const DeltaNetSpec& spec) const {
    return Recurrent((spec.conv_kernel - 1) * spec.conv_channels() +
                     kernels::DeltaRuleStateFloats(
                         spec.value_heads, spec.key_dim, spec.value_dim));
  }
  StateBytes operator()(const ShortConvSpec& spec) const {
    return Recurrent((spec.conv_kernel - 1) * spec.conv_weight.shape[0]);
  }
  StateBytes operator()(const MlpSpec&) const { return {}; }
  StateBytes operator()(const MoeSpec&) const { return {}; }
};

}  // namespace

StateBytes StateBytesOf(const OperatorSpec& spec, kernels::KvType kv) {
  return std::visit(Counter{kv}, spec);
}

StateBytes StateBytesOf(const BlockSpec& block, kernels::KvType kv) {
  StateBytes bytes;
  if (block.side.has_value()) bytes += Counter{kv}(block.side->attention);
  for (const OperatorSpec& branch : block.branches) {
    bytes += StateBytesOf(branch, kv);
  }
  return bytes;
}

StateBytes StateBytesOf(const ModelSpec& spec, kernels::KvType kv) {
  StateBytes bytes;
  for (const LayerSpec& layer : spec.layers) {
    for (const BlockSpec& block : layer.blocks) {
      bytes += StateBytesOf(block, kv);
    }
  }
  return bytes;
}

}  // namespace braid::model
