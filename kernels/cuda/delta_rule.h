// The gated delta rule on the GPU: the recurrence of Gated DeltaNet (Yang,
// Kautz, Hatamizadeh 2024, section 3) and, with a decay for each key channel,
// of Kimi Delta Attention. For each value head h with its key head h /
// (value_heads / key_heads):
//
//   S  = diag(exp(g)) S                                [key_dim, value_dim]
//   S += k (beta (v - S^T k))^T
//   y  = S^T q                                         [value_dim]
//
// T is float or __nv_bfloat16; states, decays, beta and sums are f32. With
// bf16, what goes into a matrix product of DeltaRuleScan is rounded to bf16:
// keys and queries weighted by decays, the solution of a chunk's triangular
// system, what a chunk's tokens write, and the state before a chunk. For what
// holds of all parameters see kernels/cuda/norm.h.
#ifndef BRAID_KERNELS_CUDA_DELTA_RULE_H_
#define BRAID_KERNELS_CUDA_DELTA_RULE_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/status.h"

namespace braid::kernels::cuda {

inline constexpr int kMaxDeltaKeyDim = 256;

struct DeltaRuleShape {
  int key_heads = 0;
  int value_heads = 0;  // a multiple of key_heads
  int key_dim = 0;      // of each head, at most kMaxDeltaKeyDim
  int value_dim = 0;    // of each head
  bool decay_per_key_channel = false;

  // Of one sequence: [value_heads, key_dim, value_dim].
  int64_t state_floats() const {
    return int64_t{value_heads} * key_dim * value_dim;
  }
};

template <class T>
struct DeltaRuleParams {
  DeltaRuleShape shape;
  int sequences = 1;
  int64_t tokens = 0;  // of each; token t of sequence s is row s * tokens + t
  // [rows, key_heads * key_dim], normalised and scaled by the caller: the
  // recurrence is stable while beta |k|^2 <= 2.
  const T* q = nullptr;
  int64_t ldq = 0;
  const T* k = nullptr;
  int64_t ldk = 0;
  const T* v = nullptr;  // [rows, value_heads * value_dim]
  int64_t ldv = 0;
  // Logarithm of the decay: finite, at most 0. [rows, value_heads], or [rows,
  // value_heads * key_dim] if decay_per_key_channel.
  const float* g = nullptr;
  int64_t ldg = 0;
  const float* beta = nullptr;  // [rows, value_heads], 0 to 2
  int64_t ldbeta = 0;
  // In and out, all zero before the first token. That of sequence s is at
  // slots[s] * state_stride, without `slots` at s * state_stride; slots differ.
  float* state = nullptr;
  int64_t state_stride = 0;
  const int32_t* slots = nullptr;
  T* y = nullptr;  // as v; may equal v with ldy == ldv
  int64_t ldy = 0;
};

// Token by token, with the states in registers: for decoding, and for short
// pieces. The result does not depend on where a sequence is cut into calls.
template <class T>
Status DeltaRuleStep(const DeltaRuleParams<T>& params, cudaStream_t stream);

// One sequence of any length, in chunks of kDeltaScanChunk from the first token
// of the call: inside a chunk as matrix products and the solution of a
// triangular system, from chunk to chunk through S. A sequence that is cut
// elsewhere gives the same up to rounding; the same call gives the same bits.
// With a decay for each key channel, or key_dim > 128, it is DeltaRuleStep.
// `workspace` has DeltaRuleScanWorkspaceBytes<T>(shape) bytes, 16-byte aligned.
template <class T>
Status DeltaRuleScan(const DeltaRuleParams<T>& params, void* workspace,
                     cudaStream_t stream);

inline constexpr int kDeltaScanChunk = 64;

// Does not grow with the number of tokens.
template <class T>
size_t DeltaRuleScanWorkspaceBytes(const DeltaRuleShape& shape);

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_DELTA_RULE_H_
