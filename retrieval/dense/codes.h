// Vectors in 8 bits a value: what the graph is built and walked on.
//
// Symmetric scalar quantisation with a scale of its own for each vector:
//   v[i] ~ scale * code[i],  scale = max_i |v[i]| / 127.
// The error of an inner product of two unit vectors of 384 values is about 6e-4
// (measured), far less than what separates a result from the tenth after it;
// results are scored again with the f32 vectors.
#ifndef BRAID_RETRIEVAL_DENSE_CODES_H_
#define BRAID_RETRIEVAL_DENSE_CODES_H_

#include <cstddef>
#include <cstdint>

#include "kernels/dot_i8.h"

namespace braid::retrieval {

// Bytes of one code: the dimension, padded with zeros.
constexpr size_t CodeBytes(size_t dimension) {
  return (dimension + kernels::kDotI8Multiple - 1) / kernels::kDotI8Multiple *
         kernels::kDotI8Multiple;
}

// Writes CodeBytes(dimension) to `code`; returns the scale. `vector` is finite.
float EncodeVector(const float* vector, size_t dimension, int8_t* code);

// The codes of many vectors. Owns nothing.
struct CodeRows {
  const int8_t* codes = nullptr;  // [rows, code_bytes]
  const float* scales = nullptr;  // [rows]
  size_t code_bytes = 0;

  const int8_t* code(size_t row) const { return codes + row * code_bytes; }
};

// Begins to load what is about to be read at an address nobody can guess.
inline void Prefetch(const void* begin, size_t bytes) {
  constexpr size_t kCacheLine = 64;
  for (size_t byte = 0; byte < bytes; byte += kCacheLine) {
    __builtin_prefetch(static_cast<const char*>(begin) + byte);
  }
}

// The approximate inner product of a code with row `row`.
inline float ScoreCode(const CodeRows& rows, const int8_t* code, float scale,
                       size_t row) {
  return scale * rows.scales[row] *
         static_cast<float>(
             kernels::DotI8(code, rows.code(row), rows.code_bytes));
}

// The approximate inner products, but for the query's scale, with four rows,
// whose cache misses overlap.
inline void ScoreCodes4(const CodeRows& rows, const int8_t* code,
                        const uint32_t at[4], float scores[4]) {
  const int8_t* codes[4];
  for (size_t j = 0; j < 4; ++j) codes[j] = rows.code(at[j]);
  int32_t dots[4];
  kernels::DotI8x4(code, codes, rows.code_bytes, dots);
  for (size_t j = 0; j < 4; ++j) {
    scores[j] = rows.scales[at[j]] * static_cast<float>(dots[j]);
  }
}

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_CODES_H_
