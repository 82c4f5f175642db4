#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "generation/layers/attention.h"
#include "generation/layers/feed_forward.h"
#include "generation/layers/mamba2.h"
#include "kernels/thread_pool.h"
#include "tests/checkpoint/test_directory.h"
#include "tests/layers/reference.h"

namespace braid::model {
namespace {

using reference::Row;
using reference::Rows;
using reference::Weights;

// Random tensors for the specs of one layer, in a checkpoint of their own.
class LayerBuilder {
 public:
  explicit LayerBuilder(uint64_t seed) : rng_(seed) {}

  TensorSpec Tensor(const std::string& name, std::vector<int64_t> shape,
                    float low, float high) {
    std::uniform_real_distribution<float> draw(low, high);
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    NamedTensor tensor{shape, {}};
    for (int64_t i = 0; i < count; ++i) tensor.values.push_back(draw(rng_));
    weights[name] = tensor;
    return {name, std::move(shape)};
  }
  // `parts` rows of tensors stacked into one.
  LinearSpec Linear(const std::string& name, std::vector<int64_t> parts,
                    int64_t in, bool bias) {
    LinearSpec spec;
    spec.in = in;
    const float high = 1.5f / std::sqrt(static_cast<float>(in));
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string part = name + std::to_string(i);
      spec.weights.push_back(
          Tensor(part + ".weight", {parts[i], in}, -high, high));
      if (bias) {
        spec.biases.push_back(Tensor(part + ".bias", {parts[i]}, -1, 1));
      }
    }
    return spec;
  }
  std::unique_ptr<Checkpoint> Open() {
    const std::string directory = NewDirectory("layer");
    WriteSafetensors(directory + "/model.safetensors", weights);
    auto checkpoint = Checkpoint::Open(directory);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    return *std::move(checkpoint);
  }
  Rows Input(size_t rows, size_t hidden) {
    std::normal_distribution<float> draw;
    Rows x(rows, Row(hidden));
    for (Row& row : x) {
      for (double& value : row) value = draw(rng_);
    }
    return x;
  }

  Weights weights;

 private:
  std::mt19937_64 rng_;
};

std::vector<float> Flat(const Rows& rows) {
  std::vector<float> flat;
  for (const Row& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return flat;
}

// Runs `forward(x, rows, out)` over x cut into `pieces` (repeated until the
// end) and compares with the reference.
void ExpectEqual(
    const Rows& x, const Rows& expected, const std::vector<size_t>& pieces,
    const std::function<void(const float*, size_t, float*)>& forward) {
  const std::vector<float> input = Flat(x);
  const size_t hidden = x[0].size();
  const size_t width = expected[0].size();
  std::vector<float> out(x.size() * width);
  size_t begin = 0;
  for (size_t i = 0; begin < x.size(); ++i) {
    const size_t count = std::min(pieces[i % pieces.size()], x.size() - begin);
    forward(input.data() + begin * hidden, count, out.data() + begin * width);
    begin += count;
  }
  double worst = 0;
  for (size_t r = 0; r < x.size(); ++r) {
    for (size_t i = 0; i < width; ++i) {
      const double error = std::abs(out[r * width + i] - expected[r][i]);
      worst = std::max(worst, std::isnan(error) ? INFINITY : error);
    }
  }
  EXPECT_LT(worst, 2e-4);
}

const std::vector<std::vector<size_t>> kCuts = {{1000},  {1},  {64},
                                                {63, 1}, {65}, {5, 1, 70, 2}};

TEST(AttentionTest, EqualsTheDefinition) {
  struct Shape {
    int64_t heads, kv_heads, head_dim;
    bool rope, bias;
  };
  for (const Shape& shape :
       {Shape{4, 2, 8, false, false}, Shape{3, 3, 12, true, true},
        Shape{6, 1, 5, false, true}, Shape{8, 4, 16, true, false}}) {
    LayerBuilder builder(shape.heads);
    AttentionSpec spec;
    spec.heads = shape.heads;
    spec.kv_heads = shape.kv_heads;
    spec.head_dim = shape.head_dim;
    spec.scale = 0.7;
    if (shape.rope) spec.rope = RopeSpec{10000.0, shape.head_dim / 4 * 2};
    const int64_t q = spec.heads * spec.head_dim;
    const int64_t kv = spec.kv_heads * spec.head_dim;
    spec.qkv = builder.Linear("qkv", {q, kv, kv}, 20, shape.bias);
    spec.out = builder.Linear("out", {20}, q, shape.bias);
    const auto checkpoint = builder.Open();
    auto layer = Attention::Load(spec, *checkpoint);
    ASSERT_TRUE(layer.ok()) << layer.status();
    const Rows x = builder.Input(150, 20);
    const Rows expected = reference::Attention(builder.weights, spec, x);
    kernels::ThreadPool pool(2);
    for (const auto& cuts : kCuts) {
      Workspace workspace;
      workspace.pool = &pool;
      KvCache cache;
      ExpectEqual(x, expected, cuts,
                  [&](const float* in, size_t rows, float* out) {
                    (*layer)->Forward(in, rows, &cache, out, &workspace);
                  });
      EXPECT_EQ(cache.tokens, x.size());
      EXPECT_EQ(4 * (cache.keys.size() + cache.values.size()),
                x.size() * (*layer)->kv_bytes_per_token());
    }
  }
}

TEST(Mamba2Test, EqualsTheDefinition) {
  struct Shape {
    int64_t heads, head_dim, state, groups, kernel;
    bool conv_bias, bias;
    double dt_min, dt_max;
  };
  const double inf = std::numeric_limits<double>::infinity();
  for (const Shape& shape : {Shape{4, 8, 16, 1, 4, true, false, 0, inf},
                             Shape{6, 5, 7, 2, 3, false, true, 0, inf},
                             Shape{8, 16, 12, 4, 2, true, true, 0.05, 0.4},
                             Shape{3, 10, 24, 3, 1, true, false, 0, inf}}) {
    LayerBuilder builder(shape.heads);
    Mamba2Spec spec;
    spec.heads = shape.heads;
    spec.head_dim = shape.head_dim;
    spec.state_dim = shape.state;
    spec.groups = shape.groups;
    spec.conv_kernel = shape.kernel;
    spec.dt_min = shape.dt_min;
    spec.dt_max = shape.dt_max;
    const int64_t channels = spec.conv_channels();
    spec.in = builder.Linear("in", {spec.inner() + channels + spec.heads}, 24,
                             shape.bias);
    spec.conv_weight =
        builder.Tensor("conv", {channels, 1, spec.conv_kernel}, -1, 1);
    if (shape.conv_bias) {
      spec.conv_bias = builder.Tensor("conv_bias", {channels}, -1, 1);
    }
    spec.a_log = builder.Tensor("a", {spec.heads}, -1, 1.8f);
    spec.d = builder.Tensor("d", {spec.heads}, 0, 2);
    spec.dt_bias = builder.Tensor("dt", {spec.heads}, -4, 0);
    spec.norm = {builder.Tensor("norm", {spec.inner()}, 0.5, 1.5), 1e-5};
    spec.out = builder.Linear("out", {24}, spec.inner(), shape.bias);
    const auto checkpoint = builder.Open();
    auto layer = Mamba2::Load(spec, *checkpoint);
    ASSERT_TRUE(layer.ok()) << layer.status();
    const Rows x = builder.Input(200, 24);
    const Rows expected = reference::Mamba2(builder.weights, spec, x);
    kernels::ThreadPool pool(2);
    for (const auto& cuts : kCuts) {
      Workspace workspace;
      workspace.pool = &pool;
      Mamba2State state = (*layer)->NewState();
      EXPECT_EQ(4 * (state.conv.size() + state.recurrent.size()),
                (*layer)->state_bytes());
      ExpectEqual(x, expected, cuts,
                  [&](const float* in, size_t rows, float* out) {
                    (*layer)->Forward(in, rows, &state, out, &workspace);
                  });
    }
  }
}

TEST(MlpTest, EqualsTheDefinition) {
  LayerBuilder builder(1);
  MlpSpec spec;
  spec.intermediate = 37;
  spec.gate_up = builder.Linear("up", {74}, 20, false);
  spec.down = builder.Linear("down", {20}, 37, false);
  const auto checkpoint = builder.Open();
  auto layer = Mlp::Load(spec, *checkpoint);
  ASSERT_TRUE(layer.ok()) << layer.status();
  const Rows x = builder.Input(70, 20);
  Workspace workspace;
  for (const auto& cuts : kCuts) {
    ExpectEqual(x, reference::Mlp(builder.weights, spec, x), cuts,
                [&](const float* in, size_t rows, float* out) {
                  (*layer)->Forward(in, rows, out, &workspace);
                });
  }
}

TEST(MoeTest, EqualsTheDefinition) {
  for (const int64_t top_k : {1, 3, 8}) {
    LayerBuilder builder(top_k);
    MoeSpec spec;
    spec.experts = 8;
    spec.top_k = top_k;
    spec.intermediate = 11;
    spec.router = builder.Linear("router", {8}, 20, false);
    spec.gate_up = builder.Tensor("up", {8, 22, 20}, -0.4f, 0.4f);
    spec.down = builder.Tensor("down", {8, 20, 11}, -0.5f, 0.5f);
    const auto checkpoint = builder.Open();
    auto layer = Moe::Load(spec, *checkpoint);
    ASSERT_TRUE(layer.ok()) << layer.status();
    const Rows x = builder.Input(70, 20);
    Rows expected = reference::Moe(builder.weights, spec, x);
    for (Row& row : expected) {
      for (double& value : row) value += 2.5;
    }
    Workspace workspace;
    for (const auto& cuts : kCuts) {
      // It adds to what is there.
      ExpectEqual(x, expected, cuts,
                  [&](const float* in, size_t rows, float* out) {
                    std::fill(out, out + rows * 20, 2.5f);
                    (*layer)->AddForward(in, rows, out, &workspace);
                  });
    }
  }
}

TEST(MoeTest, EqualLogitsGoToTheFirstExperts) {
  LayerBuilder builder(3);
  MoeSpec spec;
  spec.experts = 4;
  spec.top_k = 2;
  spec.intermediate = 3;
  spec.router.in = 6;
  spec.router.weights = {builder.Tensor("router", {4, 6}, 0, 0)};
  spec.gate_up = builder.Tensor("up", {4, 6, 6}, -1, 1);
  spec.down = builder.Tensor("down", {4, 6, 3}, -1, 1);
  const auto checkpoint = builder.Open();
  auto layer = Moe::Load(spec, *checkpoint);
  ASSERT_TRUE(layer.ok()) << layer.status();
  const Rows x = builder.Input(5, 6);
  Workspace workspace;
  // The reference sorts stably, so it takes experts 0 and 1.
  ExpectEqual(x, reference::Moe(builder.weights, spec, x), {5},
              [&](const float* in, size_t rows, float* out) {
                std::fill(out, out + rows * 6, 0.0f);
                (*layer)->AddForward(in, rows, out, &workspace);
              });
}

}  // namespace
}  // namespace braid::model
