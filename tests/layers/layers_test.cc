#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "generation/layers/operator.h"
#include "generation/layers/state_bytes.h"
#include "generation/layers/weight_loader.h"
#include "kernels/thread_pool.h"
#include "tests/checkpoint/test_directory.h"
#include "tests/layers/feed_forward_reference.h"
#include "tests/layers/mixer_reference.h"
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

uint64_t BytesOf(const OperatorState& state) {
  if (const auto* cache = std::get_if<kernels::KvCache>(&state)) {
    return cache->bytes();
  }
  if (const auto* past = std::get_if<RecurrentState>(&state)) {
    return 4 *
           (past->conv.size() + past->recurrent.size() + past->angles.size());
  }
  return 0;
}

const std::vector<std::vector<size_t>> kCuts = {{1000},  {1},  {64},
                                                {63, 1}, {65}, {5, 1, 70, 2}};

// Runs the operator over x cut into pieces (each list repeated until the end):
// all give the same bits, and agree with the reference.
void ExpectEqual(LayerBuilder& builder, const OperatorSpec& spec, const Rows& x,
                 const Rows& expected) {
  const auto checkpoint = builder.Open();
  WeightLoader loader(*checkpoint, {});
  auto layer = LoadOperator(spec, loader);
  ASSERT_TRUE(layer.ok()) << layer.status();
  const std::vector<float> input = Flat(x);
  const size_t hidden = x[0].size();
  const size_t width = expected[0].size();
  kernels::ThreadPool pool(2);
  std::vector<float> whole;
  for (const std::vector<size_t>& pieces : kCuts) {
    Workspace workspace;
    workspace.pool = &pool;
    OperatorState state = (*layer)->NewState(kernels::KvType::kF32);
    std::vector<float> out(x.size() * width);
    size_t begin = 0;
    for (size_t i = 0; begin < x.size(); ++i) {
      const size_t count =
          std::min(pieces[i % pieces.size()], x.size() - begin);
      (*layer)->Forward(input.data() + begin * hidden, count, &state,
                        out.data() + begin * width, &workspace);
      begin += count;
    }
    if (whole.empty()) {
      whole = out;
      double worst = 0;
      for (size_t r = 0; r < x.size(); ++r) {
        for (size_t i = 0; i < width; ++i) {
          const double error = std::abs(out[r * width + i] - expected[r][i]);
          worst = std::max(worst, std::isnan(error) ? INFINITY : error);
        }
      }
      EXPECT_LT(worst, 1e-4);
    }
    EXPECT_EQ(out, whole) << "pieces of " << pieces[0];
    EXPECT_EQ(BytesOf(state),
              StateBytesOf(spec, kernels::KvType::kF32).For(x.size()));
  }
}

RopeSpec Rope(int64_t dims) {
  RopeSpec rope;
  for (int64_t i = 0; i < dims / 2; ++i) {
    rope.inverse_frequencies.push_back(std::pow(10000.0f, -2.0f * i / dims));
  }
  return rope;
}

RmsNormSpec Norm(LayerBuilder& builder, const std::string& name, int64_t size,
                 double offset = 0) {
  return {builder.Tensor(name, {size}, 0.5f - offset, 1.5f - offset), 1e-5,
          offset};
}

TEST(AttentionTest, EqualsTheDefinition) {
  struct Shape {
    int64_t heads, kv_heads, head_dim;
    bool rope, bias, head_norm, row_norm, gate;
  };
  for (const Shape& shape : {Shape{4, 2, 8, false, false, false, false, false},
                             Shape{3, 3, 12, true, true, true, false, true},
                             Shape{6, 1, 5, false, true, false, true, false},
                             Shape{8, 4, 16, true, false, true, false, true}}) {
    LayerBuilder builder(shape.heads);
    AttentionSpec spec;
    spec.heads = shape.heads;
    spec.kv_heads = shape.kv_heads;
    spec.head_dim = shape.head_dim;
    spec.scale = 0.7;
    if (shape.rope) {
      spec.rope = Rope(shape.head_dim / 4 * 2);
      spec.rope->magnitude = 1.1;
    }
    const int64_t q = spec.q_width();
    const int64_t kv = spec.kv_width();
    if (shape.head_norm) {
      spec.q_norm = Norm(builder, "q_norm", spec.head_dim, 1);
      spec.k_norm = Norm(builder, "k_norm", spec.head_dim, 1);
    } else if (shape.row_norm) {
      spec.q_norm = Norm(builder, "q_norm", q);
      spec.k_norm = Norm(builder, "k_norm", kv);
    }
    spec.output_gate = shape.gate;
    std::vector<int64_t> parts = {q, kv, kv};
    if (shape.gate) parts.push_back(q);
    spec.qkv = builder.Linear("qkv", parts, 20, shape.bias);
    spec.out = builder.Linear("out", {20}, q, shape.bias);
    const Rows x = builder.Input(150, 20);
    ExpectEqual(builder, spec, x,
                reference::Attention(builder.weights, spec, x));
  }
}

TEST(LatentAttentionTest, EqualsTheDefinition) {
  struct Shape {
    int64_t heads, rank, nope, rope, value;
    bool rotate, adjacent, low_rank_queries;
  };
  for (const Shape& shape : {Shape{3, 20, 12, 4, 9, false, false, false},
                             Shape{4, 16, 8, 8, 16, true, false, true},
                             Shape{5, 7, 6, 6, 10, true, true, false}}) {
    LayerBuilder builder(shape.heads);
    MlaSpec spec;
    spec.heads = shape.heads;
    spec.rank = shape.rank;
    spec.nope_dim = shape.nope;
    spec.rope_dim = shape.rope;
    spec.value_dim = shape.value;
    spec.scale = 0.4;
    if (shape.rotate) spec.rope = Rope(shape.rope);
    spec.rope_interleaved = shape.adjacent;
    const int64_t q = shape.heads * (shape.nope + shape.rope);
    if (shape.low_rank_queries) {
      spec.q_down = builder.Linear("q_down", {13}, 20, false);
      spec.q_norm = Norm(builder, "q_norm", 13);
      spec.q = builder.Linear("q", {q}, 13, false);
    } else {
      spec.q = builder.Linear("q", {q}, 20, true);
    }
    spec.kv_down =
        builder.Linear("kv_down", {shape.rank + shape.rope}, 20, true);
    spec.kv_norm = Norm(builder, "kv_norm", shape.rank);
    spec.kv_up = builder.Linear(
        "kv_up", {shape.heads * (shape.nope + shape.value)}, shape.rank, false);
    spec.out = builder.Linear("out", {20}, shape.heads * shape.value, false);
    const Rows x = builder.Input(130, 20);
    ExpectEqual(builder, spec, x,
                reference::LatentAttention(builder.weights, spec, x));
  }
}

TEST(Mamba1Test, EqualsTheDefinition) {
  struct Shape {
    int64_t inner, state, rank, kernel;
    bool conv_bias, bias, norms;
  };
  for (const Shape& shape : {Shape{32, 16, 3, 4, true, false, false},
                             Shape{21, 6, 5, 2, false, true, true},
                             Shape{48, 8, 4, 1, true, true, true}}) {
    LayerBuilder builder(shape.inner);
    Mamba1Spec spec;
    spec.inner = shape.inner;
    spec.state_dim = shape.state;
    spec.dt_rank = shape.rank;
    spec.conv_kernel = shape.kernel;
    spec.in = builder.Linear("in", {2 * spec.inner}, 24, shape.bias);
    spec.conv_weight =
        builder.Tensor("conv", {spec.inner, 1, spec.conv_kernel}, -1, 1);
    if (shape.conv_bias) {
      spec.conv_bias = builder.Tensor("conv_bias", {spec.inner}, -1, 1);
    }
    spec.x_proj =
        builder.Linear("x", {shape.rank + 2 * shape.state}, spec.inner, false);
    if (shape.norms) {
      spec.dt_norm = Norm(builder, "dt_norm", shape.rank);
      spec.b_norm = Norm(builder, "b_norm", shape.state);
      spec.c_norm = Norm(builder, "c_norm", shape.state);
    }
    spec.dt_proj = builder.Linear("dt", {spec.inner}, shape.rank, true);
    spec.a_log = builder.Tensor("a", {spec.inner, spec.state_dim}, -1, 1.8f);
    spec.d = builder.Tensor("d", {spec.inner}, 0, 2);
    spec.out = builder.Linear("out", {24}, spec.inner, shape.bias);
    const Rows x = builder.Input(150, 24);
    ExpectEqual(builder, spec, x, reference::Mamba1(builder.weights, spec, x));
  }
}

TEST(Mamba2Test, EqualsTheDefinition) {
  struct Shape {
    int64_t heads, head_dim, state, groups, kernel;
    bool conv_bias, bias;
    double dt_min, dt_max;
    int64_t norm_groups;  // 0: no norm
    bool norm_before_gate;
  };
  const double inf = std::numeric_limits<double>::infinity();
  for (const Shape& shape :
       {Shape{4, 8, 16, 1, 4, true, false, 0, inf, 1, false},
        Shape{6, 5, 7, 2, 3, false, true, 0, inf, 2, true},
        Shape{8, 16, 12, 4, 2, true, true, 0.05, 0.4, 0, false},
        Shape{3, 10, 24, 3, 1, true, false, 0, inf, 1, false}}) {
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
    // As muP models scale the parts of the projection.
    if (shape.norm_before_gate) {
      spec.in.in_scale = 1.2;
      spec.in.row_scales = {{spec.inner(), 0.7}, {channels + spec.heads, 1.3}};
    }
    spec.conv_weight =
        builder.Tensor("conv", {channels, 1, spec.conv_kernel}, -1, 1);
    if (shape.conv_bias) {
      spec.conv_bias = builder.Tensor("conv_bias", {channels}, -1, 1);
    }
    spec.a_log = builder.Tensor("a", {spec.heads}, -1, 1.8f);
    spec.d = builder.Tensor("d", {spec.heads}, 0, 2);
    spec.dt_bias = builder.Tensor("dt", {spec.heads}, -4, 0);
    if (shape.norm_groups > 0) {
      spec.norm = Norm(builder, "norm", spec.inner());
      spec.norm_groups = shape.norm_groups;
    }
    spec.norm_before_gate = shape.norm_before_gate;
    spec.out = builder.Linear("out", {24}, spec.inner(), shape.bias);
    const Rows x = builder.Input(200, 24);
    ExpectEqual(builder, spec, x, reference::Mamba2(builder.weights, spec, x));
  }
}

TEST(Mamba3Test, EqualsTheDefinition) {
  struct Shape {
    int64_t heads, head_dim, state, groups, rank, angles;
    bool mimo, norm, softplus;
  };
  for (const Shape& shape :
       {Shape{4, 8, 16, 1, 1, 4, false, false, false},  // SISO, half rotated
        Shape{6, 5, 12, 2, 1, 6, false, true, true},
        Shape{2, 16, 16, 1, 4, 8, true, false, false},  // MIMO
        Shape{4, 10, 6, 2, 2, 2, true, true, false},
        Shape{1, 4, 8, 1, 16, 4, true, true, true}}) {
    LayerBuilder builder(shape.heads);
    Mamba3Spec spec;
    spec.heads = shape.heads;
    spec.head_dim = shape.head_dim;
    spec.state_dim = shape.state;
    spec.groups = shape.groups;
    spec.rank = shape.rank;
    spec.angles = shape.angles;
    spec.rotate_halves = shape.mimo;
    if (shape.softplus) spec.decay = Mamba3Spec::Decay::kSoftplus;
    spec.in = builder.Linear(
        "in",
        {2 * spec.inner() + 2 * spec.bc_width() + 3 * spec.heads + spec.angles},
        24, false);
    spec.dt_bias = builder.Tensor("dt", {spec.heads}, -4, 0);
    spec.b_norm = Norm(builder, "b_norm", spec.state_dim);
    spec.c_norm = Norm(builder, "c_norm", spec.state_dim);
    spec.b_bias =
        builder.Tensor("b_bias", {spec.heads, spec.rank, spec.state_dim}, 0, 2);
    spec.c_bias =
        builder.Tensor("c_bias", {spec.heads, spec.rank, spec.state_dim}, 0, 2);
    spec.d = builder.Tensor("d", {spec.heads}, 0, 2);
    if (shape.mimo) {
      const std::vector<int64_t> size = {spec.heads, spec.rank, spec.head_dim};
      const float mean = 1.0f / static_cast<float>(spec.rank);
      spec.mimo_x = builder.Tensor("mimo_x", size, 0, 2 * mean);
      spec.mimo_z = builder.Tensor("mimo_z", size, 0, 2);
      spec.mimo_o = builder.Tensor("mimo_o", size, 0, 2 * mean);
    }
    if (shape.norm) spec.norm = Norm(builder, "norm", spec.inner());
    spec.out = builder.Linear("out", {24}, spec.inner(), false);
    const Rows x = builder.Input(200, 24);
    ExpectEqual(builder, spec, x, reference::Mamba3(builder.weights, spec, x));
  }
}

TEST(DeltaNetTest, EqualsTheDefinition) {
  struct Shape {
    int64_t key_heads, value_heads, key_dim, value_dim, kernel;
    bool per_channel, low_rank, sigmoid;
    double beta_scale;
  };
  for (const Shape& shape : {Shape{2, 4, 16, 12, 4, false, false, false, 1},
                             Shape{3, 3, 7, 20, 2, false, false, false, 2},
                             Shape{2, 2, 24, 10, 3, true, true, true, 1},
                             Shape{1, 5, 9, 9, 4, true, false, false, 2}}) {
    LayerBuilder builder(shape.key_dim);
    DeltaNetSpec spec;
    spec.key_heads = shape.key_heads;
    spec.value_heads = shape.value_heads;
    spec.key_dim = shape.key_dim;
    spec.value_dim = shape.value_dim;
    spec.conv_kernel = shape.kernel;
    spec.decay_per_key_channel = shape.per_channel;
    spec.sigmoid_gate = shape.sigmoid;
    spec.beta_scale = shape.beta_scale;
    int64_t z = spec.value_width();
    int64_t a = spec.decay_width();
    if (shape.low_rank) {
      spec.z_up = builder.Linear("z_up", {z}, 5, true);
      spec.a_up = builder.Linear("a_up", {a}, 6, false);
      z = 5;
      a = 6;
    }
    spec.in = builder.Linear("in",
                             {spec.key_width(), spec.key_width(),
                              spec.value_width(), z, spec.value_heads, a},
                             24, false);
    for (const int64_t part :
         {spec.key_width(), spec.key_width(), spec.value_width()}) {
      spec.conv_weights.push_back(
          builder.Tensor("conv" + std::to_string(spec.conv_weights.size()),
                         {part, 1, spec.conv_kernel}, -1, 1));
    }
    spec.a_log = builder.Tensor("a", {spec.value_heads}, -1, 1.8f);
    spec.dt_bias = builder.Tensor("dt", {spec.decay_width()}, -4, 0);
    spec.norm = Norm(builder, "norm", spec.value_dim);
    spec.out = builder.Linear("out", {24}, spec.value_width(), false);
    const Rows x = builder.Input(200, 24);
    ExpectEqual(builder, spec, x,
                reference::DeltaNet(builder.weights, spec, x));
  }
}

TEST(ShortConvTest, EqualsTheDefinition) {
  for (const int64_t kernel : {1, 3, 5}) {
    LayerBuilder builder(kernel);
    ShortConvSpec spec;
    spec.conv_kernel = kernel;
    spec.in = builder.Linear("in", {60}, 20, kernel == 3);
    spec.conv_weight = builder.Tensor("conv", {20, 1, kernel}, -1, 1);
    if (kernel == 3) spec.conv_bias = builder.Tensor("bias", {20}, -1, 1);
    spec.out = builder.Linear("out", {20}, 20, kernel == 3);
    const Rows x = builder.Input(100, 20);
    ExpectEqual(builder, spec, x,
                reference::ShortConv(builder.weights, spec, x));
  }
}

MlpSpec Mlp(LayerBuilder& builder, const std::string& name, int64_t hidden,
            int64_t intermediate, bool gated, kernels::Activation activation) {
  MlpSpec spec;
  spec.intermediate = intermediate;
  spec.gated = gated;
  spec.activation = activation;
  spec.up = builder.Linear(name + "up", {intermediate * (gated ? 2 : 1)},
                           hidden, false);
  spec.down = builder.Linear(name + "down", {hidden}, intermediate, false);
  return spec;
}

TEST(MlpTest, EqualsTheDefinition) {
  using kernels::Activation;
  for (const Activation activation :
       {Activation::kSilu, Activation::kRelu2, Activation::kGelu}) {
    for (const bool gated : {true, false}) {
      LayerBuilder builder(1);
      MlpSpec spec = Mlp(builder, "", 20, 37, gated, activation);
      if (gated) spec.output_gate = builder.Linear("gate", {1}, 20, false);
      const Rows x = builder.Input(70, 20);
      ExpectEqual(builder, spec, x, reference::Mlp(builder.weights, spec, x));
    }
  }
}

TEST(LinearTest, AdaptersAddAndRowsMove) {
  LayerBuilder builder(4);
  MlpSpec spec = Mlp(builder, "", 20, 12, true, kernels::Activation::kGelu);
  spec.up.adapters = {{builder.Tensor("a0", {3, 20}, -1, 1),
                       builder.Tensor("b0", {12, 3}, -1, 1), 0},
                      {builder.Tensor("a1", {2, 20}, -1, 1),
                       builder.Tensor("b1", {12, 2}, -1, 1), 12}};
  for (int64_t i = 0; i < 24; ++i) spec.up.row_order.push_back((i * 7) % 24);
  const Rows x = builder.Input(70, 20);
  ExpectEqual(builder, spec, x, reference::Mlp(builder.weights, spec, x));
}

TEST(MoeTest, EqualsTheDefinition) {
  using Score = RouterSpec::Score;
  struct Shape {
    Score score;
    int64_t top_k, groups, top_groups, latent;
    bool bias, normalize, stacked;
    double scale;
  };
  for (const Shape& shape :
       {Shape{Score::kSoftmaxOfChosen, 1, 1, 1, 0, false, false, true, 1},
        Shape{Score::kSoftmaxOfChosen, 8, 1, 1, 0, false, false, false, 1},
        Shape{Score::kSoftmax, 3, 1, 1, 0, false, true, true, 1},
        Shape{Score::kSoftmax, 2, 1, 1, 9, false, false, false, 1},
        Shape{Score::kSigmoid, 3, 4, 2, 0, true, true, true, 2.5},
        Shape{Score::kSigmoid, 4, 2, 1, 9, true, true, false, 1.7}}) {
    LayerBuilder builder(shape.top_k);
    MoeSpec spec;
    spec.router.score = shape.score;
    spec.router.top_k = shape.top_k;
    spec.router.groups = shape.groups;
    spec.router.top_groups = shape.top_groups;
    spec.router.normalize = shape.normalize;
    spec.router.scale = shape.scale;
    spec.router.logits = builder.Linear("router", {8}, 20, false);
    if (shape.bias) {
      spec.router.correction_bias = builder.Tensor("bias", {8}, -0.3f, 0.3f);
    }
    int64_t width = 20;
    if (shape.latent > 0) {
      width = shape.latent;
      spec.latent_down = builder.Linear("fc1", {width}, 20, false);
      spec.latent_up = builder.Linear("fc2", {20}, width, false);
    }
    // Experts in one tensor, or each in its own.
    const TensorSpec up = builder.Tensor("up", {8, 22, width}, -0.4f, 0.4f);
    const TensorSpec down = builder.Tensor("down", {8, width, 11}, -0.5f, 0.5f);
    for (int64_t e = 0; e < 8; ++e) {
      if (shape.stacked) {
        MlpSpec expert;
        expert.intermediate = 11;
        expert.up.in = width;
        expert.up.weights = {{up.name, up.shape, e}};
        expert.down.in = 11;
        expert.down.weights = {{down.name, down.shape, e}};
        spec.experts.push_back(expert);
      } else {
        spec.experts.push_back(Mlp(builder, std::to_string(e), width, 11,
                                   e % 2 == 0, kernels::Activation::kRelu2));
      }
    }
    const Rows x = builder.Input(70, 20);
    ExpectEqual(builder, spec, x, reference::Moe(builder.weights, spec, x));
  }
}

TEST(MoeTest, EqualLogitsGoToTheFirstExperts) {
  LayerBuilder builder(3);
  MoeSpec spec;
  spec.router.score = RouterSpec::Score::kSoftmaxOfChosen;
  spec.router.top_k = 2;
  spec.router.logits.in = 6;
  spec.router.logits.weights = {builder.Tensor("router", {4, 6}, 0, 0)};
  for (int64_t e = 0; e < 4; ++e) {
    spec.experts.push_back(Mlp(builder, std::to_string(e), 6, 3, true,
                               kernels::Activation::kSilu));
  }
  const Rows x = builder.Input(5, 6);
  // The reference sorts stably, so it takes experts 0 and 1.
  ExpectEqual(builder, spec, x, reference::Moe(builder.weights, spec, x));
}

TEST(WeightLoaderTest, NamesTheTensorAndKeepsTheFirstError) {
  LayerBuilder builder(1);
  MlpSpec spec = Mlp(builder, "", 8, 4, true, kernels::Activation::kSilu);
  spec.up.weights[0].name = "absent";
  spec.down.weights[0].shape = {1, 32};
  const auto checkpoint = builder.Open();
  WeightLoader loader(*checkpoint, {});
  const absl::Status status = LoadOperator(spec, loader).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("absent"), absl::string_view::npos);
}

}  // namespace
}  // namespace braid::model
