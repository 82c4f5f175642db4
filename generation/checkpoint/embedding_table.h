// A table of a checkpoint that is read row by row, such as an embedding.
#ifndef BRAID_GENERATION_CHECKPOINT_EMBEDDING_TABLE_H_
#define BRAID_GENERATION_CHECKPOINT_EMBEDDING_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/model_spec.h"
#include "generation/checkpoint/quantized_tensors.h"
#include "kernels/quantized_weights.h"

namespace braid::model {

// A view into the mapped file, in floating point or in codes.
class EmbeddingTable {
 public:
  EmbeddingTable() = default;  // of no use but to be assigned to
  // `table`, [rows, width], is in the checkpoint as its CheckTensors wants it;
  // `format` is that of codes, if there are any.
  EmbeddingTable(const Checkpoint& checkpoint,
                 const std::optional<kernels::QuantizedFormat>& format,
                 const TensorSpec& table);

  // Writes row `row`, widened to f32: `width` floats.
  void Read(int64_t row, float* out) const;

 private:
  size_t width_ = 0;
  const TensorView* floats_ = nullptr;
  kernels::QuantizedFormat format_;
  std::optional<QuantizedTensor> codes_;  // instead of floats_
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_EMBEDDING_TABLE_H_
