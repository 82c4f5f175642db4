// How token vectors become one text vector: the files that
// sentence-transformers puts beside a model.
#ifndef BRAID_RETRIEVAL_ENCODER_SENTENCE_CONFIG_H_
#define BRAID_RETRIEVAL_ENCODER_SENTENCE_CONFIG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace braid::retrieval {

enum class Pooling {
  kMean,  // over all tokens, the special ones included
  kCls,   // the first token
};

struct SentenceConfig {
  // Where config.json, the weights and tokenizer.json lie.
  std::string model_directory;
  Pooling pooling = Pooling::kMean;
  // From sentence_bert_config.json; 0 if not given.
  int64_t max_tokens = 0;
  // The text is lower-cased before the tokenizer sees it.
  bool lower_case = false;
};

// Reads modules.json and the files it names: a transformer, a pooling by mean
// or first token, and optionally a normalisation (Braid always normalises). A
// directory without modules.json is a bare model with mean pooling, as in
// sentence-transformers. Modules must lie below `directory`. INVALID_ARGUMENT
// for malformed files, UNIMPLEMENTED for other modules or poolings.
absl::StatusOr<SentenceConfig> ReadSentenceConfig(const std::string& directory);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_ENCODER_SENTENCE_CONFIG_H_
