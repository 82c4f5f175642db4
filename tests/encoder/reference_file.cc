#include "tests/encoder/reference_file.h"

#include <cmath>
#include <fstream>

#include "absl/strings/escaping.h"
#include "generation/checkpoint/safetensors.h"
#include "nlohmann/json.hpp"

namespace braid::retrieval {

std::vector<ReferenceText> ReadReference(const std::string& path) {
  std::vector<ReferenceText> texts;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);  // versions
  while (std::getline(file, line)) {
    const nlohmann::json json = nlohmann::json::parse(line);
    ReferenceText reference;
    reference.text = json["text"].get<std::string>();
    reference.ids = json["ids"].get<std::vector<int32_t>>();
    std::string bytes;
    if (!absl::Base64Unescape(json["vector"].get<std::string>(), &bytes)) {
      return {};
    }
    reference.vector.resize(bytes.size() / 2);
    model::WidenToF32(model::DType::kF16,
                      reinterpret_cast<const uint8_t*>(bytes.data()),
                      reference.vector.size(), reference.vector.data());
    texts.push_back(std::move(reference));
  }
  return texts;
}

double Cosine(const float* a, const float* b, size_t dimension) {
  double dot = 0.0, aa = 0.0, bb = 0.0;
  for (size_t i = 0; i < dimension; ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return dot / std::sqrt(aa * bb);
}

}  // namespace braid::retrieval
