// One safetensors file, memory-mapped and validated.
// Format: https://github.com/huggingface/safetensors#format
#ifndef BRAID_GENERATION_CHECKPOINT_SAFETENSORS_H_
#define BRAID_GENERATION_CHECKPOINT_SAFETENSORS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace braid::model {

// Element types that Braid reads: floating point, and the codes of quantised
// matrices (kU8). Others are an error when a tensor is read, not when the file
// is opened.
enum class DType { kF32, kF16, kBf16, kU8, kOther };

inline bool IsFloat(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBf16;
}

// A tensor inside a mapped file. `data` may be unaligned.
struct TensorView {
  std::string name;
  DType dtype = DType::kOther;
  std::string dtype_name;  // as written in the file, for messages
  std::vector<int64_t> shape;
  const uint8_t* data = nullptr;
  uint64_t bytes = 0;
  int64_t elements = 0;
};

class SafetensorsFile {
 public:
  // Checks the header (at most 100 MB), every shape product with overflow
  // checks, and that offsets lie inside the file without holes or overlaps.
  // Errors name the file and the tensor.
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(
      const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::string& path() const { return path_; }
  absl::Span<const TensorView> tensors() const { return tensors_; }

 private:
  SafetensorsFile() = default;
  std::string path_;
  void* mapping_ = nullptr;
  uint64_t mapping_bytes_ = 0;
  std::vector<TensorView> tensors_;
};

// Widens `count` elements at `data` (unaligned allowed) to f32, exactly.
// `dtype` must be a floating-point type.
void WidenToF32(DType dtype, const uint8_t* data, int64_t count, float* out);

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_SAFETENSORS_H_
