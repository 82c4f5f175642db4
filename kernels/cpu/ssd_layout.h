// How the state-space kernel cuts its rows into pieces and lays out its state.
#ifndef BRAID_KERNELS_CPU_SSD_LAYOUT_H_
#define BRAID_KERNELS_CPU_SSD_LAYOUT_H_

#include <algorithm>
#include <cstddef>

#include "kernels/ssd.h"

namespace braid::kernels {
namespace ssd {

inline constexpr size_t kColumns = 16;  // of a panel; the chunk is one panel

// Where things lie in the state. For each head, S^T in panels
// [head_dim / 16][state_dim][16], then of the open chunk (or, before its first
// row, of the last one) x in panels [head_dim / 16][chunk][16] and dt, a and
// the trapezoid of its tokens; behind the heads, for each group, B of the open
// chunk as [state_dim][chunk], and with a trapezoid that of the chunk before.
struct StateLayout {
  explicit StateLayout(const SsdShape& shape)
      : panels((shape.head_dim + kColumns - 1) / kColumns),
        x_at(panels * kColumns * shape.state_dim),
        dt_at(x_at + panels * kColumns * kSsdChunk),
        a_at(dt_at + kSsdChunk),
        trapezoid_at(a_at + kSsdChunk),
        head_stride(trapezoid_at + kSsdChunk),
        b_at(head_stride * shape.heads),
        b_floats(shape.state_dim * kSsdChunk),
        group_stride(b_floats * (shape.trapezoid ? 2 : 1)) {}

  size_t panels;
  size_t x_at;  // from a head's begin, as are the next three
  size_t dt_at;
  size_t a_at;
  size_t trapezoid_at;
  size_t head_stride;
  size_t b_at;  // of the first group, from the state's begin
  size_t b_floats;
  size_t group_stride;
};

// Part of a chunk that one call brings: rows [row, end) of it, whole tokens.
struct Piece {
  size_t at;  // row of the call that is row `row` of the chunk
  size_t row;
  size_t end;
};

// Piece `i` of the call.
inline Piece PieceOf(const SsdParams& p, size_t i) {
  const size_t open = p.past_tokens * p.shape.rank % kSsdChunk;
  const size_t begin = i == 0 ? open : i * kSsdChunk;
  return {begin - open, begin % kSsdChunk,
          std::min(kSsdChunk, open + p.tokens * p.shape.rank - i * kSsdChunk)};
}

inline size_t Pieces(const SsdParams& p) {
  const size_t open = p.past_tokens * p.shape.rank % kSsdChunk;
  return (open + p.tokens * p.shape.rank + kSsdChunk - 1) / kSsdChunk;
}

// What all heads of a group share of one piece.
struct GroupChunk {
  float* b;             // [state_dim][chunk], zeros behind the piece's end
  const float* last_b;  // of the chunk before; undefined without a trapezoid
  float* products;      // [chunk][chunk]: C[i] . B[j] for j up to i's token
};

}  // namespace ssd
}  // namespace braid::kernels

#endif  // BRAID_KERNELS_CPU_SSD_LAYOUT_H_
