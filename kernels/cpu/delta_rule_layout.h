// How the gated delta rule lays out its state.
#ifndef BRAID_KERNELS_CPU_DELTA_RULE_LAYOUT_H_
#define BRAID_KERNELS_CPU_DELTA_RULE_LAYOUT_H_

#include <algorithm>
#include <cstddef>

#include "kernels/delta_rule.h"

namespace braid::kernels {

// For each value head: S in panels [value_dim / 16][key_dim][16], then of the
// open chunk
//   keys [key_dim][chunk]: as they came where a head has one decay, else as
//       they have decayed up to the latest token;
//   updates in panels [value_dim / 16][chunk][16];
//   decays: g of each token where a head has one, else exp of the sum so far
//       for each key channel.
struct DeltaRuleLayout {
  static constexpr size_t Padded(size_t n) { return (n + 15) / 16 * 16; }

  DeltaRuleLayout(size_t key_dim, size_t value_dim)
      : padded_keys(Padded(key_dim)),
        padded_values(Padded(value_dim)),
        keys_at(padded_values * key_dim),
        updates_at(keys_at + key_dim * kDeltaRuleChunk),
        decays_at(updates_at + padded_values * kDeltaRuleChunk),
        head_stride(decays_at + std::max(padded_keys, kDeltaRuleChunk)) {}

  size_t padded_keys;
  size_t padded_values;
  size_t keys_at;  // from a head's begin, as are the next two
  size_t updates_at;
  size_t decays_at;
  size_t head_stride;
};

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_CPU_DELTA_RULE_LAYOUT_H_
