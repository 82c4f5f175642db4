// Which experts a token visits, and with what weights.
#ifndef BRAID_GENERATION_LAYERS_ROUTER_H_
#define BRAID_GENERATION_LAYERS_ROUTER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "generation/layers/weight_loader.h"
#include "generation/layers/workspace.h"

namespace braid::model {

// Immutable after loading; shared between threads.
class Router {
 public:
  struct Choice {
    uint32_t expert;
    uint32_t row;
    float weight;
  };

  Router(const RouterSpec& spec, WeightLoader& loader);

  size_t hidden() const { return spec_.logits.in; }

  // The choices of `rows` tokens, x [rows, hidden]: top_k for each, ordered by
  // expert, then by row. Of equal scores the expert with the smaller number is
  // chosen. Uses the workspace's `small`.
  std::vector<Choice> Route(const float* x, size_t rows,
                            Workspace* workspace) const;

 private:
  // In place: scores of one row from its logits.
  void Score(float* row) const;
  // Minus infinity for the experts of all but the best groups.
  void KeepBestGroups(float* selection) const;

  RouterSpec spec_;
  size_t experts_;
  Linear logits_;
  std::vector<float> bias_;  // [experts], or empty
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_ROUTER_H_
