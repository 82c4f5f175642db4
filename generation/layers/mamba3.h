// The Mamba-3 mixer (Lahoti et al. 2026, sections 3.1 to 3.3): see Mamba3Spec.
#ifndef BRAID_GENERATION_LAYERS_MAMBA3_H_
#define BRAID_GENERATION_LAYERS_MAMBA3_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/layers/operator.h"

namespace braid::model {

class Mamba3 : public Operator {
 public:
  static absl::StatusOr<std::unique_ptr<Mamba3>> Load(const Mamba3Spec& spec,
                                                      WeightLoader& loader);

  OperatorState NewState(kernels::KvType kv) const override;
  void Forward(const float* x, size_t rows, OperatorState* state, float* out,
               Workspace* workspace) const override;

 private:
  Mamba3(const Mamba3Spec& spec, WeightLoader& loader);

  // From the projection, for each token and head: dt, a and the trapezoid,
  // three arrays of [rows, heads] behind each other.
  void Steps(const float* projected, size_t rows, float* steps) const;
  // Turns the angles on, token by token: (cos, sin) of each into `rotations`,
  // [rows, heads, angles, 2].
  void Turn(const float* projected, size_t rows, const float* dt,
            uint32_t* angles, float* rotations) const;
  // Of B or C, normed [rows, rank, groups, state_dim] with rows `ld` apart: the
  // bias and the rotation of each head, into [rows * rank, heads * state_dim].
  void BiasAndRotate(const float* normed, size_t ld, size_t rows,
                     const std::vector<float>& bias, const float* rotations,
                     float* out, kernels::ThreadPool* pool) const;
  // y [rows * rank, inner] to [rows, inner], in its first rows.
  void GateAndMix(float* y, const float* projected, size_t rows,
                  kernels::ThreadPool* pool) const;
  size_t width() const { return in_.out(); }

  Mamba3Spec spec_;
  Linear in_;
  std::vector<float> dt_bias_;
  RmsNorm b_norm_;
  RmsNorm c_norm_;
  std::vector<float> b_bias_;  // [heads, rank, state_dim]
  std::vector<float> c_bias_;
  std::vector<float> d_;
  std::vector<float> mimo_x_;  // [heads, rank, head_dim], or empty
  std::vector<float> mimo_z_;
  std::vector<float> mimo_o_;
  std::optional<RmsNorm> norm_;
  Linear out_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_MAMBA3_H_
