// Scratch memory of one forward pass, reused from layer to layer and from call
// to call.
#ifndef BRAID_GENERATION_LAYERS_WORKSPACE_H_
#define BRAID_GENERATION_LAYERS_WORKSPACE_H_

#include <cstddef>

#include "kernels/aligned_vector.h"
#include "kernels/thread_pool.h"

namespace braid::model {

// The residual stream and the buffers that a step of it needs, each with room
// for [rows, hidden] at least.
struct Stream {
  kernels::AlignedVector x;
  kernels::AlignedVector embedded;  // x before the first layer, if that is used
  kernels::AlignedVector normed;
  kernels::AlignedVector out;
  kernels::AlignedVector branch;
  size_t rows = 0;
};

// Each buffer grows to its largest use and stays. A layer may use all of them;
// nothing in them but the stream lives longer than one layer's call. Not
// thread-safe: one workspace for each forward pass that runs at a time.
struct Workspace {
  kernels::ThreadPool* pool = nullptr;  // null: run on the caller
  kernels::AlignedVector projected;
  kernels::AlignedVector mixed;
  kernels::AlignedVector small;
  kernels::AlignedVector gathered;
  // For what calls another layer inside: experts, shared blocks.
  kernels::AlignedVector outer;
  kernels::AlignedVector latent;
  // Of the pass as a whole.
  Stream stream;

  static float* Reserve(kernels::AlignedVector& buffer, size_t count) {
    if (buffer.size() < count) buffer.resize(count);
    return buffer.data();
  }
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_WORKSPACE_H_
