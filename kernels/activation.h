// Element-wise functions that other kernels can apply to their output.
#ifndef BRAID_KERNELS_ACTIVATION_H_
#define BRAID_KERNELS_ACTIVATION_H_

namespace braid::kernels {

enum class Activation {
  kNone,
  kGelu,     // 0.5 x (1 + erf(x / sqrt 2)), the exact form
  kSilu,     // x sigmoid(x)
  kRelu2,    // max(x, 0)^2
  kSigmoid,  // 1 / (1 + exp(-x))
};

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_ACTIVATION_H_
