// Element-wise work over the rows of a matrix, shared out over the threads.
#ifndef BRAID_GENERATION_LAYERS_PARALLEL_ROWS_H_
#define BRAID_GENERATION_LAYERS_PARALLEL_ROWS_H_

#include <cstddef>

#include "kernels/thread_pool.h"

namespace braid::model {

// Calls body(r) for each of `rows` rows of about `width` elements, on the
// caller alone where there is little to do. `pool` may be null.
template <class Body>
void ParallelRows(kernels::ThreadPool* pool, size_t rows, size_t width,
                  const Body& body) {
  // Elements that are worth waking a thread for: some ten microseconds.
  constexpr size_t kGrain = 32'768;
  const auto run = [&body](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) body(r);
  };
  kernels::ParallelFor(rows * width < 2 * kGrain ? nullptr : pool, rows,
                       kernels::GrainOf(kGrain, width), run);
}

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_PARALLEL_ROWS_H_
