// kernels/activation.h in device code, in f32.
#ifndef BRAID_KERNELS_CUDA_ACTIVATION_CUH_
#define BRAID_KERNELS_CUDA_ACTIVATION_CUH_

#include <cuda_runtime.h>

#include "kernels/activation.h"

namespace braid::kernels::cuda {

__device__ inline float Sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ inline float Activated(Activation activation, float x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case Activation::kSilu:
      return x * Sigmoid(x);
    case Activation::kRelu2:
      return x > 0.0f ? x * x : 0.0f;
    case Activation::kSigmoid:
      return Sigmoid(x);
  }
  return x;
}

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_ACTIVATION_CUH_
