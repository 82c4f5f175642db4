// Checks a checkpoint against reference logits made by another implementation.
#ifndef BRAID_GENERATION_ENGINE_VERIFY_H_
#define BRAID_GENERATION_ENGINE_VERIFY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/kv_type.h"

namespace braid::generation {

struct VerifyReport {
  bool ok = false;  // everything below is as it must be
  double tolerance = 0;
  // Largest |logit - reference| over every position the reference gives, in the
  // prompt and in decoding. NaN counts as infinite.
  double max_abs_logit_error = 0;
  double rms_logit_error = 0;  // over the same logits
  // The same of the residual stream after each layer at the prompt's last
  // token, where given: the first large one is the layer at fault.
  std::vector<double> layer_errors;
  // Largest difference between the logits of the prompt in one piece and in
  // uneven pieces.
  double max_abs_pieces_error = 0;
  bool greedy_equal = false;  // the decoded tokens equal the reference's
  uint32_t logits_compared = 0;
  uint32_t greedy_tokens = 0;
  uint32_t tokenizer_cases = 0;
  uint32_t tokenizer_cases_equal = 0;
};

// Loads the model in `directory` and compares it with `reference.json` there:
// prompt_ids, tolerance, prefill_full_positions, prefill_top5,
// prefill_top20_last, layer_out_last_pos, decode_ids, decode_top20,
// tokenizer_cases. NOT_FOUND without that file, INVALID_ARGUMENT if it is
// malformed; a model that computes something else is a report that is not ok.
// With keys and values in f32 the logits agree to rounding; in a smaller `kv`,
// the report says what that costs.
absl::StatusOr<VerifyReport> VerifyCheckpoint(const std::string& directory,
                                              kernels::KvType kv);

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ENGINE_VERIFY_H_
