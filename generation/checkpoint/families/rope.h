// Rotary position embeddings, from the ways in which configs describe them.
#ifndef BRAID_GENERATION_CHECKPOINT_FAMILIES_ROPE_H_
#define BRAID_GENERATION_CHECKPOINT_FAMILIES_ROPE_H_

#include <cstdint>
#include <optional>

#include "generation/checkpoint/config_reader.h"
#include "generation/checkpoint/model_spec.h"

namespace braid::model {

struct RopeDefaults {
  double theta = 10000;
  // The share of each head that is rotated if the config does not say.
  // Nothing: the family always rotates all of it.
  std::optional<double> partial_rotary_factor;
};

// Reads rope_parameters, or rope_scaling with rope_theta beside it. Types
// default, linear, llama3 and yarn; others are unsupported. Frequencies are
// computed in f32, as Hugging Face does, so that late positions agree.
RopeSpec ReadRope(ConfigReader& config, int64_t head_dim,
                  const RopeDefaults& defaults = {});

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_FAMILIES_ROPE_H_
