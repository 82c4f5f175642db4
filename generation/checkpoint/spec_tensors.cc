// Which tensors a spec names, and whether a checkpoint holds them.
#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "generation/checkpoint/model_spec.h"
#include "generation/checkpoint/quantized_tensors.h"

namespace braid::model {
namespace {

class Collector {
 public:
  void Add(const TensorSpec& tensor) {
    if (seen_.insert(tensor.name).second) {
      tensors_.push_back({tensor.name, tensor.shape});
    }
  }
  void AddQuantizable(const TensorSpec& tensor) {
    Add(tensor);
    if (seen_quantizable_.insert(tensor.name).second) {
      quantizable_.push_back({tensor.name, tensor.shape});
    }
  }
  // Not to be quantised.
  void AddExact(const LinearSpec& linear) {
    for (const TensorSpec& weight : linear.weights) Add(weight);
    for (const TensorSpec& bias : linear.biases) Add(bias);
  }
  void Add(const LinearSpec& linear) {
    for (const TensorSpec& weight : linear.weights) AddQuantizable(weight);
    for (const TensorSpec& bias : linear.biases) Add(bias);
    for (const LinearSpec::Adapter& adapter : linear.adapters) {
      Add(adapter.down);
      Add(adapter.up);
    }
  }
  void Add(const RmsNormSpec& norm) { Add(norm.weight); }
  template <typename T>
  void Add(const std::optional<T>& spec) {
    if (spec.has_value()) Add(*spec);
  }
  void Add(const AttentionSpec& spec) {
    AddAll(spec.qkv, spec.q_norm, spec.k_norm, spec.out);
  }
  void Add(const MlaSpec& spec) {
    AddAll(spec.q_down, spec.q_norm, spec.q, spec.kv_down, spec.kv_norm);
    AddExact(spec.kv_up);
    Add(spec.out);
  }
  void Add(const Mamba1Spec& spec) {
    AddAll(spec.in, spec.conv_weight, spec.conv_bias, spec.x_proj, spec.dt_norm,
           spec.b_norm, spec.c_norm, spec.dt_proj, spec.a_log, spec.d,
           spec.out);
  }
  void Add(const Mamba2Spec& spec) {
    AddAll(spec.in, spec.conv_weight, spec.conv_bias, spec.a_log, spec.d,
           spec.dt_bias, spec.norm, spec.out);
  }
  void Add(const Mamba3Spec& spec) {
    AddAll(spec.in, spec.dt_bias, spec.b_norm, spec.c_norm, spec.b_bias,
           spec.c_bias, spec.d, spec.mimo_x, spec.mimo_z, spec.mimo_o,
           spec.norm, spec.out);
  }
  void Add(const DeltaNetSpec& spec) {
    AddAll(spec.in, spec.z_up, spec.a_up);
    for (const TensorSpec& weight : spec.conv_weights) Add(weight);
    AddAll(spec.a_log, spec.dt_bias, spec.norm, spec.out);
  }
  void Add(const ShortConvSpec& spec) {
    AddAll(spec.in, spec.conv_weight, spec.conv_bias, spec.out);
  }
  void Add(const MlpSpec& spec) {
    AddAll(spec.up, spec.down, spec.output_gate);
  }
  void Add(const MoeSpec& spec) {
    AddExact(spec.router.logits);
    Add(spec.router.correction_bias);
    for (const MlpSpec& expert : spec.experts) Add(expert);
    AddAll(spec.latent_down, spec.latent_up);
  }
  void Add(const SidePathSpec& spec) {
    AddAll(spec.norm, spec.attention, spec.mlp_norm, spec.mlp, spec.out);
  }
  void Add(const BlockSpec& block) {
    AddAll(block.side, block.pre_norm);
    for (const OperatorSpec& branch : block.branches) {
      std::visit([this](const auto& spec) { Add(spec); }, branch);
    }
    Add(block.post_norm);
  }
  template <typename... Specs>
  void AddAll(const Specs&... specs) {
    (Add(specs), ...);
  }

  // The whole model.
  void Add(const ModelSpec& spec) {
    AddQuantizable(spec.embedding);
    for (const LayerSpec& layer : spec.layers) {
      for (const BlockSpec& block : layer.blocks) Add(block);
    }
    AddAll(spec.final_norm, spec.head);
  }

  std::vector<TensorSpec> tensors_;
  std::vector<TensorSpec> quantizable_;

 private:
  std::set<std::string> seen_;
  std::set<std::string> seen_quantizable_;
};

bool IsIgnored(const std::vector<std::string>& ignored,
               const std::string& name) {
  return std::any_of(
      ignored.begin(), ignored.end(), [&name](const std::string& entry) {
        return absl::EndsWith(entry, ".") ? absl::StartsWith(name, entry)
                                          : name == entry;
      });
}

}  // namespace

std::vector<int64_t> TensorSpec::view_shape() const {
  return slice < 0 ? shape
                   : std::vector<int64_t>(shape.begin() + 1, shape.end());
}

int64_t LinearSpec::out() const {
  int64_t rows = 0;
  for (const TensorSpec& weight : weights) rows += weight.view_shape()[0];
  return rows;
}

std::vector<TensorSpec> AllTensors(const ModelSpec& spec) {
  Collector collector;
  collector.Add(spec);
  return std::move(collector.tensors_);
}

std::vector<TensorSpec> QuantizableTensors(const ModelSpec& spec) {
  Collector collector;
  collector.Add(spec);
  return std::move(collector.quantizable_);
}

absl::Status CheckTensors(const ModelSpec& spec, const Checkpoint& checkpoint) {
  std::set<std::string> known;
  if (spec.quantization.has_value()) {
    for (const TensorSpec& matrix : QuantizableTensors(spec)) {
      if (!IsQuantized(checkpoint, matrix.name)) continue;
      absl::Status status =
          CheckQuantized(checkpoint, *spec.quantization, matrix);
      if (!status.ok()) return status;
      known.insert(matrix.name);
      known.insert(ScalesName(matrix.name));
      if (spec.quantization->zero_points) {
        known.insert(ZerosName(matrix.name));
      }
    }
  }
  for (const TensorSpec& tensor : AllTensors(spec)) {
    if (!known.insert(tensor.name).second) continue;
    const TensorView* view = checkpoint.Find(tensor.name);
    if (view == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          checkpoint.directory(), ": tensor \"", tensor.name, "\" is missing"));
    }
    if (view->shape != tensor.shape) {
      return absl::InvalidArgumentError(absl::StrCat(
          checkpoint.directory(), ": tensor \"", tensor.name,
          "\" has the shape [", absl::StrJoin(view->shape, ", "),
          "], but config.json says [", absl::StrJoin(tensor.shape, ", "), "]"));
    }
    if (!IsFloat(view->dtype)) {
      return absl::InvalidArgumentError(
          absl::StrCat(checkpoint.directory(), ": tensor \"", tensor.name,
                       "\" has the dtype ", view->dtype_name,
                       "; F32, F16 and BF16 are supported"));
    }
  }
  for (const std::string& name : checkpoint.TensorNames()) {
    if (!known.contains(name) && !IsIgnored(spec.ignored_tensors, name)) {
      return absl::InvalidArgumentError(absl::StrCat(
          checkpoint.directory(), ": tensor \"", name, "\" is unexpected: ",
          spec.model_type, " with this config.json has none of that name"));
    }
  }
  return absl::OkStatus();
}

}  // namespace braid::model
