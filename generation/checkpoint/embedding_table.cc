#include "generation/checkpoint/embedding_table.h"

namespace braid::model {

EmbeddingTable::EmbeddingTable(
    const Checkpoint& checkpoint,
    const std::optional<kernels::QuantizedFormat>& format,
    const TensorSpec& table)
    : width_(static_cast<size_t>(table.shape.back())) {
  if (IsQuantized(checkpoint, table.name)) {
    format_ = *format;
    codes_.emplace(checkpoint, format_, table);
  } else {
    floats_ = checkpoint.Find(table.name);
  }
}

void EmbeddingTable::Read(int64_t row, float* out) const {
  if (codes_.has_value()) {
    kernels::Dequantize(format_, codes_->row(static_cast<size_t>(row)), width_,
                        out);
    return;
  }
  const uint64_t row_bytes = floats_->bytes / floats_->shape[0];
  WidenToF32(floats_->dtype, floats_->data + row * row_bytes,
             static_cast<int64_t>(width_), out);
}

}  // namespace braid::model
