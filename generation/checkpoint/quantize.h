// Writes a checkpoint anew with its matrices in 8 or 4 bits.
#ifndef BRAID_GENERATION_CHECKPOINT_QUANTIZE_H_
#define BRAID_GENERATION_CHECKPOINT_QUANTIZE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/quantized_weights.h"

namespace braid::model {

struct QuantizeOptions {
  kernels::QuantizedFormat format;
  int threads = 1;
  // Told after each tensor; false stops with CANCELLED. May be empty.
  std::function<bool(uint64_t done_bytes, uint64_t all_bytes)> progress;
};

struct QuantizeReport {
  uint64_t matrices = 0;     // in codes now
  uint64_t parameters = 0;   // of these
  uint64_t input_bytes = 0;  // of all tensors
  uint64_t output_bytes = 0;
  // Of the matrices: root of sum of squared errors over sum of squares.
  double relative_error = 0;
  // The worst matrix, and its error.
  double worst_relative_error = 0;
  std::string worst_matrix;
};

// Reads the checkpoint in `directory`, of a hybrid model or of a BERT-family
// one, and writes `out`, a directory that is not
// there yet or is empty: model.safetensors with codes, scales and zeros (see
// quantized_tensors.h) and all other tensors as they are, config.json with its
// quantization_config, and the files of the tokenizer, the chat template and
// the generation config as they are. Only QuantizableTensors are touched.
// `out` appears whole or not at all. Errors as in LoadModelSpec, and
// INVALID_ARGUMENT for a checkpoint that is quantised already, or for weights
// that are not finite, naming the tensor.
absl::StatusOr<QuantizeReport> QuantizeCheckpoint(
    const std::string& directory, const std::string& out,
    const QuantizeOptions& options);

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_QUANTIZE_H_
