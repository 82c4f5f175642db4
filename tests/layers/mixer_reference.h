// The linear mixers and latent attention as their definitions say: see
// reference.h.
#ifndef BRAID_TESTS_LAYERS_MIXER_REFERENCE_H_
#define BRAID_TESTS_LAYERS_MIXER_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "generation/checkpoint/model_spec.h"
#include "tests/layers/reference.h"

namespace braid::model::reference {

// Keys and values of every head are made from the latent, as DeepSeek-V2's
// section 2.1 writes them.
inline Rows LatentAttention(const Weights& weights, const MlaSpec& spec,
                            const Rows& x) {
  const size_t nope = spec.nope_dim;
  const size_t rope = spec.rope_dim;
  const size_t dim = nope + rope;
  Rows low = x;
  if (spec.q_down.has_value()) {
    low = Linear(weights, *spec.q_down, x);
    for (Row& row : low) {
      RmsNorm(weights, *spec.q_norm, row.data(), row.size());
    }
  }
  Rows q = Linear(weights, spec.q, low);
  Rows down = Linear(weights, spec.kv_down, x);
  Rows latent;
  for (size_t t = 0; t < x.size(); ++t) {
    RmsNorm(weights, spec.kv_norm, down[t].data(), spec.rank);
    latent.emplace_back(down[t].begin(), down[t].begin() + spec.rank);
    if (!spec.rope.has_value()) continue;
    Rotate(*spec.rope, spec.rope_interleaved, t, down[t].data() + spec.rank);
    for (int64_t h = 0; h < spec.heads; ++h) {
      Rotate(*spec.rope, spec.rope_interleaved, t,
             q[t].data() + h * dim + nope);
    }
  }
  const Rows up = Linear(weights, spec.kv_up, latent);
  const size_t stride = nope + spec.value_dim;
  Rows mixed(x.size(), Row(spec.heads * spec.value_dim));
  for (size_t t = 0; t < x.size(); ++t) {
    for (int64_t h = 0; h < spec.heads; ++h) {
      Row scores;
      double sum = 0;
      for (size_t s = 0; s <= t; ++s) {
        double dot = 0;
        for (size_t i = 0; i < dim; ++i) {
          const double key =
              i < nope ? up[s][h * stride + i] : down[s][spec.rank + i - nope];
          dot += q[t][h * dim + i] * key;
        }
        scores.push_back(std::exp(dot * spec.scale));
        sum += scores.back();
      }
      for (size_t s = 0; s <= t; ++s) {
        for (int64_t i = 0; i < spec.value_dim; ++i) {
          mixed[t][h * spec.value_dim + i] +=
              scores[s] / sum * up[s][h * stride + nope + i];
        }
      }
    }
  }
  return Linear(weights, spec.out, mixed);
}

inline Rows Mamba1(const Weights& weights, const Mamba1Spec& spec,
                   const Rows& x) {
  const size_t inner = spec.inner;
  const size_t n = spec.state_dim;
  const Rows projected = Linear(weights, spec.in, x);
  const Rows conv = Conv(weights, {spec.conv_weight}, spec.conv_bias,
                         spec.conv_kernel, projected, 0, true);
  Rows selected = Linear(weights, spec.x_proj, conv);
  Rows low;
  for (Row& row : selected) {
    double* b = row.data() + spec.dt_rank;
    if (spec.dt_norm.has_value()) {
      RmsNorm(weights, *spec.dt_norm, row.data(), spec.dt_rank);
    }
    if (spec.b_norm.has_value()) RmsNorm(weights, *spec.b_norm, b, n);
    if (spec.c_norm.has_value()) RmsNorm(weights, *spec.c_norm, b + n, n);
    low.emplace_back(row.begin(), row.begin() + spec.dt_rank);
  }
  const Rows dt = Linear(weights, spec.dt_proj, low);
  std::vector<Row> state(inner, Row(n));
  Rows y(x.size(), Row(inner));
  for (size_t t = 0; t < x.size(); ++t) {
    const double* b = selected[t].data() + spec.dt_rank;
    for (size_t c = 0; c < inner; ++c) {
      const double step = Softplus(dt[t][c]);
      double sum = At(weights, spec.d, c) * conv[t][c];
      for (size_t k = 0; k < n; ++k) {
        const double a = -std::exp(At(weights, spec.a_log, c * n + k));
        state[c][k] =
            std::exp(step * a) * state[c][k] + step * b[k] * conv[t][c];
        sum += state[c][k] * b[n + k];
      }
      y[t][c] = sum * Silu(projected[t][inner + c]);
    }
  }
  return Linear(weights, spec.out, y);
}

inline Rows Mamba2(const Weights& weights, const Mamba2Spec& spec,
                   const Rows& x) {
  const size_t inner = spec.inner();
  const size_t channels = spec.conv_channels();
  const size_t n = spec.state_dim;
  const Rows projected = Linear(weights, spec.in, x);
  const Rows convolved = Conv(weights, {spec.conv_weight}, spec.conv_bias,
                              spec.conv_kernel, projected, inner, true);
  std::vector<Row> state(inner, Row(n));
  Rows y;
  for (size_t t = 0; t < x.size(); ++t) {
    const Row& conv = convolved[t];
    Row out(inner);
    for (int64_t h = 0; h < spec.heads; ++h) {
      const double raw =
          projected[t][inner + channels + h] + At(weights, spec.dt_bias, h);
      const double dt = std::clamp(Softplus(raw), spec.dt_min, spec.dt_max);
      const double decay = std::exp(-dt * std::exp(At(weights, spec.a_log, h)));
      const size_t group = h / (spec.heads / spec.groups);
      const double* b = conv.data() + inner + group * n;
      const double* c = b + spec.groups * n;
      for (int64_t p = 0; p < spec.head_dim; ++p) {
        const size_t row = h * spec.head_dim + p;
        out[row] = At(weights, spec.d, h) * conv[row];
        for (size_t k = 0; k < n; ++k) {
          state[row][k] = decay * state[row][k] + dt * conv[row] * b[k];
          out[row] += state[row][k] * c[k];
        }
      }
    }
    const auto gate = [&] {
      for (size_t i = 0; i < inner; ++i) out[i] *= Silu(projected[t][i]);
    };
    if (!spec.norm_before_gate || !spec.norm.has_value()) gate();
    if (spec.norm.has_value()) {
      const size_t width = inner / spec.norm_groups;
      for (size_t i = 0; i < inner; i += width) {
        RmsNorm(weights, *spec.norm, out.data() + i, width, i);
      }
      if (spec.norm_before_gate) gate();
    }
    y.push_back(std::move(out));
  }
  return Linear(weights, spec.out, y);
}

// Section 3 of the paper as it is written: S takes alpha S + beta x' B' + gamma
// x B, with beta = (1 - lambda) dt alpha and gamma = lambda dt.
inline Rows Mamba3(const Weights& weights, const Mamba3Spec& spec,
                   const Rows& x) {
  const size_t n = spec.state_dim;
  const size_t dim = spec.head_dim;
  const size_t rank = spec.rank;
  const size_t inner = spec.inner();
  const size_t heads = spec.heads;
  const Rows projected = Linear(weights, spec.in, x);
  const auto mimo = [&](const std::optional<TensorSpec>& tensor, size_t h,
                        size_t j, size_t p) {
    return tensor.has_value() ? At(weights, *tensor, (h * rank + j) * dim + p)
                              : 1.0;
  };
  std::vector<Rows> state(heads, Rows(dim, Row(n)));
  Rows theta(heads, Row(spec.angles));
  // Of the token before: x_j and B_j of each head.
  std::vector<Rows> last_x(heads, Rows(rank, Row(dim)));
  std::vector<Rows> last_b(heads, Rows(rank, Row(n)));
  Rows y;
  for (const Row& in : projected) {
    const double* z = in.data();
    const double* b_in = z + 2 * inner;
    const double* c_in = b_in + spec.bc_width();
    const double* steps = c_in + spec.bc_width();
    const double* angle = steps + 3 * heads;
    Row out(inner);
    for (size_t h = 0; h < heads; ++h) {
      const double dt = Softplus(steps[h] + At(weights, spec.dt_bias, h));
      const double raw = steps[heads + h];
      double decay = Softplus(raw);
      if (spec.decay == Mamba3Spec::Decay::kHeavyTail) {
        decay = std::max(raw, 0.0) + 1 / (1 - std::min(raw, 0.0));
      }
      const double alpha = std::exp(-std::max(decay, spec.decay_floor) * dt);
      const double lambda = Sigmoid(steps[2 * heads + h]);
      const double beta = (1 - lambda) * dt * alpha;
      const double gamma = lambda * dt;
      for (int64_t i = 0; i < spec.angles; ++i) {
        theta[h][i] += M_PI * std::tanh(angle[i]) * dt;
      }
      const auto read = [&](const double* from, const RmsNormSpec& norm,
                            const TensorSpec& bias, size_t j) {
        const size_t group = h / (heads / spec.groups);
        const double* begin = from + (j * spec.groups + group) * n;
        Row row(begin, begin + n);
        RmsNorm(weights, norm, row.data(), n);
        for (size_t i = 0; i < n; ++i) {
          row[i] += At(weights, bias, (h * rank + j) * n + i);
        }
        for (int64_t i = 0; i < spec.angles; ++i) {
          double& u = spec.rotate_halves ? row[i] : row[2 * i];
          double& v = spec.rotate_halves ? row[i + n / 2] : row[2 * i + 1];
          const double turned =
              u * std::cos(theta[h][i]) - v * std::sin(theta[h][i]);
          v = u * std::sin(theta[h][i]) + v * std::cos(theta[h][i]);
          u = turned;
        }
        return row;
      };
      Rows now_x(rank, Row(dim));
      Rows now_b;
      for (size_t j = 0; j < rank; ++j) {
        now_b.push_back(read(b_in, spec.b_norm, spec.b_bias, j));
        for (size_t p = 0; p < dim; ++p) {
          now_x[j][p] = in[inner + h * dim + p] * mimo(spec.mimo_x, h, j, p);
        }
      }
      for (size_t p = 0; p < dim; ++p) {
        for (size_t i = 0; i < n; ++i) {
          double& s = state[h][p][i];
          s *= alpha;
          for (size_t j = 0; j < rank; ++j) {
            s += beta * last_x[h][j][p] * last_b[h][j][i] +
                 gamma * now_x[j][p] * now_b[j][i];
          }
        }
      }
      for (size_t j = 0; j < rank; ++j) {
        const Row c = read(c_in, spec.c_norm, spec.c_bias, j);
        Row read_out(dim);
        for (size_t p = 0; p < dim; ++p) {
          read_out[p] = At(weights, spec.d, h) * now_x[j][p];
          for (size_t i = 0; i < n; ++i) read_out[p] += state[h][p][i] * c[i];
        }
        if (spec.norm.has_value()) {
          RmsNorm(weights, *spec.norm, read_out.data(), dim, h * dim);
        }
        for (size_t p = 0; p < dim; ++p) {
          out[h * dim + p] += mimo(spec.mimo_o, h, j, p) * read_out[p] *
                              Silu(z[h * dim + p] * mimo(spec.mimo_z, h, j, p));
        }
      }
      last_x[h] = now_x;
      last_b[h] = now_b;
    }
    y.push_back(std::move(out));
  }
  return Linear(weights, spec.out, y);
}

inline Rows DeltaNet(const Weights& weights, const DeltaNetSpec& spec,
                     const Rows& x) {
  const size_t channels = spec.conv_channels();
  const size_t heads = spec.value_heads;
  const size_t dk = spec.key_dim;
  const size_t dv = spec.value_dim;
  const Rows projected = Linear(weights, spec.in, x);
  const Rows conv = Conv(weights, spec.conv_weights, std::nullopt,
                         spec.conv_kernel, projected, 0, true);
  const size_t z_at = channels;
  const size_t b_at =
      z_at + (spec.z_up.has_value() ? spec.z_up->in : spec.value_width());
  const size_t a_at = b_at + heads;
  const auto part = [&](size_t first, const std::optional<LinearSpec>& up,
                        size_t width) {
    Rows rows;
    for (const Row& row : projected) {
      const auto begin = row.begin() + first;
      rows.emplace_back(begin, begin + (up.has_value() ? up->in : width));
    }
    return up.has_value() ? Linear(weights, *up, rows) : rows;
  };
  const Rows z = part(z_at, spec.z_up, spec.value_width());
  const Rows a = part(a_at, spec.a_up, spec.decay_width());

  std::vector<std::vector<Row>> state(heads, std::vector<Row>(dk, Row(dv)));
  Rows y(x.size(), Row(spec.value_width()));
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t h = 0; h < heads; ++h) {
      const size_t key_head = h / (heads / spec.key_heads);
      const auto unit = [&](size_t first, double scale) {
        Row row(conv[t].begin() + first, conv[t].begin() + first + dk);
        double squares = 1e-6;
        for (const double value : row) squares += value * value;
        for (double& value : row) value *= scale / std::sqrt(squares);
        return row;
      };
      const Row q = unit(key_head * dk, 1 / std::sqrt(static_cast<double>(dk)));
      const Row k = unit(spec.key_width() + key_head * dk, 1);
      const double* v = conv[t].data() + 2 * spec.key_width() + h * dv;
      const double beta = spec.beta_scale * Sigmoid(projected[t][b_at + h]);
      for (size_t i = 0; i < dk; ++i) {
        const size_t at = spec.decay_per_key_channel ? h * dk + i : h;
        const double g = -std::exp(At(weights, spec.a_log, h)) *
                         Softplus(a[t][at] + At(weights, spec.dt_bias, at));
        for (double& value : state[h][i]) value *= std::exp(g);
      }
      double* out = y[t].data() + h * dv;
      for (size_t j = 0; j < dv; ++j) {
        double read = 0;
        for (size_t i = 0; i < dk; ++i) read += state[h][i][j] * k[i];
        for (size_t i = 0; i < dk; ++i) {
          state[h][i][j] += k[i] * beta * (v[j] - read);
          out[j] += state[h][i][j] * q[i];
        }
      }
      RmsNorm(weights, spec.norm, out, dv);
      for (size_t j = 0; j < dv; ++j) {
        const double gate = z[t][h * dv + j];
        out[j] *= spec.sigmoid_gate ? Sigmoid(gate) : Silu(gate);
      }
    }
  }
  return Linear(weights, spec.out, y);
}

inline Rows ShortConv(const Weights& weights, const ShortConvSpec& spec,
                      const Rows& x) {
  const Rows projected = Linear(weights, spec.in, x);
  const size_t width = spec.conv_weight.shape[0];
  Rows product;
  for (const Row& row : projected) {
    Row values(width);
    for (size_t i = 0; i < width; ++i) values[i] = row[i] * row[2 * width + i];
    product.push_back(std::move(values));
  }
  Rows y = Conv(weights, {spec.conv_weight}, spec.conv_bias, spec.conv_kernel,
                product, 0, false);
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t i = 0; i < width; ++i) y[t][i] *= projected[t][width + i];
  }
  return Linear(weights, spec.out, y);
}

}  // namespace braid::model::reference

#endif  // BRAID_TESTS_LAYERS_MIXER_REFERENCE_H_
