// Answers with the loaded generator.
#ifndef BRAID_GENERATION_ANSWER_GENERATIVE_ANSWERER_H_
#define BRAID_GENERATION_ANSWER_GENERATIVE_ANSWERER_H_

#include <memory>

#include "generation/answer/answerer.h"
#include "generation/engine/generator.h"

namespace braid::generation {

// Asks the question before the numbered passages and again behind them, asks
// for answers that cite them as `[1]`, `[2]`, ..., streams the text with the
// markers left in, and turns every marker into a citation of the sentence of
// that passage that best matches the sentence it ends. Markers of passages that
// do not exist cite nothing; an answer that ends without any citation has
// abstained (`no_citation`). `generator` must outlive the answerer.
std::unique_ptr<Answerer> MakeGenerativeAnswerer(Generator* generator);

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ANSWER_GENERATIVE_ANSWERER_H_
