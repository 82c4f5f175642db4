#include "generation/layers/short_conv.h"

#include <memory>
#include <utility>

#include "kernels/conv1d.h"
#include "kernels/elementwise.h"

namespace braid::model {

ShortConv::ShortConv(const ShortConvSpec& spec, WeightLoader& loader)
    : spec_(spec),
      channels_(spec.conv_weight.shape[0]),
      in_(loader.Load(spec.in)),
      taps_(loader.ConvTaps({spec.conv_weight}, channels_, spec.conv_kernel)),
      conv_bias_(loader.Read(spec.conv_bias)),
      out_(loader.Load(spec.out)) {}

absl::StatusOr<std::unique_ptr<ShortConv>> ShortConv::Load(
    const ShortConvSpec& spec, WeightLoader& loader) {
  return loader.Finish(std::unique_ptr<ShortConv>(new ShortConv(spec, loader)));
}

OperatorState ShortConv::NewState(kernels::KvType) const {
  RecurrentState state;
  state.conv.resize((spec_.conv_kernel - 1) * channels_);
  return state;
}

void ShortConv::Forward(const float* x, size_t rows, OperatorState* state,
                        float* out, Workspace* workspace) const {
  RecurrentState& past = std::get<RecurrentState>(*state);
  constexpr kernels::Activation kNone = kernels::Activation::kNone;
  const size_t width = 3 * channels_;
  // Columns: b, c, x.
  float* projected = Workspace::Reserve(workspace->projected, rows * width);
  in_.Apply(x, in_.in(), rows, projected, width, workspace->pool);
  for (size_t r = 0; r < rows; ++r) {
    float* b = projected + r * width;
    kernels::GatedActivation(kNone, b, b + 2 * channels_, b, channels_);
  }

  kernels::CausalConv1dParams conv;
  conv.x = projected;
  conv.ldx = width;
  conv.rows = rows;
  conv.channels = channels_;
  conv.kernel = spec_.conv_kernel;
  conv.taps = taps_.data();
  conv.bias = conv_bias_.empty() ? nullptr : conv_bias_.data();
  conv.state = past.conv.data();
  conv.out = Workspace::Reserve(workspace->mixed, rows * channels_);
  conv.ldo = channels_;
  kernels::CausalConv1d(conv, workspace->pool);
  past.tokens += rows;
  for (size_t r = 0; r < rows; ++r) {
    float* y = conv.out + r * channels_;
    kernels::GatedActivation(kNone, projected + r * width + channels_, y, y,
                             channels_);
  }
  out_.Apply(conv.out, channels_, rows, out, out_.out(), workspace->pool);
}

}  // namespace braid::model
