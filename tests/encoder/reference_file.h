// Files made by make_reference.py.
#ifndef BRAID_TESTS_ENCODER_REFERENCE_FILE_H_
#define BRAID_TESTS_ENCODER_REFERENCE_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace braid::retrieval {

struct ReferenceText {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<float> vector;  // rounded to f16
};

// Empty if the file cannot be read.
std::vector<ReferenceText> ReadReference(const std::string& path);

double Cosine(const float* a, const float* b, size_t dimension);

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_ENCODER_REFERENCE_FILE_H_
