#include "generation/answer/answerer_choice.h"

#include <stop_token>
#include <string>
#include <utility>

namespace braid::generation {
namespace {

class AnswererChoice : public Answerer {
 public:
  AnswererChoice(std::unique_ptr<Answerer> extractive,
                 std::unique_ptr<Answerer> generative, AnswererKind standard)
      : extractive_(std::move(extractive)),
        generative_(std::move(generative)),
        standard_(standard) {}

  const std::string& name() const override { return Chosen(standard_)->name(); }

  absl::Status Answer(const AnswerRequest& request, const AnswerSink& sink,
                      std::stop_token stop) override {
    const AnswererKind kind = request.answerer == AnswererKind::kDefault
                                  ? standard_
                                  : request.answerer;
    Answerer* const chosen = Chosen(kind);
    if (chosen == nullptr) {
      return absl::FailedPreconditionError(
          kind == AnswererKind::kGenerator
              ? "no generator answers here: start the server with "
                "model_directory"
              : "answers are not extracted here: the server runs without an "
                "encoder");
    }
    return chosen->Answer(request, sink, std::move(stop));
  }

 private:
  Answerer* Chosen(AnswererKind kind) const {
    return kind == AnswererKind::kGenerator ? generative_.get()
                                            : extractive_.get();
  }

  const std::unique_ptr<Answerer> extractive_;
  const std::unique_ptr<Answerer> generative_;
  const AnswererKind standard_;
};

}  // namespace

std::unique_ptr<Answerer> MakeAnswererChoice(
    std::unique_ptr<Answerer> extractive, std::unique_ptr<Answerer> generative,
    AnswererKind standard) {
  return std::make_unique<AnswererChoice>(std::move(extractive),
                                          std::move(generative), standard);
}

}  // namespace braid::generation
