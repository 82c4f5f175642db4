// Answers with the loaded generator.
#ifndef BRAID_GENERATION_ANSWER_GENERATIVE_ANSWERER_H_
#define BRAID_GENERATION_ANSWER_GENERATIVE_ANSWERER_H_

#include <memory>

#include "generation/answer/answerer.h"
#include "generation/engine/generator.h"

namespace braid::generation {

// Numbers the passages `[1]`, `[2]`, ... in the prompt, asks for answers that
// cite them so, streams the text with the markers left in, and turns every
// marker into a citation of the sentence of that passage that best matches the
// sentence it ends. Markers of passages that do not exist cite nothing.
// `generator` must outlive the answerer.
std::unique_ptr<Answerer> MakeGenerativeAnswerer(Generator* generator);

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ANSWER_GENERATIVE_ANSWERER_H_
