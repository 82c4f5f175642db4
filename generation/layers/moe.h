// A mixture of experts (Shazeer et al. 2017): each token visits its top_k
// experts, whose outputs are added with the router's weights.
#ifndef BRAID_GENERATION_LAYERS_MOE_H_
#define BRAID_GENERATION_LAYERS_MOE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/layers/mlp.h"
#include "generation/layers/operator.h"
#include "generation/layers/router.h"

namespace braid::model {

// No state. Tokens are grouped by expert, so each chosen expert's weights are
// read once, and several experts are computed together.
class Moe : public Operator {
 public:
  static absl::StatusOr<std::unique_ptr<Moe>> Load(const MoeSpec& spec,
                                                   WeightLoader& loader);

  void Forward(const float* x, size_t rows, OperatorState* state, float* out,
               Workspace* workspace) const override;

 private:
  Moe(const MoeSpec& spec, WeightLoader& loader);
  // out = the experts' weighted sum for x, both [rows, width].
  void AddExperts(const float* x, size_t rows, size_t width,
                  const std::vector<Router::Choice>& choices, float* out,
                  Workspace* workspace) const;

  Router router_;
  std::vector<std::unique_ptr<Mlp>> experts_;
  std::optional<Linear> latent_down_;
  std::optional<Linear> latent_up_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_MOE_H_
