// Scratch memory of one forward pass, reused from layer to layer and from call
// to call.
#ifndef BRAID_GENERATION_LAYERS_WORKSPACE_H_
#define BRAID_GENERATION_LAYERS_WORKSPACE_H_

#include <cstddef>
#include <vector>

#include "kernels/thread_pool.h"

namespace braid::model {

// The residual stream and the buffers that a step of it needs, each with room
// for [rows, hidden] at least.
struct Stream {
  std::vector<float> x;
  std::vector<float> embedded;  // x before the first layer, if that is used
  std::vector<float> normed;
  std::vector<float> out;
  std::vector<float> branch;
  size_t rows = 0;
};

// Each buffer grows to its largest use and stays. A layer may use all of them;
// nothing in them but the stream lives longer than one layer's call. Not
// thread-safe: one workspace for each forward pass that runs at a time.
struct Workspace {
  kernels::ThreadPool* pool = nullptr;  // null: run on the caller
  std::vector<float> projected;
  std::vector<float> mixed;
  std::vector<float> small;
  std::vector<float> gathered;
  // For what calls another layer inside: experts, shared blocks.
  std::vector<float> outer;
  std::vector<float> latent;
  // Of the pass as a whole.
  Stream stream;

  static float* Reserve(std::vector<float>& buffer, size_t count) {
    if (buffer.size() < count) buffer.resize(count);
    return buffer.data();
  }
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_WORKSPACE_H_
