// The seam of answering: passages in, a stream of events out.
#ifndef BRAID_GENERATION_ANSWER_ANSWERER_H_
#define BRAID_GENERATION_ANSWER_ANSWERER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "generation/engine/sampling.h"

namespace braid::generation {

// A passage to answer from.
struct GroundingPassage {
  std::string document_id;
  uint64_t version = 0;
  uint64_t text_begin = 0;  // where `text` lies in the document's text, bytes
  std::string title;
  std::string text;
  double score = 0;  // of retrieval; best first
};

// Which of a server's answerers is to answer.
enum class AnswererKind { kDefault, kExtractive, kGenerator };

struct AnswerRequest {
  AnswererKind answerer = AnswererKind::kDefault;
  std::string question;
  std::vector<GroundingPassage> passages;
  uint32_t max_answer_tokens = 256;
  SamplingParams sampling;
  std::chrono::steady_clock::time_point deadline =
      std::chrono::steady_clock::time_point::max();
};

// Text to append; whole UTF-8 characters.
struct AnswerDelta {
  std::string text;
};

// Bytes of the answer supported by bytes of a document. `quote` must equal the
// document's bytes [text_begin, text_end): the service checks it against the
// store before a client sees it.
struct AnswerCitation {
  uint64_t answer_begin = 0;
  uint64_t answer_end = 0;
  size_t passage = 0;       // index into AnswerRequest::passages
  uint64_t text_begin = 0;  // in the document's text
  uint64_t text_end = 0;
  std::string quote;
};

struct AnswerUsage {
  uint32_t prompt_tokens = 0;
  uint32_t completion_tokens = 0;
};

struct AnswerFinal {
  FinishReason finish_reason = FinishReason::kStop;
  std::string abstain_reason;  // no_passages, no_support, no_citation
};

using AnswerEvent =
    std::variant<AnswerDelta, AnswerCitation, AnswerUsage, AnswerFinal>;

// Returns false to stop: the receiver is gone.
using AnswerSink = std::function<bool(const AnswerEvent&)>;

// Implementations are thread-safe.
class Answerer {
 public:
  virtual ~Answerer() = default;
  // What answers, for `GetServerInfo`: "extractive", or the model's name.
  virtual const std::string& name() const = 0;
  // Sends deltas and citations, then one AnswerUsage, then one AnswerFinal.
  // Cancellation and the deadline end it early with a final event that says
  // so; an error status means that no final event was sent.
  virtual absl::Status Answer(const AnswerRequest& request,
                              const AnswerSink& sink, std::stop_token stop) = 0;
};

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ANSWER_ANSWERER_H_
