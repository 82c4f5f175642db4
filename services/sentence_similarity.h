// The encoder as the extractive answerer wants it.
#ifndef BRAID_SERVICES_SENTENCE_SIMILARITY_H_
#define BRAID_SERVICES_SENTENCE_SIMILARITY_H_

#include "generation/answer/extractive_answerer.h"
#include "retrieval/encoder/encoder.h"

namespace braid::services {

// Cosines by `encoder`, which must outlive the function. Sentences are embedded
// a few at a time, by at most `turns` callers at once; the others wait for
// their turn. Everybody asks `go_on` between two batches and while waiting, so
// a caller that is gone costs one batch at most, however many there are.
generation::SentenceSimilarity MakeSentenceSimilarity(
    const retrieval::Encoder* encoder, int turns);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SENTENCE_SIMILARITY_H_
