// An answer as it comes: its text, its citations, its end.
#ifndef BRAID_SERVICES_ADAPTERS_ANSWER_TEXT_H_
#define BRAID_SERVICES_ADAPTERS_ANSWER_TEXT_H_

#include <string>
#include <vector>

#include "braid/v1/answer_service.pb.h"
#include "services/adapters/json.h"

namespace braid::services::adapters {

// Takes the events of one Answer call in their order.
class AnswerText {
 public:
  void Add(const v1::AnswerResponse& event);

  const std::string& text() const { return text_; }
  const v1::Usage& usage() const { return usage_; }
  const v1::AnswerFinal& final() const { return final_; }
  bool abstained() const {
    return final_.finish_reason() == v1::FINISH_REASON_ABSTAINED;
  }
  // `stop`, `length`, `abstained`, `cancelled`, `deadline`.
  std::string finish_reason() const;
  // What a reader is told who gets no answer.
  std::string refusal() const;

  // The citations so far, each {number, document, version, title, quote,
  // text_range, answer_range}, ranges as [begin, end] in bytes.
  const std::vector<Json>& citations() const { return citations_; }
  // The newest as OpenAI has it: an `url_citation` with a range in characters
  // of the answer (code points). The URL is the path of the document's version
  // in this server's API.
  Json LastAnnotation() const;

 private:
  std::string text_;
  std::vector<Json> citations_;
  v1::Citation last_;
  v1::Usage usage_;
  v1::AnswerFinal final_;
};

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_ANSWER_TEXT_H_
