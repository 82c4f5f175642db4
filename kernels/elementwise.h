// Element-wise operations on f32 arrays. All run on the calling thread and at
// memory speed; all are accurate to a few units in the last place of f32.
// Inputs and outputs may be the same array, but must not overlap otherwise.
#ifndef BRAID_KERNELS_ELEMENTWISE_H_
#define BRAID_KERNELS_ELEMENTWISE_H_

#include <cstddef>

#include "kernels/activation.h"

namespace braid::kernels {

// out[i] = activation(x[i])
void Activate(Activation activation, const float* x, float* out, size_t count);

// out[i] = activation(gate[i]) * up[i]: with kSilu the inside of a SwiGLU
// layer, with kSigmoid an output gate.
void GatedActivation(Activation activation, const float* gate, const float* up,
                     float* out, size_t count);

// out[i] += scale * x[i]
void AddScaled(float scale, const float* x, float* out, size_t count);

// out[i] = scale * x[i]
void Scale(float scale, const float* x, float* out, size_t count);

// out[r][i] = log(1 + exp(x[r][i] + bias[i])) for `rows` rows of `dim` values,
// rows `ldx` and `ldo` apart: the time steps of a state-space layer. `bias` may
// be null.
void Softplus(const float* x, size_t ldx, const float* bias, size_t rows,
              size_t dim, float* out, size_t ldo);

// In place: probabilities from logits, of one row. -infinity is allowed, but
// not for the whole row.
void Softmax(float* row, size_t count);

// Where the largest value is: the first of equals, never a NaN; 0 if there is
// nothing above -infinity.
size_t ArgMax(const float* x, size_t count);

// Sum of a[i] * b[i], in 16 partial sums.
float Dot(const float* a, const float* b, size_t count);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_ELEMENTWISE_H_
