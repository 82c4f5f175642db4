// How far a model in fewer bits is from the same model in f32.
#ifndef BRAID_GENERATION_ENGINE_COMPARE_H_
#define BRAID_GENERATION_ENGINE_COMPARE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "generation/checkpoint/weight_type.h"
#include "kernels/kv_type.h"

namespace braid::generation {

// One side: a checkpoint, and how it is loaded.
struct ComparedModel {
  std::string directory;
  model::WeightType weights = model::WeightType::kStored;
  kernels::KvType kv = kernels::KvType::kF32;
};

struct CompareOptions {
  // The text is read in pieces of so many tokens, each from an empty state.
  size_t window = 512;
  int threads = 1;
  // Told of the tokens done; false stops with CANCELLED. May be empty.
  std::function<bool(size_t done)> progress;
};

// Over all positions, of the distributions P of the one and Q of the other.
struct CompareReport {
  uint64_t positions = 0;
  double top1_agreement =
      0;               // share of positions with the same likeliest token
  double mean_kl = 0;  // sum p (ln p - ln q), in nats
  double max_kl = 0;
  // exp of the mean negative log-likelihood of the tokens that follow, inside
  // of the pieces.
  double perplexity = 0;        // of the one
  double other_perplexity = 0;  // of the other
};

// Runs both models over `ids`. Errors as HybridModel::Load and Forward;
// INVALID_ARGUMENT if the vocabularies differ in size, or for no ids; INTERNAL
// for logits that are not finite.
absl::StatusOr<CompareReport> CompareModels(const ComparedModel& one,
                                            const ComparedModel& other,
                                            absl::Span<const int32_t> ids,
                                            const CompareOptions& options);

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ENGINE_COMPARE_H_
