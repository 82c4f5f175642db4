// Where the tokens of a document begin, for counting and cutting.
#ifndef BRAID_RETRIEVAL_INGEST_TOKEN_INDEX_H_
#define BRAID_RETRIEVAL_INGEST_TOKEN_INDEX_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/types.h"

namespace braid::retrieval {

// 4 bytes per token. The text is tokenised in windows that end at white space,
// so that the tokenizer's own memory does not grow with the document.
class TokenIndex {
 public:
  // `text` is shorter than 4 GiB.
  static absl::StatusOr<TokenIndex> Create(absl::string_view text,
                                           const Encoder& encoder);

  // Tokens that begin in `range`; exact for ranges that cut no word.
  size_t Count(ByteRange range) const;
  // Where the `n`-th token (from 0) of those behind `offset` begins; `limit` if
  // there are fewer or it begins behind.
  uint64_t NthAfter(uint64_t offset, size_t n, uint64_t limit) const;
  // Begin of the `n`-th token before `offset` (1: the last one that begins
  // before it); `limit` if there are fewer or it begins before.
  uint64_t NthBefore(uint64_t offset, size_t n, uint64_t limit) const;

 private:
  std::vector<uint32_t> starts_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_TOKEN_INDEX_H_
