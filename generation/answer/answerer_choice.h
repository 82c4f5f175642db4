// Several answerers in one process; a request may say which is to answer.
#ifndef BRAID_GENERATION_ANSWER_ANSWERER_CHOICE_H_
#define BRAID_GENERATION_ANSWER_ANSWERER_CHOICE_H_

#include <memory>

#include "generation/answer/answerer.h"

namespace braid::generation {

// Answers with what AnswerRequest::answerer names; `standard`, which must be
// there and must not be kDefault, stands for kDefault and gives the name.
// Either may be null: FAILED_PRECONDITION to whoever asks for it.
std::unique_ptr<Answerer> MakeAnswererChoice(
    std::unique_ptr<Answerer> extractive, std::unique_ptr<Answerer> generative,
    AnswererKind standard);

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ANSWER_ANSWERER_CHOICE_H_
