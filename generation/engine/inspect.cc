#include "generation/engine/inspect.h"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/model_spec.h"
#include "generation/checkpoint/quantized_tensors.h"
#include "generation/layers/state_bytes.h"

namespace braid::generation {
namespace {

uint64_t Elements(const std::vector<int64_t>& shape) {
  uint64_t elements = 1;
  for (const int64_t dim : shape) elements *= dim;
  return elements;
}

// Parameters, and the bytes that they take once loaded.
struct Size {
  uint64_t parameters = 0;
  uint64_t bytes = 0;
  Size& operator+=(const Size& other) {
    parameters += other.parameters;
    bytes += other.bytes;
    return *this;
  }
};

// Knows what matrices become.
class Sizes {
 public:
  Sizes(const model::Checkpoint& checkpoint, const model::ModelSpec& spec,
        model::WeightType weights)
      : checkpoint_(checkpoint), format_(model::DefaultFormat(weights)) {
    if (spec.quantization.has_value()) format_ = spec.quantization;
    for (const model::TensorSpec& matrix : model::QuantizableTensors(spec)) {
      matrices_.insert(matrix.name);
    }
    // Rows of it are looked up where it lies.
    stored_embedding_ = spec.head.weights[0].name == spec.embedding.name
                            ? ""
                            : spec.embedding.name;
  }

  const std::optional<kernels::QuantizedFormat>& format() const {
    return format_;
  }

  Size Of(const model::TensorSpec& tensor) const {
    const std::vector<int64_t> shape = tensor.view_shape();
    Size size{.parameters = Elements(shape)};
    if (!IsQuantized(tensor.name)) {
      size.bytes = size.parameters * sizeof(float);
      return size;
    }
    const uint64_t groups = format_->GroupsOf(shape.back());
    size.bytes = size.parameters / shape.back() *
                 (format_->RowBytes(shape.back()) + groups * sizeof(uint16_t) +
                  (format_->zero_points ? groups : 0));
    return size;
  }
  Size Of(const model::LinearSpec& linear) const {
    Size size;
    for (const model::TensorSpec& tensor : linear.weights) size += Of(tensor);
    for (const model::TensorSpec& tensor : linear.biases) size += Of(tensor);
    return size;
  }

 private:
  bool IsQuantized(const std::string& name) const {
    if (model::IsQuantized(checkpoint_, name)) return true;
    return format_.has_value() && matrices_.contains(name) &&
           name != stored_embedding_;
  }

  const model::Checkpoint& checkpoint_;
  std::optional<kernels::QuantizedFormat> format_;
  std::set<std::string> matrices_;
  std::string stored_embedding_;
};

struct Name {
  const char* operator()(const model::AttentionSpec&) { return "attention"; }
  const char* operator()(const model::MlaSpec&) { return "latent_attention"; }
  const char* operator()(const model::Mamba1Spec&) { return "mamba1"; }
  const char* operator()(const model::Mamba2Spec&) { return "mamba2"; }
  const char* operator()(const model::Mamba3Spec&) { return "mamba3"; }
  const char* operator()(const model::DeltaNetSpec&) { return "delta_net"; }
  const char* operator()(const model::ShortConvSpec&) { return "short_conv"; }
  const char* operator()(const model::MlpSpec&) { return "mlp"; }
  const char* operator()(const model::MoeSpec&) { return "moe"; }
};

bool IsFeedForward(const model::OperatorSpec& spec) {
  return std::holds_alternative<model::MlpSpec>(spec) ||
         std::holds_alternative<model::MoeSpec>(spec);
}

// Of the experts that a token does not visit.
Size IdleSize(const Sizes& sizes, const model::MoeSpec& moe) {
  Size all;
  for (const model::MlpSpec& expert : moe.experts) {
    all += sizes.Of(expert.up);
    all += sizes.Of(expert.down);
  }
  const uint64_t experts = moe.experts.size();
  const uint64_t idle = experts - moe.router.top_k;
  return {all.parameters / experts * idle, all.bytes / experts * idle};
}

void Count(const Sizes& sizes, const model::BlockSpec& block,
           ModelReport* report) {
  if (block.side.has_value()) ++report->operators["shared_transformer"];
  for (const model::OperatorSpec& branch : block.branches) {
    ++report->operators[std::visit(Name(), branch)];
    if (const auto* moe = std::get_if<model::MoeSpec>(&branch)) {
      const Size idle = IdleSize(sizes, *moe);
      report->active_parameters -= idle.parameters;
      report->active_weight_bytes -= idle.bytes;
    }
  }
}

// Keys and values of one token, if every mixer were attention.
uint64_t TransformerBytesPerToken(const model::ModelSpec& spec,
                                  kernels::KvType kv) {
  uint64_t mixers = 0;
  model::AttentionSpec full_width;
  full_width.kv_heads = 1;
  full_width.head_dim = spec.hidden;
  uint64_t per_mixer = model::StateBytesOf(full_width, kv).kv_per_token;
  for (const model::LayerSpec& layer : spec.layers) {
    for (const model::BlockSpec& block : layer.blocks) {
      bool mixes = block.side.has_value();
      for (const model::OperatorSpec& branch : block.branches) {
        if (!IsFeedForward(branch)) mixes = true;
        const uint64_t bytes = model::StateBytesOf(branch, kv).kv_per_token;
        if (bytes > 0) per_mixer = bytes;
      }
      if (mixes) ++mixers;
    }
  }
  return mixers * per_mixer;
}

}  // namespace

absl::StatusOr<ModelReport> InspectCheckpoint(const std::string& directory,
                                              kernels::KvType kv,
                                              model::WeightType weights) {
  auto checkpoint = model::Checkpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  absl::StatusOr<model::ModelSpec> spec =
      model::LoadModelSpec(directory, checkpoint->get());
  if (!spec.ok()) return spec.status();
  // From here on the sizes are those of tensors that exist.
  if (absl::Status status = model::CheckTensors(*spec, **checkpoint);
      !status.ok()) {
    return status;
  }
  const Sizes sizes(**checkpoint, *spec, weights);
  ModelReport report;
  report.model_type = spec->model_type;
  report.layers = spec->layers.size();
  report.hidden = spec->hidden;
  report.vocab_size = spec->vocab_size;
  report.max_context_tokens = spec->max_context_tokens;
  for (const model::TensorSpec& tensor : model::AllTensors(*spec)) {
    const Size size = sizes.Of(tensor);
    report.parameters += size.parameters;
    report.weight_bytes += size.bytes;
  }
  for (const std::string& name : (*checkpoint)->TensorNames()) {
    report.checkpoint_bytes += (*checkpoint)->Find(name)->bytes;
  }
  report.weights = sizes.format().has_value()
                       ? absl::StrCat("int", sizes.format()->bits)
                       : "f32";
  report.active_parameters = report.parameters;
  report.active_weight_bytes = report.weight_bytes;
  for (const model::TensorSpec& tensor : spec->head.weights) {
    report.head_parameters += sizes.Of(tensor).parameters;
  }
  if (spec->head.weights[0].name != spec->embedding.name) {
    // One row of it is read, and nothing multiplied.
    const Size embedding = sizes.Of(spec->embedding);
    report.active_parameters -= embedding.parameters;
    report.active_weight_bytes -= embedding.bytes;
  }
  for (const model::LayerSpec& layer : spec->layers) {
    for (const model::BlockSpec& block : layer.blocks) {
      Count(sizes, block, &report);
    }
  }
  const model::StateBytes state = model::StateBytesOf(*spec, kv);
  report.recurrent_state_bytes = state.recurrent;
  report.kv_bytes_per_token = state.kv_per_token;
  const uint64_t transformer = TransformerBytesPerToken(*spec, kv);
  for (const uint64_t thousands : {4, 32, 128, 1024}) {
    const uint64_t tokens = thousands * 1024;
    report.contexts.push_back(
        {tokens, state.For(tokens), transformer * tokens});
  }
  return report;
}

}  // namespace braid::generation
