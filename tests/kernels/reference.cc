#include "tests/kernels/reference.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace braid::kernels::reference {

std::vector<float> Random(size_t count, unsigned seed, float low, float high) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> distribution(low, high);
  std::vector<float> values(count);
  for (float& value : values) value = distribution(engine);
  return values;
}

double MaxError(const std::vector<float>& a, const std::vector<double>& b) {
  double worst = a.size() == b.size() ? 0.0 : HUGE_VAL;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double error = std::abs(a[i] - b[i]) / (1.0 + std::abs(b[i]));
    if (!(error <= worst)) worst = error;  // a NaN counts as the worst
  }
  return worst;
}

double Silu(double x) { return x / (1.0 + std::exp(-x)); }

double Activate(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::kSilu:
      return Silu(x);
    case Activation::kRelu2:
      return x > 0.0 ? x * x : 0.0;
    case Activation::kSigmoid:
      return 1.0 / (1.0 + std::exp(-x));
  }
  return HUGE_VAL;
}

std::vector<double> Gemm(const float* a, const float* b, const float* bias,
                         const float* residual, Activation activation, size_t m,
                         size_t n, size_t k) {
  std::vector<double> c(m * n);
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      double sum = bias == nullptr ? 0.0 : bias[j];
      for (size_t x = 0; x < k; ++x) {
        sum += static_cast<double>(a[i * k + x]) * b[j * k + x];
      }
      c[i * n + j] = Activate(activation, sum) +
                     (residual == nullptr ? 0.0 : residual[i * n + j]);
    }
  }
  return c;
}

std::vector<double> LayerNorm(const LayerNormParams& p) {
  std::vector<double> out(p.rows * p.dim);
  for (size_t r = 0; r < p.rows; ++r) {
    const float* x = p.x + r * p.ldx;
    double mean = 0.0;
    for (size_t i = 0; i < p.dim; ++i) mean += x[i];
    mean /= p.dim;
    double variance = 0.0;
    for (size_t i = 0; i < p.dim; ++i)
      variance += (x[i] - mean) * (x[i] - mean);
    variance /= p.dim;
    for (size_t i = 0; i < p.dim; ++i) {
      out[r * p.dim + i] =
          (x[i] - mean) / std::sqrt(variance + p.epsilon) * p.weight[i] +
          (p.bias == nullptr ? 0.0 : p.bias[i]);
    }
  }
  return out;
}

std::vector<double> RmsNorm(const RmsNormParams& p) {
  std::vector<double> out(p.rows * p.dim);
  const size_t width = p.dim / p.groups;
  for (size_t r = 0; r < p.rows; ++r) {
    for (size_t g = 0; g < p.groups; ++g) {
      double squares = 0.0;
      const auto value = [&](size_t i) -> double {
        const double x = p.x[r * p.ldx + i];
        return p.gate != nullptr && p.gate_order == GateOrder::kGateFirst
                   ? x * Activate(p.gate_activation, p.gate[r * p.ldg + i])
                   : x;
      };
      for (size_t i = g * width; i < (g + 1) * width; ++i) {
        squares += value(i) * value(i);
      }
      for (size_t i = g * width; i < (g + 1) * width; ++i) {
        const double weight =
            p.weight[p.weight_shared_by_groups ? i - g * width : i] +
            p.weight_offset;
        double v = value(i) / std::sqrt(squares / width + p.epsilon) * weight;
        if (p.gate != nullptr && p.gate_order == GateOrder::kNormFirst) {
          v *= Activate(p.gate_activation, p.gate[r * p.ldg + i]);
        }
        out[r * p.dim + i] = v;
      }
    }
  }
  return out;
}

namespace {

// softmax(scale * q . k) v for one query over `count` keys.
void Attend(const float* q, const float* k, size_t ldk, const float* v,
            size_t ldv, size_t count, size_t dim, size_t value_dim,
            double scale, double* out) {
  std::vector<double> weights(count);
  double max = -HUGE_VAL;
  for (size_t j = 0; j < count; ++j) {
    for (size_t i = 0; i < dim; ++i) {
      weights[j] += static_cast<double>(q[i]) * k[j * ldk + i];
    }
    weights[j] *= scale;
    max = std::max(max, weights[j]);
  }
  double sum = 0.0;
  for (double& weight : weights) sum += weight = std::exp(weight - max);
  for (size_t j = 0; j < count; ++j) {
    for (size_t i = 0; i < value_dim; ++i) {
      out[i] += weights[j] / sum * v[j * ldv + i];
    }
  }
}

}  // namespace

std::vector<double> PackedAttention(const PackedAttentionParams& p) {
  const size_t width = p.heads * p.head_dim;
  std::vector<double> out(p.offsets[p.num_sequences] * width);
  for (size_t s = 0; s < p.num_sequences; ++s) {
    const size_t first = p.offsets[s];
    for (size_t h = 0; h < p.heads; ++h) {
      const size_t at = first * p.ld + h * p.head_dim;
      for (size_t t = first; t < p.offsets[s + 1]; ++t) {
        Attend(p.q + t * p.ld + h * p.head_dim, p.k + at, p.ld, p.v + at, p.ld,
               p.offsets[s + 1] - first, p.head_dim, p.head_dim, p.scale,
               out.data() + t * width + h * p.head_dim);
      }
    }
  }
  return out;
}

std::vector<double> CachedAttention(const CachedAttentionParams& p,
                                    const std::vector<float>& keys,
                                    const std::vector<float>& values) {
  const KvShape& shape = p.cache->shape();
  const size_t width = p.heads * shape.value_dim;
  std::vector<double> out(p.m * width);
  for (size_t i = 0; i < p.m; ++i) {
    for (size_t h = 0; h < p.heads; ++h) {
      const size_t kv = h / (p.heads / shape.kv_heads);
      Attend(p.q + i * p.ldq + h * shape.head_dim,
             keys.data() + kv * shape.head_dim, shape.kv_heads * shape.head_dim,
             values.data() + kv * shape.value_dim,
             shape.kv_heads * shape.value_dim, p.cache->tokens() - p.m + i + 1,
             shape.head_dim, shape.value_dim, p.scale,
             out.data() + i * width + h * shape.value_dim);
    }
  }
  return out;
}

namespace {

// IEEE 754 binary16: eleven significant bits, and steps of 2^-24 below 2^-14.
float RoundToF16(float x) {
  int exponent;
  std::frexp(x, &exponent);
  const float step = std::ldexp(1.0f, std::max(exponent, -13) - 11);
  return std::clamp(std::nearbyint(x / step) * step, -65504.0f, 65504.0f);
}

}  // namespace

std::vector<float> AsKept(KvType type, std::vector<float> vectors, size_t dim) {
  for (size_t at = 0; at < vectors.size(); at += dim) {
    float largest = 0.0f;
    for (size_t i = 0; i < dim; ++i) {
      largest = std::max(largest, std::abs(vectors[at + i]));
    }
    for (size_t i = 0; i < dim; ++i) {
      float& x = vectors[at + i];
      if (type == KvType::kF16) x = RoundToF16(x);
      if (type == KvType::kInt8 && largest > 0.0f) {
        x = std::nearbyint(x * (127.0f / largest)) * (largest / 127.0f);
      }
    }
  }
  return vectors;
}

std::vector<double> CausalConv1d(const CausalConv1dParams& p,
                                 std::vector<double>* state) {
  std::vector<double> in = *state;
  for (size_t t = 0; t < p.rows; ++t) {
    for (size_t c = 0; c < p.channels; ++c) in.push_back(p.x[t * p.ldx + c]);
  }
  std::vector<double> out(p.rows * p.channels);
  for (size_t t = 0; t < p.rows; ++t) {
    for (size_t c = 0; c < p.channels; ++c) {
      double sum = p.bias == nullptr ? 0.0 : p.bias[c];
      for (size_t j = 0; j < p.kernel; ++j) {
        sum += p.taps[j * p.channels + c] * in[(t + j) * p.channels + c];
      }
      out[t * p.channels + c] = Activate(p.activation, sum);
    }
  }
  state->assign(in.end() - (p.kernel - 1) * p.channels, in.end());
  return out;
}

std::vector<double> DeltaRule(const DeltaRuleParams& p) {
  std::vector<double> state(p.value_heads * p.key_dim * p.value_dim);
  std::vector<double> y(p.tokens * p.value_heads * p.value_dim);
  for (size_t t = 0; t < p.tokens; ++t) {
    for (size_t h = 0; h < p.value_heads; ++h) {
      const size_t key_head = h / (p.value_heads / p.key_heads);
      const float* q = p.q + t * p.ldq + key_head * p.key_dim;
      const float* k = p.k + t * p.ldk + key_head * p.key_dim;
      double* s = state.data() + h * p.key_dim * p.value_dim;
      for (size_t c = 0; c < p.key_dim; ++c) {
        const double g =
            p.g[t * p.ldg + (p.decay_per_key_channel ? h * p.key_dim + c : h)];
        for (size_t i = 0; i < p.value_dim; ++i) {
          s[c * p.value_dim + i] *= std::exp(g);
        }
      }
      for (size_t i = 0; i < p.value_dim; ++i) {
        double update = p.v[t * p.ldv + h * p.value_dim + i];
        for (size_t c = 0; c < p.key_dim; ++c) {
          update -= s[c * p.value_dim + i] * k[c];
        }
        update *= p.beta[t * p.ldbeta + h];
        double sum = 0.0;
        for (size_t c = 0; c < p.key_dim; ++c) {
          s[c * p.value_dim + i] += k[c] * update;
          sum += s[c * p.value_dim + i] * q[c];
        }
        y[(t * p.value_heads + h) * p.value_dim + i] = sum;
      }
    }
  }
  return y;
}

std::vector<double> SelectiveScan(const SelectiveScanParams& p) {
  std::vector<double> state(p.channels * p.state_dim);
  std::vector<double> y(p.tokens * p.channels);
  for (size_t t = 0; t < p.tokens; ++t) {
    for (size_t c = 0; c < p.channels; ++c) {
      const double x = p.x[t * p.ldx + c];
      const double dt = p.dt[t * p.lddt + c];
      double sum = p.d == nullptr ? 0.0 : p.d[c] * x;
      for (size_t n = 0; n < p.state_dim; ++n) {
        double& s = state[c * p.state_dim + n];
        const double a = p.a[(c / 16 * p.state_dim + n) * 16 + c % 16];
        s = std::exp(dt * a) * s + dt * p.b[t * p.ldb + n] * x;
        sum += s * p.c[t * p.ldc + n];
      }
      y[t * p.channels + c] = sum;
    }
  }
  return y;
}

std::vector<double> Ssd(const SsdParams& p) {
  const auto& [heads, head_dim, state_dim, groups, rank, trapezoid] = p.shape;
  std::vector<double> state(heads * head_dim * state_dim);
  std::vector<double> y(p.tokens * rank * heads * head_dim);
  // S of one head += weight * sum over the token's rows of x B^T.
  const auto add = [&](size_t t, size_t h, double weight) {
    for (size_t r = t * rank; r < (t + 1) * rank; ++r) {
      const float* b = p.b + r * p.ldb + h / (heads / groups) * state_dim;
      for (size_t i = 0; i < head_dim; ++i) {
        for (size_t n = 0; n < state_dim; ++n) {
          state[(h * head_dim + i) * state_dim + n] +=
              weight * p.x[r * p.ldx + h * head_dim + i] * b[n];
        }
      }
    }
  };
  for (size_t t = 0; t < p.tokens; ++t) {
    for (size_t h = 0; h < heads; ++h) {
      const double dt = p.dt[t * p.lddt + h];
      const double now = trapezoid ? p.trapezoid[t * p.lddt + h] : 1.0;
      if (t > 0) add(t - 1, h, (1 - now) * dt);
      for (size_t i = 0; i < head_dim * state_dim; ++i) {
        state[h * head_dim * state_dim + i] *=
            std::exp(dt * p.a[t * p.lda + h]);
      }
      add(t, h, now * dt);
      for (size_t r = t * rank; r < (t + 1) * rank; ++r) {
        const float* c = p.c + r * p.ldc + h / (heads / groups) * state_dim;
        for (size_t i = 0; i < head_dim; ++i) {
          const double x = p.x[r * p.ldx + h * head_dim + i];
          double sum = p.d == nullptr ? 0.0 : p.d[h] * x;
          for (size_t n = 0; n < state_dim; ++n) {
            sum += state[(h * head_dim + i) * state_dim + n] * c[n];
          }
          y[r * heads * head_dim + h * head_dim + i] = sum;
        }
      }
    }
  }
  return y;
}

}  // namespace braid::kernels::reference
