// Zamba2's shared transformer (Glorioso et al. 2024): attention and a
// feed-forward on the stream beside the tokens' embeddings.
#ifndef BRAID_GENERATION_LAYERS_SIDE_PATH_H_
#define BRAID_GENERATION_LAYERS_SIDE_PATH_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "generation/layers/attention.h"
#include "generation/layers/mlp.h"
#include "generation/layers/operator.h"

namespace braid::model {

// Immutable after loading; shared between threads. The weights of blocks that
// several layers share are one in memory, see WeightLoader.
class SidePath {
 public:
  static absl::StatusOr<std::unique_ptr<SidePath>> Load(
      const SidePathSpec& spec, WeightLoader& loader);

  OperatorState NewState(kernels::KvType kv) const {
    return attention_->NewState(kv);
  }

  // out = out_proj(mlp(norm(attention(norm([x, embedded]))))). All of them are
  // [rows, hidden].
  void Forward(const float* x, const float* embedded, size_t rows,
               OperatorState* state, float* out, Workspace* workspace) const;

 private:
  SidePath(const SidePathSpec& spec, WeightLoader& loader);

  RmsNorm norm_;
  std::unique_ptr<Attention> attention_;
  RmsNorm mlp_norm_;
  std::unique_ptr<Mlp> mlp_;
  Linear out_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_SIDE_PATH_H_
