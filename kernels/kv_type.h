// How attention keeps the keys and values of past tokens.
#ifndef BRAID_KERNELS_KV_TYPE_H_
#define BRAID_KERNELS_KV_TYPE_H_

#include <optional>
#include <string_view>

namespace braid::kernels {

enum class KvType {
  kF32,
  // Rounded to nearest even. What is larger than 65504 becomes that. Arithmetic
  // is in f32.
  kF16,
  // 127ths of the largest magnitude of one token's key, or value, in one head.
  // Arithmetic is in integers, with queries and weights of 16 bits.
  kInt8,
};

// f32, f16 or int8; null for anything else.
std::optional<KvType> ParseKvType(std::string_view name);
const char* KvTypeName(KvType type);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_KV_TYPE_H_
