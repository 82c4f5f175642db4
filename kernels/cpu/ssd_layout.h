// How the Mamba-2 kernel cuts its tokens into pieces and lays out its state.
#ifndef BRAID_KERNELS_CPU_SSD_LAYOUT_H_
#define BRAID_KERNELS_CPU_SSD_LAYOUT_H_

#include <algorithm>
#include <cstddef>

#include "kernels/ssd.h"

namespace braid::kernels {
namespace ssd {

inline constexpr size_t kColumns = 16;  // of a panel; the chunk is one panel

// Where things lie in the state. For each head, S^T in panels
// [head_dim / 16][state_dim][16], then of the open chunk x in panels
// [head_dim / 16][chunk][16] and dt [chunk]; behind the heads, for each group,
// B of the open chunk as [state_dim][chunk].
struct StateLayout {
  explicit StateLayout(const SsdParams& p)
      : panels((p.head_dim + kColumns - 1) / kColumns),
        x_at(panels * kColumns * p.state_dim),
        dt_at(x_at + panels * kColumns * kSsdChunk),
        head_stride(dt_at + kSsdChunk),
        b_at(head_stride * p.heads),
        b_stride(p.state_dim * kSsdChunk) {}

  size_t panels;
  size_t x_at;  // from a head's begin
  size_t dt_at;
  size_t head_stride;
  size_t b_at;  // from the state's begin
  size_t b_stride;
};

// Part of a chunk that one call brings: rows [row, end) of it.
struct Piece {
  size_t token;  // of the call, in row `row`
  size_t row;
  size_t end;
};

// Piece `i` of the call.
inline Piece PieceOf(const SsdParams& p, size_t i) {
  const size_t open = p.past_tokens % kSsdChunk;
  const size_t begin = i == 0 ? open : i * kSsdChunk;
  const size_t row = begin % kSsdChunk;
  return {begin - open, row,
          std::min(kSsdChunk, open + p.tokens - i * kSsdChunk)};
}

inline size_t Pieces(const SsdParams& p) {
  return (p.past_tokens % kSsdChunk + p.tokens + kSsdChunk - 1) / kSsdChunk;
}

// What all heads of a group share of one piece.
struct GroupChunk {
  float* b;         // [state_dim][chunk], zeros behind the piece's end
  float* products;  // [chunk][chunk]: C[t] . B[s] for s <= t
};

}  // namespace ssd
}  // namespace braid::kernels

#endif  // BRAID_KERNELS_CPU_SSD_LAYOUT_H_
