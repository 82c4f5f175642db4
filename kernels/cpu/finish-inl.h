// What follows the sums of a matrix product: scale, bias, activation, residual.
// Included once per instruction set.
#if defined(BRAID_KERNELS_CPU_FINISH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BRAID_KERNELS_CPU_FINISH_INL_H_
#undef BRAID_KERNELS_CPU_FINISH_INL_H_
#else
#define BRAID_KERNELS_CPU_FINISH_INL_H_
#endif

#include <cstddef>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/activation.h"
#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct FinishArgs {
  const float* scale = nullptr;     // [n], or null
  const float* bias = nullptr;      // [n], or null
  const float* residual = nullptr;  // [rows, outputs], `ldc` apart, or null
  float* c = nullptr;               // [rows, outputs], `ldc` apart
  size_t ldc = 0;
  size_t n = 0;  // sums of a row
};

// The 16 values of a vector of features from `column` on, zeros past its end.
struct FeatureVector {
  FeatureVector(const float* features, size_t column, size_t width) {
    if (features != nullptr) {
      std::memcpy(values, features + column, width * sizeof(float));
    }
  }
  HWY_ALIGN float values[kGroup] = {};
};

// sums * scale + bias
HWY_INLINE VF ScaledAndShifted(const FinishArgs& args, VF sums,
                               const FeatureVector& scale,
                               const FeatureVector& bias, size_t at) {
  const DF d;
  if (args.scale != nullptr) {
    sums = hn::Mul(sums, hn::Load(d, scale.values + at));
  }
  return args.bias == nullptr ? sums
                              : hn::Add(sums, hn::Load(d, bias.values + at));
}

// Stores 16 results, or as many of them as the row still has columns, plus the
// residual.
template <class Result>
HWY_INLINE void StoreRow(const FinishArgs& args, size_t row, size_t column,
                         size_t width, const Result& result) {
  const DF d;
  const size_t to = row * args.ldc + column;
  if (width == kGroup) {
    BRAID_UNROLL
    for (size_t at = 0; at < kGroup; at += kLanes) {
      VF v = result(at);
      if (args.residual != nullptr) {
        v = hn::Add(v, hn::LoadU(d, args.residual + to + at));
      }
      hn::StoreU(v, d, args.c + to + at);
    }
    return;
  }
  HWY_ALIGN float padded[kGroup] = {};
  if (args.residual != nullptr) {
    std::memcpy(padded, args.residual + to, width * sizeof(float));
  }
  BRAID_UNROLL
  for (size_t at = 0; at < kGroup; at += kLanes) {
    VF v = result(at);
    if (args.residual != nullptr) v = hn::Add(v, hn::Load(d, padded + at));
    hn::Store(v, d, padded + at);
  }
  std::memcpy(args.c + to, padded, width * sizeof(float));
}

// c = act(sums * scale + bias) + residual for `rows` rows from `row`, and the
// panel of 16 columns from `column`. `sums` has rows `lds` apart.
template <Activation kActivation>
HWY_NOINLINE void FinishPanel(const FinishArgs& args, const float* sums,
                              size_t lds, size_t row, size_t rows,
                              size_t column) {
  const DF d;
  const size_t width = HWY_MIN(kGroup, args.n - column);
  const FeatureVector scale(args.scale, column, width);
  const FeatureVector bias(args.bias, column, width);
  for (size_t r = 0; r < rows; ++r) {
    StoreRow(args, row + r, column, width, [&](size_t at) {
      return ActivateVector<kActivation>(ScaledAndShifted(
          args, hn::LoadU(d, sums + r * lds + at), scale, bias, at));
    });
  }
}

// c = act(gate) * value + residual, where the gates are the 16 features from
// `feature` on, and the values the 16 after them.
template <Activation kActivation>
HWY_NOINLINE void FinishGatedPanel(const FinishArgs& args, const float* gates,
                                   const float* values, size_t lds, size_t row,
                                   size_t rows, size_t feature) {
  const DF d;
  const FeatureVector gate_scale(args.scale, feature, kGroup);
  const FeatureVector gate_bias(args.bias, feature, kGroup);
  const FeatureVector scale(args.scale, feature + kGroup, kGroup);
  const FeatureVector bias(args.bias, feature + kGroup, kGroup);
  for (size_t r = 0; r < rows; ++r) {
    StoreRow(args, row + r, feature / 2, kGroup, [&](size_t at) {
      const VF gate = ScaledAndShifted(args, hn::LoadU(d, gates + r * lds + at),
                                       gate_scale, gate_bias, at);
      return hn::Mul(ActivateVector<kActivation>(gate),
                     ScaledAndShifted(args, hn::LoadU(d, values + r * lds + at),
                                      scale, bias, at));
    });
  }
}

// Calls body.operator()<activation>().
template <class Body>
HWY_INLINE void WithActivation(Activation activation, const Body& body) {
  switch (activation) {
    case Activation::kNone:
      body.template operator()<Activation::kNone>();
      break;
    case Activation::kGelu:
      body.template operator()<Activation::kGelu>();
      break;
    case Activation::kSilu:
      body.template operator()<Activation::kSilu>();
      break;
    case Activation::kRelu2:
      body.template operator()<Activation::kRelu2>();
      break;
    case Activation::kSigmoid:
      body.template operator()<Activation::kSigmoid>();
      break;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#endif  // BRAID_KERNELS_CPU_FINISH_INL_H_
