#include "services/bench/kernel_cases.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/aligned_vector.h"
#include "kernels/attention.h"
#include "kernels/conv1d.h"
#include "kernels/delta_rule.h"
#include "kernels/gemm.h"
#include "kernels/norm.h"
#include "kernels/quantized_gemm.h"
#include "kernels/quantized_weights.h"
#include "kernels/selective_scan.h"
#include "kernels/ssd.h"

namespace braid::services {
namespace {

// On cache lines, as the rows of a model are.
using kernels::AlignedVector;
using kernels::ThreadPool;

constexpr size_t kPrefill = 512;
constexpr double kBytesInTurn = 128e6;

AlignedVector Uniform(size_t count, float low, float high) {
  std::minstd_rand random(static_cast<uint32_t>(count));
  std::uniform_real_distribution<float> draw(low, high);
  AlignedVector values(count);
  for (float& value : values) value = draw(random);
  return values;
}

// Copies of something of `bytes`, at least one, that together leave no cache
// with any.
size_t TurnsOf(double bytes) {
  return static_cast<size_t>(std::max(1.0, kBytesInTurn / bytes));
}

// A feed-forward layer's product.
constexpr size_t kOutputs = 4096;
constexpr size_t kInputs = 1536;

KernelCase DenseCase(std::string kernel, size_t tokens, double bytes) {
  KernelCase made;
  made.kernel = std::move(kernel);
  made.shape = absl::StrCat(kOutputs, " x ", kInputs);
  made.tokens = tokens;
  made.bytes = bytes;
  made.operations = 2.0 * static_cast<double>(tokens * kOutputs * kInputs);
  made.turns = TurnsOf(bytes);
  return made;
}

KernelCase Gemm(size_t tokens) {
  struct Data {
    std::vector<kernels::PackedWeights> weights;
    AlignedVector x, y;
  };
  auto data = std::make_shared<Data>();
  const AlignedVector rows = Uniform(kOutputs * kInputs, -1, 1);
  data->weights.push_back(
      kernels::PackedWeights::Pack(rows.data(), kOutputs, kInputs));
  KernelCase made = DenseCase(
      "gemm f32", tokens, static_cast<double>(data->weights.front().bytes()));
  while (data->weights.size() < made.turns) {
    data->weights.push_back(
        kernels::PackedWeights::Pack(rows.data(), kOutputs, kInputs));
  }
  data->x = Uniform(tokens * kInputs, -1, 1);
  data->y.resize(tokens * kOutputs);
  made.run = [data, tokens](size_t turn, ThreadPool* pool) {
    kernels::Gemm({.a = data->x.data(),
                   .lda = kInputs,
                   .m = tokens,
                   .b = &data->weights[turn],
                   .c = data->y.data(),
                   .ldc = kOutputs},
                  pool);
  };
  return made;
}

KernelCase QuantizedGemm(const kernels::QuantizedFormat& format,
                         size_t tokens) {
  struct Data {
    std::vector<kernels::QuantizedWeights> weights;
    AlignedVector x, y;
  };
  auto data = std::make_shared<Data>();
  const AlignedVector rows = Uniform(kOutputs * kInputs, -1, 1);
  const kernels::QuantizedMatrix matrix =
      kernels::Quantize(rows.data(), kOutputs, kInputs, format, nullptr);
  const auto pack = [&] {
    data->weights.push_back(kernels::QuantizedWeights::Pack(
        format, kOutputs, kInputs, [&](size_t i) { return matrix.row(i); }));
  };
  pack();
  KernelCase made =
      DenseCase(absl::StrCat("quantized_gemm int", format.bits), tokens,
                static_cast<double>(data->weights.front().bytes()));
  while (data->weights.size() < made.turns) pack();
  made.int8 = true;
  data->x = Uniform(tokens * kInputs, -1, 1);
  data->y.resize(tokens * kOutputs);
  made.run = [data, tokens](size_t turn, ThreadPool* pool) {
    kernels::QuantizedGemm({.a = data->x.data(),
                            .lda = kInputs,
                            .m = tokens,
                            .b = &data->weights[turn],
                            .c = data->y.data(),
                            .ldc = kOutputs},
                           pool);
  };
  return made;
}

// Of Granite 4.0-H 350M.
KernelCase Ssd(size_t tokens) {
  static constexpr kernels::SsdShape kShape = {
      .heads = 48, .head_dim = 32, .state_dim = 128};
  constexpr size_t kWidth = kShape.heads * kShape.head_dim;
  struct Data {
    std::vector<AlignedVector> states;
    AlignedVector x, b, c, dt, a, y;
  };
  auto data = std::make_shared<Data>();
  KernelCase made;
  made.kernel = "ssd";
  made.shape = "48 heads of 32, state 128";
  made.tokens = tokens;
  made.bytes = 4.0 * kWidth * kShape.state_dim;
  // The state takes x B^T and gives C S.
  made.operations =
      static_cast<double>(tokens) * 4.0 * kWidth * kShape.state_dim;
  made.turns = TurnsOf(made.bytes);
  data->states.assign(made.turns,
                      AlignedVector(kernels::SsdStateFloats(kShape)));
  data->x = Uniform(tokens * kWidth, -1, 1);
  data->b = Uniform(tokens * kShape.state_dim, -1, 1);
  data->c = data->b;
  data->dt = Uniform(tokens * kShape.heads, 0.01f, 0.1f);
  data->a = Uniform(kShape.heads, -1, -0.1f);
  data->y.resize(tokens * kWidth);
  made.run = [data, tokens](size_t turn, ThreadPool* pool) {
    kernels::SsdParams p;
    p.shape = kShape;
    p.tokens = tokens;
    p.x = data->x.data();
    p.ldx = kWidth;
    p.b = data->b.data();
    p.ldb = kShape.state_dim;
    p.c = data->c.data();
    p.ldc = kShape.state_dim;
    p.dt = data->dt.data();
    p.lddt = kShape.heads;
    p.a = data->a.data();
    p.state = data->states[turn].data();
    p.y = data->y.data();
    p.ldy = kWidth;
    kernels::Ssd(p, pool);
  };
  return made;
}

// Of Mamba 130M.
KernelCase SelectiveScan(size_t tokens) {
  constexpr size_t kChannels = 1536;
  constexpr size_t kState = 16;
  struct Data {
    std::vector<AlignedVector> states;
    AlignedVector x, dt, b, a, y;
  };
  auto data = std::make_shared<Data>();
  KernelCase made;
  made.kernel = "selective_scan";
  made.shape = "1536 channels, state 16";
  made.tokens = tokens;
  made.bytes = 2.0 * 4 * kChannels * kState;  // the state and a
  // exp(dt a) S + dt x B, and C S: the exponential counted as one.
  made.operations = static_cast<double>(tokens) * 7.0 * kChannels * kState;
  made.turns = TurnsOf(made.bytes);
  const size_t floats = kernels::SelectiveScanFloats(kChannels, kState);
  data->states.assign(made.turns, AlignedVector(floats));
  data->x = Uniform(tokens * kChannels, -1, 1);
  data->dt = Uniform(tokens * kChannels, 0.01f, 0.1f);
  data->b = Uniform(tokens * kState, -1, 1);
  data->a = Uniform(floats, -16, -1);
  data->y.resize(tokens * kChannels);
  made.run = [data, tokens](size_t turn, ThreadPool* pool) {
    kernels::SelectiveScanParams p;
    p.tokens = tokens;
    p.channels = kChannels;
    p.state_dim = kState;
    p.x = data->x.data();
    p.ldx = kChannels;
    p.dt = data->dt.data();
    p.lddt = kChannels;
    p.b = data->b.data();
    p.ldb = kState;
    p.c = data->b.data();
    p.ldc = kState;
    p.a = data->a.data();
    p.state = data->states[turn].data();
    p.y = data->y.data();
    p.ldy = kChannels;
    kernels::SelectiveScan(p, pool);
  };
  return made;
}

// Of Qwen3-Next.
KernelCase DeltaRule(size_t tokens) {
  constexpr size_t kKeyHeads = 16;
  constexpr size_t kValueHeads = 32;
  constexpr size_t kDim = 128;
  struct Data {
    std::vector<AlignedVector> states;
    AlignedVector q, v, g, beta, y;
  };
  auto data = std::make_shared<Data>();
  KernelCase made;
  made.kernel = "delta_rule";
  made.shape = "32 heads of 128 x 128";
  made.tokens = tokens;
  made.bytes = 4.0 * kValueHeads * kDim * kDim;
  // S^T k, the update, S^T q.
  made.operations =
      static_cast<double>(tokens) * 6.0 * kValueHeads * kDim * kDim;
  made.turns = TurnsOf(made.bytes);
  data->states.assign(made.turns, AlignedVector(kernels::DeltaRuleStateFloats(
                                      kValueHeads, kDim, kDim)));
  data->q = Uniform(tokens * kKeyHeads * kDim, -0.1f, 0.1f);
  data->v = Uniform(tokens * kValueHeads * kDim, -1, 1);
  data->g = Uniform(tokens * kValueHeads, -0.1f, -0.01f);
  data->beta = Uniform(tokens * kValueHeads, 0, 1);
  data->y.resize(tokens * kValueHeads * kDim);
  made.run = [data, tokens](size_t turn, ThreadPool* pool) {
    kernels::DeltaRuleParams p;
    p.tokens = tokens;
    p.key_heads = kKeyHeads;
    p.value_heads = kValueHeads;
    p.key_dim = kDim;
    p.value_dim = kDim;
    p.q = data->q.data();
    p.ldq = kKeyHeads * kDim;
    p.k = data->q.data();
    p.ldk = kKeyHeads * kDim;
    p.v = data->v.data();
    p.ldv = kValueHeads * kDim;
    p.g = data->g.data();
    p.ldg = kValueHeads;
    p.beta = data->beta.data();
    p.ldbeta = kValueHeads;
    p.state = data->states[turn].data();
    p.y = data->y.data();
    p.ldy = kValueHeads * kDim;
    kernels::DeltaRule(p, pool);
  };
  return made;
}

KernelCase CausalConv1d() {
  constexpr size_t kChannels = 1792;
  constexpr size_t kKernel = 4;
  struct Data {
    AlignedVector x, taps, state, out;
  };
  auto data = std::make_shared<Data>();
  KernelCase made;
  made.kernel = "causal_conv1d";
  made.shape = "1792 channels, 4 taps";
  made.tokens = kPrefill;
  const double values = static_cast<double>(kPrefill * kChannels);
  made.bytes = 2 * 4.0 * values;  // in and out
  made.operations = 2.0 * kKernel * values;
  made.turns = TurnsOf(made.bytes);
  data->x = Uniform(made.turns * kPrefill * kChannels, -1, 1);
  data->taps = Uniform(kKernel * kChannels, -1, 1);
  data->state.resize((kKernel - 1) * kChannels);
  data->out.resize(data->x.size());
  made.run = [data](size_t turn, ThreadPool* pool) {
    const size_t at = turn * kPrefill * kChannels;
    kernels::CausalConv1d({.x = data->x.data() + at,
                           .ldx = kChannels,
                           .rows = kPrefill,
                           .channels = kChannels,
                           .kernel = kKernel,
                           .taps = data->taps.data(),
                           .state = data->state.data(),
                           .activation = kernels::Activation::kSilu,
                           .out = data->out.data() + at,
                           .ldo = kChannels},
                          pool);
  };
  return made;
}

KernelCase RmsNorm() {
  constexpr size_t kDim = 1536;
  struct Data {
    AlignedVector x, weight, out;
  };
  auto data = std::make_shared<Data>();
  KernelCase made;
  made.kernel = "rms_norm";
  made.shape = "1536";
  made.tokens = kPrefill;
  const double values = static_cast<double>(kPrefill * kDim);
  made.bytes = 2 * 4.0 * values;  // in and out
  made.operations = 4.0 * values;
  made.turns = TurnsOf(made.bytes);
  data->x = Uniform(made.turns * kPrefill * kDim, -1, 1);
  data->weight = Uniform(kDim, 0.5f, 1.5f);
  data->out.resize(data->x.size());
  made.run = [data](size_t turn, ThreadPool* pool) {
    const size_t at = turn * kPrefill * kDim;
    kernels::RmsNorm({.x = data->x.data() + at,
                      .ldx = kDim,
                      .rows = kPrefill,
                      .dim = kDim,
                      .weight = data->weight.data(),
                      .out = data->out.data() + at,
                      .ldo = kDim},
                     pool);
  };
  return made;
}

// Four texts of 128 tokens in a MiniLM encoder.
KernelCase PackedAttention() {
  constexpr size_t kHeads = 12;
  constexpr size_t kDim = 32;
  constexpr size_t kLength = 128;
  constexpr size_t kTexts = kPrefill / kLength;
  constexpr size_t kWidth = kHeads * kDim;
  struct Data {
    AlignedVector qkv, out;
    std::vector<size_t> offsets;
  };
  auto data = std::make_shared<Data>();
  KernelCase made;
  made.kernel = "packed_attention";
  made.shape = "12 heads of 32, 4 x 128 tokens";
  made.tokens = kPrefill;
  made.bytes = 4.0 * 4 * kPrefill * kWidth;  // q, k, v and out
  made.operations = 4.0 * kTexts * kLength * kLength * kWidth;
  data->qkv = Uniform(kPrefill * 3 * kWidth, -1, 1);
  data->out.resize(kPrefill * kWidth);
  for (size_t i = 0; i <= kTexts; ++i) data->offsets.push_back(i * kLength);
  made.run = [data](size_t, ThreadPool* pool) {
    kernels::PackedAttention({.q = data->qkv.data(),
                              .k = data->qkv.data() + kWidth,
                              .v = data->qkv.data() + 2 * kWidth,
                              .ld = 3 * kWidth,
                              .offsets = data->offsets.data(),
                              .num_sequences = kTexts,
                              .heads = kHeads,
                              .head_dim = kDim,
                              .scale = 0.18f,
                              .out = data->out.data(),
                              .ldo = kWidth},
                             pool);
  };
  return made;
}

}  // namespace

std::vector<KernelCaseMaker> KernelCases() {
  std::vector<KernelCaseMaker> cases;
  for (const size_t tokens : {size_t{1}, kPrefill}) {
    cases.push_back([tokens] { return Gemm(tokens); });
    for (const kernels::QuantizedFormat format :
         {kernels::QuantizedFormat{.bits = 8, .group_size = 64},
          kernels::QuantizedFormat{.bits = 4, .group_size = 32}}) {
      cases.push_back(
          [format, tokens] { return QuantizedGemm(format, tokens); });
    }
    cases.push_back([tokens] { return Ssd(tokens); });
    cases.push_back([tokens] { return SelectiveScan(tokens); });
    cases.push_back([tokens] { return DeltaRule(tokens); });
  }
  cases.push_back([] { return CausalConv1d(); });
  cases.push_back([] { return RmsNorm(); });
  cases.push_back([] { return PackedAttention(); });
  return cases;
}

}  // namespace braid::services
