// The layers as their definitions say, in double precision, token after token:
// slow, and written without looking at the kernels.
#ifndef BRAID_TESTS_LAYERS_REFERENCE_H_
#define BRAID_TESTS_LAYERS_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "generation/checkpoint/model_spec.h"
#include "tests/checkpoint/safetensors_writer.h"

namespace braid::model::reference {

using Weights = std::map<std::string, NamedTensor>;
using Row = std::vector<double>;
using Rows = std::vector<Row>;

inline double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
inline double Silu(double x) { return x * Sigmoid(x); }
inline double Softplus(double x) { return std::log1p(std::exp(x)); }

inline double Activate(kernels::Activation activation, double x) {
  switch (activation) {
    case kernels::Activation::kNone:
      return x;
    case kernels::Activation::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case kernels::Activation::kSilu:
      return Silu(x);
    case kernels::Activation::kRelu2:
      return x > 0 ? x * x : 0;
    case kernels::Activation::kSigmoid:
      return Sigmoid(x);
  }
  return NAN;
}

inline double At(const Weights& weights, const TensorSpec& tensor, size_t i) {
  return static_cast<double>(weights.at(tensor.name).values[i]);
}

// In place, over `size` values.
inline void RmsNorm(const Weights& weights, const RmsNormSpec& spec, double* x,
                    size_t size, size_t first_weight = 0) {
  double squares = 0;
  for (size_t i = 0; i < size; ++i) squares += x[i] * x[i];
  const double scale = 1 / std::sqrt(squares / size + spec.epsilon);
  for (size_t i = 0; i < size; ++i) {
    x[i] *= scale *
            (At(weights, spec.weight, first_weight + i) + spec.weight_offset);
  }
}

inline Rows Linear(const Weights& weights, const LinearSpec& spec,
                   const Rows& x) {
  Rows stored(x.size());
  for (size_t p = 0; p < spec.weights.size(); ++p) {
    const std::vector<int64_t> shape = spec.weights[p].view_shape();
    const size_t first =
        std::max<int64_t>(spec.weights[p].slice, 0) * shape[0] * shape[1];
    for (size_t r = 0; r < x.size(); ++r) {
      for (int64_t o = 0; o < shape[0]; ++o) {
        double sum = 0;
        for (int64_t i = 0; i < spec.in; ++i) {
          sum += At(weights, spec.weights[p], first + o * spec.in + i) *
                 x[r][i] * spec.in_scale;
        }
        if (!spec.biases.empty()) sum += At(weights, spec.biases[p], o);
        stored[r].push_back(sum);
      }
    }
  }
  std::vector<double> scales;
  for (const auto& [rows, scale] : spec.row_scales) {
    scales.insert(scales.end(), rows, scale);
  }
  Rows y(x.size());
  for (size_t r = 0; r < x.size(); ++r) {
    for (size_t i = 0; i < stored[r].size(); ++i) {
      const size_t from = spec.row_order.empty() ? i : spec.row_order[i];
      y[r].push_back(stored[r][from] * (scales.empty() ? 1 : scales[i]));
    }
    for (const LinearSpec::Adapter& adapter : spec.adapters) {
      for (int64_t o = 0; o < adapter.up.shape[0]; ++o) {
        for (int64_t k = 0; k < adapter.down.shape[0]; ++k) {
          double low = 0;
          for (int64_t i = 0; i < spec.in; ++i) {
            low += At(weights, adapter.down, k * spec.in + i) * x[r][i];
          }
          y[r][adapter.first_row + o] +=
              low * At(weights, adapter.up, o * adapter.down.shape[0] + k);
        }
      }
    }
  }
  return y;
}

// out[t][c] = bias + sum over the kernel of past inputs, zero before the first.
inline Rows Conv(const Weights& weights, const std::vector<TensorSpec>& taps,
                 const std::optional<TensorSpec>& bias, size_t kernel,
                 const Rows& x, size_t first, bool silu) {
  Rows y(x.size());
  for (size_t t = 0; t < x.size(); ++t) {
    size_t column = 0;
    for (const TensorSpec& part : taps) {
      for (int64_t c = 0; c < part.shape[0]; ++c, ++column) {
        double sum = bias.has_value() ? At(weights, *bias, column) : 0;
        for (size_t k = 0; k < kernel; ++k) {
          if (t + k + 1 < kernel) continue;
          sum += At(weights, part, c * kernel + k) *
                 x[t + k + 1 - kernel][first + column];
        }
        y[t].push_back(silu ? Silu(sum) : sum);
      }
    }
  }
  return y;
}

// Rotates pairs of `head` for position t.
inline void Rotate(const RopeSpec& rope, bool adjacent, size_t t,
                   double* head) {
  const size_t half = rope.inverse_frequencies.size();
  for (size_t i = 0; i < half; ++i) {
    const double angle = t * static_cast<double>(rope.inverse_frequencies[i]);
    double& a = head[adjacent ? 2 * i : i];
    double& b = head[adjacent ? 2 * i + 1 : i + half];
    const double first = a;
    a = rope.magnitude * (first * std::cos(angle) - b * std::sin(angle));
    b = rope.magnitude * (b * std::cos(angle) + first * std::sin(angle));
  }
}

// Every query looks at all keys up to its own position.
inline Rows Attention(const Weights& weights, const AttentionSpec& spec,
                      const Rows& x) {
  const size_t dim = spec.head_dim;
  const size_t q_width = spec.q_width();
  const size_t kv_width = spec.kv_width();
  Rows qkv = Linear(weights, spec.qkv, x);
  for (size_t t = 0; t < x.size(); ++t) {
    const auto norm = [&](const std::optional<RmsNormSpec>& norm_spec,
                          double* part, size_t width) {
      if (!norm_spec.has_value()) return;
      const size_t size = norm_spec->weight.shape[0];
      for (size_t i = 0; i < width; i += size) {
        RmsNorm(weights, *norm_spec, part + i, size);
      }
    };
    norm(spec.q_norm, qkv[t].data(), q_width);
    norm(spec.k_norm, qkv[t].data() + q_width, kv_width);
    if (!spec.rope.has_value()) continue;
    for (int64_t h = 0; h < spec.heads + spec.kv_heads; ++h) {
      Rotate(*spec.rope, false, t, qkv[t].data() + h * dim);
    }
  }
  Rows mixed(x.size(), Row(spec.heads * dim));
  for (size_t t = 0; t < x.size(); ++t) {
    for (int64_t h = 0; h < spec.heads; ++h) {
      const size_t kv = h / (spec.heads / spec.kv_heads);
      const size_t key = (spec.heads + kv) * dim;
      const size_t value = key + spec.kv_heads * dim;
      Row scores;
      for (size_t s = 0; s <= t; ++s) {
        double dot = 0;
        for (size_t i = 0; i < dim; ++i) {
          dot += qkv[t][h * dim + i] * qkv[s][key + i];
        }
        scores.push_back(std::exp(dot * spec.scale));
      }
      const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
      for (size_t s = 0; s <= t; ++s) {
        for (size_t i = 0; i < dim; ++i) {
          mixed[t][h * dim + i] += scores[s] / sum * qkv[s][value + i];
        }
      }
    }
    if (!spec.output_gate) continue;
    for (size_t i = 0; i < q_width; ++i) {
      mixed[t][i] *= Sigmoid(qkv[t][q_width + 2 * kv_width + i]);
    }
  }
  return Linear(weights, spec.out, mixed);
}

}  // namespace braid::model::reference

#endif  // BRAID_TESTS_LAYERS_REFERENCE_H_
