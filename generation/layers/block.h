// One step of the residual stream:
//
//   x += residual_multiplier * post_norm(sum of branches(pre_norm(x + side)))
#ifndef BRAID_GENERATION_LAYERS_BLOCK_H_
#define BRAID_GENERATION_LAYERS_BLOCK_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/layers/operator.h"
#include "generation/layers/side_path.h"

namespace braid::model {

// Immutable after loading; shared between threads.
class Block {
 public:
  static absl::StatusOr<std::unique_ptr<Block>> Load(const BlockSpec& spec,
                                                     size_t hidden,
                                                     double residual_multiplier,
                                                     WeightLoader& loader);

  bool has_side() const { return side_ != nullptr; }
  // How many states Forward reads and writes.
  size_t states() const { return branches_.size() + (has_side() ? 1 : 0); }
  void AppendNewStates(kernels::KvType kv,
                       std::vector<OperatorState>* states) const;

  // `states`: this block's, states() of them.
  void Forward(Stream* stream, OperatorState* states,
               Workspace* workspace) const;

 private:
  Block() = default;

  size_t hidden_ = 0;
  float residual_multiplier_ = 1;
  std::unique_ptr<SidePath> side_;  // null if there is none
  std::optional<RmsNorm> pre_norm_;
  std::vector<std::unique_ptr<Operator>> branches_;
  std::optional<RmsNorm> post_norm_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_BLOCK_H_
