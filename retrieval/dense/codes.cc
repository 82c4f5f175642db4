#include "retrieval/dense/codes.h"

#include <algorithm>
#include <cmath>

namespace braid::retrieval {

float EncodeVector(const float* vector, size_t dimension, int8_t* code) {
  float largest = 0;
  for (size_t i = 0; i < dimension; ++i) {
    largest = std::max(largest, std::abs(vector[i]));
  }
  std::fill(code, code + CodeBytes(dimension), int8_t{0});
  // In double: the inverse of a subnormal float is infinite.
  const double inverse = largest > 0 ? 127.0 / largest : 0.0;
  for (size_t i = 0; i < dimension; ++i) {
    code[i] = static_cast<int8_t>(std::lrint(vector[i] * inverse));
  }
  return largest / 127.0f;
}

}  // namespace braid::retrieval
