#include "generation/answer/answerer_choice.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace braid::generation {
namespace {

class NamedAnswerer : public Answerer {
 public:
  explicit NamedAnswerer(std::string name) : name_(std::move(name)) {}
  const std::string& name() const override { return name_; }
  absl::Status Answer(const AnswerRequest&, const AnswerSink& sink,
                      std::stop_token) override {
    sink(AnswerDelta{name_});
    return absl::OkStatus();
  }

 private:
  const std::string name_;
};

// Who answers, or the error's code.
std::string Answers(Answerer& answerer, AnswererKind kind) {
  AnswerRequest request;
  request.answerer = kind;
  std::string text;
  const absl::Status status =
      answerer.Answer(request,
                      [&](const AnswerEvent& event) {
                        text += std::get<AnswerDelta>(event).text;
                        return true;
                      },
                      {});
  return status.ok() ? text : absl::StatusCodeToString(status.code());
}

TEST(AnswererChoiceTest, TheRequestChooses) {
  for (const AnswererKind standard :
       {AnswererKind::kExtractive, AnswererKind::kGenerator}) {
    const auto both =
        MakeAnswererChoice(std::make_unique<NamedAnswerer>("extractive"),
                           std::make_unique<NamedAnswerer>("model"), standard);
    const std::string name =
        standard == AnswererKind::kExtractive ? "extractive" : "model";
    EXPECT_EQ(both->name(), name);
    EXPECT_EQ(Answers(*both, AnswererKind::kDefault), name);
    EXPECT_EQ(Answers(*both, AnswererKind::kExtractive), "extractive");
    EXPECT_EQ(Answers(*both, AnswererKind::kGenerator), "model");
  }
}

TEST(AnswererChoiceTest, WhatIsNotThereCannotBeChosen) {
  const auto extractive =
      MakeAnswererChoice(std::make_unique<NamedAnswerer>("extractive"), nullptr,
                         AnswererKind::kExtractive);
  EXPECT_EQ(Answers(*extractive, AnswererKind::kDefault), "extractive");
  EXPECT_EQ(Answers(*extractive, AnswererKind::kGenerator),
            "FAILED_PRECONDITION");
  const auto model =
      MakeAnswererChoice(nullptr, std::make_unique<NamedAnswerer>("model"),
                         AnswererKind::kGenerator);
  EXPECT_EQ(Answers(*model, AnswererKind::kDefault), "model");
  EXPECT_EQ(Answers(*model, AnswererKind::kExtractive), "FAILED_PRECONDITION");
}

}  // namespace
}  // namespace braid::generation
