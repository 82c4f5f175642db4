// The same operations as the kernels, written as their definitions read: scalar
// loops in f64, one element at a time.
#ifndef BRAID_TESTS_KERNELS_REFERENCE_H_
#define BRAID_TESTS_KERNELS_REFERENCE_H_

#include <cstddef>
#include <vector>

#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/conv1d.h"
#include "kernels/delta_rule.h"
#include "kernels/norm.h"
#include "kernels/selective_scan.h"
#include "kernels/ssd.h"

namespace braid::kernels::reference {

// Uniform in [low, high), the same for the same seed.
std::vector<float> Random(size_t count, unsigned seed, float low = -1.0f,
                          float high = 1.0f);

// Largest |a - b| / (1 + |b|).
double MaxError(const std::vector<float>& a, const std::vector<double>& b);

// Vectors of `dim` numbers as a cache of this type keeps them.
std::vector<float> AsKept(KvType type, std::vector<float> vectors, size_t dim);

double Silu(double x);
double Activate(Activation activation, double x);

// [m, n] = act(a [m, k] * b [n, k]^T + bias) + residual; null means none.
std::vector<double> Gemm(const float* a, const float* b, const float* bias,
                         const float* residual, Activation activation, size_t m,
                         size_t n, size_t k);

// Dense [rows, dim] results of the kernels of the same names.
std::vector<double> LayerNorm(const LayerNormParams& p);
std::vector<double> RmsNorm(const RmsNormParams& p);
std::vector<double> PackedAttention(const PackedAttentionParams& p);
// From what was appended to the cache: keys [t, kv_heads, head_dim], values
// [t, kv_heads, value_dim].
std::vector<double> CachedAttention(const CachedAttentionParams& p,
                                    const std::vector<float>& keys,
                                    const std::vector<float>& values);
std::vector<double> CausalConv1d(const CausalConv1dParams& p,
                                 std::vector<double>* state);
// From the state before the first token.
std::vector<double> DeltaRule(const DeltaRuleParams& p);
std::vector<double> SelectiveScan(const SelectiveScanParams& p);
std::vector<double> Ssd(const SsdParams& p);

}  // namespace braid::kernels::reference

#endif  // BRAID_TESTS_KERNELS_REFERENCE_H_
