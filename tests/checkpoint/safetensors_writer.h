// Writes safetensors files for tests, right ones and wrong ones.
#ifndef BRAID_TESTS_CHECKPOINT_SAFETENSORS_WRITER_H_
#define BRAID_TESTS_CHECKPOINT_SAFETENSORS_WRITER_H_

#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace braid::model {

struct NamedTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// Length prefix, header, data: whatever they hold.
inline void WriteRawSafetensors(const std::string& path, uint64_t header_bytes,
                                const std::string& header,
                                const std::string& data) {
  std::string prefix(8, '\0');
  for (int i = 0; i < 8; ++i) {
    prefix[i] = static_cast<char>(header_bytes >> (8 * i) & 0xFF);
  }
  std::ofstream(path, std::ios::binary) << prefix << header << data;
}

// A valid F32 file of `tensors`.
inline void WriteSafetensors(
    const std::string& path,
    const std::map<std::string, NamedTensor>& tensors) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(tensor.values.data()),
                tensor.values.size() * 4);
    header[name] = {{"dtype", "F32"},
                    {"shape", tensor.shape},
                    {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = header.dump();
  WriteRawSafetensors(path, text.size(), text, data);
}

}  // namespace braid::model

#endif  // BRAID_TESTS_CHECKPOINT_SAFETENSORS_WRITER_H_
