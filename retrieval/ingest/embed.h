// Embeds chunks of several documents together.
#ifndef BRAID_RETRIEVAL_INGEST_EMBED_H_
#define BRAID_RETRIEVAL_INGEST_EMBED_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

// Chunks [begin, end) of a document whose vectors are missing. `write->vectors`
// has room for all of its chunks.
struct EmbedSlice {
  DocumentWrite* write = nullptr;
  size_t begin = 0;
  size_t end = 0;
  absl::Status status;  // filled in
};

// Fills the vectors of all slices with one call of the encoder. Where that
// fails each slice is tried alone, so that one document's error stays its own.
void EmbedSlices(const Encoder& encoder, absl::Span<EmbedSlice> slices);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_EMBED_H_
