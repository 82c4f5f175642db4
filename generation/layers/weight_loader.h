// Copies tensors out of a checkpoint into the form that layers compute with.
#ifndef BRAID_GENERATION_LAYERS_WEIGHT_LOADER_H_
#define BRAID_GENERATION_LAYERS_WEIGHT_LOADER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/model_spec.h"
#include "generation/checkpoint/weight_type.h"
#include "generation/layers/linear.h"
#include "generation/layers/rms_norm.h"

namespace braid::model {

// Keeps the first error instead of returning one from every call, so that a
// layer reads as the list of its parts: load them all, then look at status().
// After an error the results are empty. Errors are those of Checkpoint, naming
// the tensor. Not thread-safe; needed only while a model is loaded.
class WeightLoader {
 public:
  struct Options {
    // How matrices of codes are stored, if there are any.
    std::optional<kernels::QuantizedFormat> stored;
    // What matrices in floating point become, if not f32.
    std::optional<kernels::QuantizedFormat> quantize_to;
    kernels::ThreadPool* pool = nullptr;  // to quantise with, or null

    // For weights that are `stored` so and wanted as `weights`.
    // INVALID_ARGUMENT if codes are stored and something else is wanted.
    static absl::StatusOr<Options> For(
        const Checkpoint& checkpoint,
        const std::optional<kernels::QuantizedFormat>& stored,
        WeightType weights, kernels::ThreadPool* pool);
  };
  // `checkpoint` must outlive the loader.
  WeightLoader(const Checkpoint& checkpoint, const Options& options)
      : checkpoint_(checkpoint), options_(options) {}

  // The tensor, or its slice, as f32.
  std::vector<float> Read(const TensorSpec& spec);
  // Empty if there is none.
  std::vector<float> Read(const std::optional<TensorSpec>& spec);
  // Matrices of the same tensors, as in blocks that several layers share, are
  // one in memory. The largest extra memory while it runs is two f32 copies of
  // the layer.
  Linear Load(const LinearSpec& spec);
  // The same in floating point whatever the options say: for what is small and
  // decides much.
  Linear LoadExact(const LinearSpec& spec) { return LoadPacked(spec); }
  // A layer whose outputs are gates and then as many values, to be applied
  // gated.
  Linear LoadGated(const LinearSpec& spec);
  std::optional<Linear> Load(const std::optional<LinearSpec>& spec);
  // The matrix itself, [out, in], in the row order and scales of the spec.
  std::vector<float> Matrix(const LinearSpec& spec);
  RmsNorm Load(const RmsNormSpec& spec);
  std::optional<RmsNorm> Load(const std::optional<RmsNormSpec>& spec);
  // HF's [channels, 1, kernel], from one tensor or several stacked, as
  // [kernel, channels].
  std::vector<float> ConvTaps(const std::vector<TensorSpec>& parts,
                              int64_t channels, int64_t kernel);
  // -exp(A_log): the rate of decay of a state-space layer.
  std::vector<float> DecayRate(const TensorSpec& a_log);

  const absl::Status& status() const { return status_; }
  // `layer` if all went well, else the error.
  template <typename Layer>
  absl::StatusOr<std::unique_ptr<Layer>> Finish(
      std::unique_ptr<Layer> layer) const {
    if (!status_.ok()) return status_;
    return layer;
  }

 private:
  Linear LoadPacked(const LinearSpec& spec);
  Linear LoadAny(const LinearSpec& spec, bool gates_in_blocks);
  Linear LoadQuantized(const LinearSpec& spec, bool gates_in_blocks);
  Linear LoadQuantizing(const LinearSpec& spec, bool gates_in_blocks);
  Linear PackQuantized(
      const LinearSpec& spec, const kernels::QuantizedFormat& format,
      const std::function<kernels::QuantizedRow(size_t)>& row_of,
      bool gates_in_blocks);
  bool IsQuantized(const LinearSpec& spec);
  void LoadAdapters(const LinearSpec& spec, Linear* linear);
  std::vector<float> Bias(const LinearSpec& spec);

  const Checkpoint& checkpoint_;
  const Options options_;
  absl::Status status_;
  absl::flat_hash_map<std::string, Linear::Weights> packed_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_WEIGHT_LOADER_H_
