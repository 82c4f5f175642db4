// The layers as their definitions say, in double precision, token after token:
// slow, and written without looking at the kernels.
#ifndef BRAID_TESTS_LAYERS_REFERENCE_H_
#define BRAID_TESTS_LAYERS_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "generation/checkpoint/model_spec.h"
#include "tests/checkpoint/safetensors_writer.h"

namespace braid::model::reference {

using Weights = std::map<std::string, NamedTensor>;
using Row = std::vector<double>;
using Rows = std::vector<Row>;

inline double Silu(double x) { return x / (1 + std::exp(-x)); }

inline Rows Linear(const Weights& weights, const LinearSpec& spec,
                   const Rows& x) {
  Rows y(x.size());
  for (size_t p = 0; p < spec.weights.size(); ++p) {
    const NamedTensor& matrix = weights.at(spec.weights[p].name);
    for (size_t r = 0; r < x.size(); ++r) {
      for (int64_t o = 0; o < matrix.shape[0]; ++o) {
        double sum =
            spec.biases.empty() ? 0 : weights.at(spec.biases[p].name).values[o];
        for (int64_t i = 0; i < spec.in; ++i) {
          sum += static_cast<double>(matrix.values[o * spec.in + i]) * x[r][i];
        }
        y[r].push_back(sum);
      }
    }
  }
  return y;
}

// Every query looks at all keys up to its own position.
inline Rows Attention(const Weights& weights, const AttentionSpec& spec,
                      const Rows& x) {
  const size_t dim = spec.head_dim;
  Rows qkv = Linear(weights, spec.qkv, x);
  if (spec.rope.has_value()) {
    for (size_t t = 0; t < x.size(); ++t) {
      for (int64_t h = 0; h < spec.heads + spec.kv_heads; ++h) {
        double* head = qkv[t].data() + h * dim;
        const int64_t half = spec.rope->dims / 2;
        for (int64_t i = 0; i < half; ++i) {
          const double angle =
              t * std::pow(spec.rope->theta, -2.0 * i / spec.rope->dims);
          const double a = head[i];
          const double b = head[i + half];
          head[i] = a * std::cos(angle) - b * std::sin(angle);
          head[i + half] = b * std::cos(angle) + a * std::sin(angle);
        }
      }
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
  }
  return Linear(weights, spec.out, mixed);
}

inline Rows Mamba2(const Weights& weights, const Mamba2Spec& spec,
                   const Rows& x) {
  const auto at = [&](const TensorSpec& tensor, size_t i) {
    return static_cast<double>(weights.at(tensor.name).values[i]);
  };
  const size_t inner = spec.inner();
  const size_t channels = spec.conv_channels();
  const size_t kernel = spec.conv_kernel;
  const size_t n = spec.state_dim;
  const Rows projected = Linear(weights, spec.in, x);
  std::vector<Row> state(inner, Row(n));
  Rows y;
  for (size_t t = 0; t < x.size(); ++t) {
    Row conv(channels);
    for (size_t c = 0; c < channels; ++c) {
      double sum = spec.conv_bias.has_value() ? at(*spec.conv_bias, c) : 0;
      for (size_t k = 0; k < kernel; ++k) {
        if (t + k + 1 < kernel) continue;  // before the first token: zero
        sum += at(spec.conv_weight, c * kernel + k) *
               projected[t + k + 1 - kernel][inner + c];
      }
      conv[c] = Silu(sum);
    }
    Row out(inner);
    for (int64_t h = 0; h < spec.heads; ++h) {
      const double raw =
          projected[t][inner + channels + h] + at(spec.dt_bias, h);
      const double dt =
          std::clamp(std::log1p(std::exp(raw)), spec.dt_min, spec.dt_max);
      const double decay = std::exp(-dt * std::exp(at(spec.a_log, h)));
      const size_t group = h / (spec.heads / spec.groups);
      const double* b = conv.data() + inner + group * n;
      const double* c = b + spec.groups * n;
      for (int64_t p = 0; p < spec.head_dim; ++p) {
        const size_t row = h * spec.head_dim + p;
        out[row] = at(spec.d, h) * conv[row];
        for (size_t k = 0; k < n; ++k) {
          state[row][k] = decay * state[row][k] + dt * conv[row] * b[k];
          out[row] += state[row][k] * c[k];
        }
        out[row] *= Silu(projected[t][row]);
      }
    }
    const size_t width = inner / spec.groups;
    for (int64_t g = 0; g < spec.groups; ++g) {
      double squares = 0;
      for (size_t i = 0; i < width; ++i) {
        squares += out[g * width + i] * out[g * width + i];
      }
      const double scale = 1 / std::sqrt(squares / width + spec.norm.epsilon);
      for (size_t i = 0; i < width; ++i) {
        out[g * width + i] *= scale * at(spec.norm.weight, g * width + i);
      }
    }
    y.push_back(std::move(out));
  }
  return Linear(weights, spec.out, y);
}

// One SwiGLU; matrices [2 * intermediate, hidden] and [hidden, intermediate].
inline Row SwiGlu(const float* gate_up, const float* down, size_t intermediate,
                  const Row& x) {
  Row inner(intermediate);
  const size_t hidden = x.size();
  for (size_t j = 0; j < intermediate; ++j) {
    double gate = 0;
    double up = 0;
    for (size_t i = 0; i < hidden; ++i) {
      gate += static_cast<double>(gate_up[j * hidden + i]) * x[i];
      up +=
          static_cast<double>(gate_up[(intermediate + j) * hidden + i]) * x[i];
    }
    inner[j] = Silu(gate) * up;
  }
  Row out(hidden);
  for (size_t i = 0; i < hidden; ++i) {
    for (size_t j = 0; j < intermediate; ++j) {
      out[i] += static_cast<double>(down[i * intermediate + j]) * inner[j];
    }
  }
  return out;
}

inline Rows Mlp(const Weights& weights, const MlpSpec& spec, const Rows& x) {
  Rows y;
  for (const Row& row : x) {
    y.push_back(SwiGlu(weights.at(spec.gate_up.weights[0].name).values.data(),
                       weights.at(spec.down.weights[0].name).values.data(),
                       spec.intermediate, row));
  }
  return y;
}

inline Rows Moe(const Weights& weights, const MoeSpec& spec, const Rows& x) {
  const Rows logits = Linear(weights, spec.router, x);
  const std::vector<float>& gate_up = weights.at(spec.gate_up.name).values;
  const std::vector<float>& down = weights.at(spec.down.name).values;
  Rows y;
  for (size_t r = 0; r < x.size(); ++r) {
    std::vector<size_t> order(spec.experts);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return logits[r][a] > logits[r][b];
    });
    double sum = 0;
    for (int64_t k = 0; k < spec.top_k; ++k) {
      sum += std::exp(logits[r][order[k]]);
    }
    Row out(x[r].size());
    for (int64_t k = 0; k < spec.top_k; ++k) {
      const size_t expert = order[k];
      const Row part =
          SwiGlu(gate_up.data() + expert * gate_up.size() / spec.experts,
                 down.data() + expert * down.size() / spec.experts,
                 spec.intermediate, x[r]);
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] += std::exp(logits[r][expert]) / sum * part[i];
      }
    }
    y.push_back(std::move(out));
  }
  return y;
}

}  // namespace braid::model::reference

#endif  // BRAID_TESTS_LAYERS_REFERENCE_H_
