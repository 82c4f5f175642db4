#include "generation/answer/generative_answerer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "generation/answer/citation_markers.h"

namespace braid::generation {
namespace {

// Says what it is told to say, in pieces of a few bytes.
class ScriptedGenerator : public Generator {
 public:
  std::string reply;
  size_t piece = 3;
  size_t context = 1000;
  FinishReason finish = FinishReason::kStop;
  std::vector<ChatTurn> asked;

  const std::string& name() const override { return name_; }
  size_t max_context_tokens() const override { return context; }
  absl::StatusOr<size_t> CountTokens(absl::string_view text) const override {
    return static_cast<size_t>(std::count(text.begin(), text.end(), ' '));
  }
  absl::StatusOr<GenerationResult> Generate(const GenerationRequest& request,
                                            const TextSink& sink,
                                            std::stop_token) override {
    asked = std::get<std::vector<ChatTurn>>(request.input);
    for (size_t i = 0; i < reply.size(); i += piece) {
      if (!sink(absl::string_view(reply).substr(i, piece))) {
        return GenerationResult{FinishReason::kCancelled, 7, 1};
      }
    }
    return GenerationResult{finish, 7, 5};
  }

 private:
  std::string name_ = "scripted";
};

std::vector<GroundingPassage> Passages() {
  GroundingPassage first;
  first.document_id = "locks";
  first.text_begin = 100;
  first.title = "Locks";
  first.text =
      "Locks protect rows. The error 40P01 means that a deadlock was detected. "
      "Retry the transaction.";
  GroundingPassage second;
  second.document_id = "wal";
  second.text = "The write-ahead log grows to max_wal_size.";
  return {first, second};
}

struct Shown {
  std::string text;
  std::string marked;  // with "<n>" where a citation of passage n arrived
  std::vector<AnswerCitation> citations;
};

// What a client sees of an answer that comes in pieces.
Shown Show(const std::vector<GroundingPassage>& passages,
           absl::string_view answer, size_t piece) {
  Shown shown;
  const auto take = [&](const std::vector<AnswerEvent>& events) {
    for (const AnswerEvent& event : events) {
      if (const auto* delta = std::get_if<AnswerDelta>(&event)) {
        EXPECT_FALSE(delta->text.empty());
        shown.text += delta->text;
        shown.marked += delta->text;
      } else {
        const auto& citation = std::get<AnswerCitation>(event);
        EXPECT_LE(citation.answer_end, shown.text.size());
        shown.marked += absl::StrCat("<", citation.passage + 1, ">");
        shown.citations.push_back(citation);
      }
    }
  };
  CitationMarkers markers(passages);
  for (size_t i = 0; i < answer.size(); i += piece) {
    take(markers.Add(answer.substr(i, piece)));
  }
  take(markers.Finish());
  return shown;
}

TEST(CitationMarkersTest, CitesTheBestSentence) {
  const std::vector<GroundingPassage> passages = Passages();
  const std::string answer =
      "Hello. The code 40P01 is a deadlock [1]. The log is limited by "
      "max_wal_size [2].";
  // However the text is cut.
  for (size_t piece = 1; piece <= answer.size(); ++piece) {
    const Shown shown = Show(passages, answer, piece);
    const std::vector<AnswerCitation>& citations = shown.citations;
    EXPECT_EQ(shown.marked,
              "Hello. The code 40P01 is a deadlock<1>. The log is limited by "
              "max_wal_size<2>.");
    ASSERT_EQ(citations.size(), 2u) << piece;
    EXPECT_EQ(citations[0].passage, 0u);
    EXPECT_EQ(citations[0].quote,
              "The error 40P01 means that a deadlock was detected.");
    EXPECT_EQ(citations[0].text_begin, 120u);
    EXPECT_EQ(citations[0].text_end, 120u + citations[0].quote.size());
    EXPECT_EQ(
        shown.text.substr(citations[0].answer_begin,
                          citations[0].answer_end - citations[0].answer_begin),
        "The code 40P01 is a deadlock");
    EXPECT_EQ(citations[1].passage, 1u);
    EXPECT_EQ(citations[1].quote, passages[1].text);
    EXPECT_EQ(
        shown.text.substr(citations[1].answer_begin,
                          citations[1].answer_end - citations[1].answer_begin),
        "The log is limited by max_wal_size");
  }
}

TEST(CitationMarkersTest, SeveralPassagesForOneSentence) {
  const std::vector<GroundingPassage> passages = Passages();
  for (const std::string answer :
       {"The log and the transaction matter [1][2]",
        "The log and the transaction matter [1, 2]"}) {
    const Shown shown = Show(passages, answer, answer.size());
    EXPECT_EQ(shown.marked, "The log and the transaction matter<1><2>");
    const std::vector<AnswerCitation>& citations = shown.citations;
    ASSERT_EQ(citations.size(), 2u) << answer;
    EXPECT_EQ(citations[0].quote, "Retry the transaction.");
    EXPECT_EQ(citations[0].answer_begin, citations[1].answer_begin);
    EXPECT_EQ(citations[0].answer_end, citations[1].answer_end);
  }
}

// A bracket that names no passage, or that touches a word and has no ground, is
// text; a marker without ground is left out.
TEST(CitationMarkersTest, CitesNothingWithoutGround) {
  const std::vector<GroundingPassage> passages = Passages();
  const std::pair<std::string, std::string> answers[] = {
      {"[1]", ""},
      {" [1] [2] So", "So"},
      {"a[0] = b[1] unrelated", "a[0] = b[1] unrelated"},
      {"Deadlock [3]", "Deadlock [3]"},
      {"Deadlock [0]", "Deadlock [0]"},
      {"Deadlock [1, 3] ends", "Deadlock<1> ends"},
      {"Deadlock [99999999999999999999999]",
       "Deadlock [99999999999999999999999]"},
      {"Deadlock [x]", "Deadlock [x]"},
      {"Deadlock [1", "Deadlock [1"},
      {"Deadlock [1 2]", "Deadlock [1 2]"},
      {"Deadlock [[", "Deadlock [["},
      {"Deadlock [[1]]", "Deadlock [<1>]"},
      {"Bananas are yellow fruit [1].", "Bananas are yellow fruit."},
      {"Deadlock [,]", "Deadlock [,]"},
      {"Deadlock []", "Deadlock []"},
      {"Deadlock [and what follows it in a long bracket]",
       "Deadlock [and what follows it in a long bracket]"},
      {"One.\n\n[2] Two \n", "One. Two"},
  };
  for (const auto& [answer, marked] : answers) {
    for (size_t piece = 1; piece <= answer.size(); ++piece) {
      EXPECT_EQ(Show(passages, answer, piece).marked, marked)
          << answer << " in pieces of " << piece;
    }
  }
}

std::vector<AnswerEvent> RunAnswer(ScriptedGenerator& generator,
                                   const AnswerRequest& request,
                                   absl::Status* status = nullptr) {
  std::vector<AnswerEvent> events;
  const absl::Status result = MakeGenerativeAnswerer(&generator)
                                  ->Answer(request,
                                           [&](const AnswerEvent& event) {
                                             events.push_back(event);
                                             return true;
                                           },
                                           {});
  if (status != nullptr) {
    *status = result;
  } else {
    EXPECT_TRUE(result.ok()) << result;
  }
  return events;
}

TEST(GenerativeAnswererTest, StreamsTextAndCitations) {
  ScriptedGenerator generator;
  generator.reply = "40P01 means a deadlock [1].";
  AnswerRequest request;
  request.question = "What is 40P01?";
  request.passages = Passages();
  const std::vector<AnswerEvent> events = RunAnswer(generator, request);
  std::string text;
  std::vector<AnswerCitation> citations;
  for (const AnswerEvent& event : events) {
    if (const auto* delta = std::get_if<AnswerDelta>(&event)) {
      text += delta->text;
    }
    if (const auto* citation = std::get_if<AnswerCitation>(&event)) {
      // What is cited has been sent already.
      EXPECT_LE(citation->answer_end, text.size());
      citations.push_back(*citation);
    }
  }
  EXPECT_EQ(text, "40P01 means a deadlock.");
  ASSERT_EQ(citations.size(), 1u);
  EXPECT_EQ(citations[0].text_begin, 120u);
  ASSERT_GE(events.size(), 2u);
  const auto* usage = std::get_if<AnswerUsage>(&events[events.size() - 2]);
  ASSERT_NE(usage, nullptr);
  EXPECT_EQ(usage->prompt_tokens, 7u);
  EXPECT_EQ(usage->completion_tokens, 5u);
  ASSERT_TRUE(std::holds_alternative<AnswerFinal>(events.back()));
  EXPECT_EQ(std::get<AnswerFinal>(events.back()).finish_reason,
            FinishReason::kStop);
  // The passages are numbered from 1, between the question and itself.
  ASSERT_EQ(generator.asked.size(), 2u);
  EXPECT_EQ(generator.asked[0].role, "system");
  const std::string& prompt = generator.asked[1].content;
  EXPECT_TRUE(absl::StrContains(prompt, "[1] Locks\n> Locks protect"));
  EXPECT_LT(prompt.find("What is 40P01?"), prompt.find("[1] "));
  EXPECT_LT(prompt.find("[2] "), prompt.rfind("What is 40P01?"));
}

TEST(GenerativeAnswererTest, AbstainsWithoutPassages) {
  ScriptedGenerator generator;
  const std::vector<AnswerEvent> events = RunAnswer(generator, AnswerRequest());
  ASSERT_EQ(events.size(), 2u);
  const auto& last = std::get<AnswerFinal>(events[1]);
  EXPECT_EQ(last.finish_reason, FinishReason::kAbstained);
  EXPECT_EQ(last.abstain_reason, "no_passages");
  EXPECT_TRUE(generator.asked.empty());
}

TEST(GenerativeAnswererTest, AnswersWithoutACitationAreAbstentions) {
  ScriptedGenerator generator;
  AnswerRequest request;
  request.question = "What is 40P01?";
  request.passages = Passages();
  for (const std::string reply :
       {"The passages do not say.", "Bananas are yellow fruit [1].",
        "Deadlock [9]", ""}) {
    generator.reply = reply;
    const std::vector<AnswerEvent> events = RunAnswer(generator, request);
    const auto& last = std::get<AnswerFinal>(events.back());
    EXPECT_EQ(last.finish_reason, FinishReason::kAbstained) << reply;
    EXPECT_EQ(last.abstain_reason, "no_citation");
  }
}

TEST(GenerativeAnswererTest, LeavesOutPassagesThatDoNotFit) {
  ScriptedGenerator generator;
  AnswerRequest request;
  request.question = "q";
  request.max_answer_tokens = 10;
  request.passages = Passages();
  request.passages.insert(request.passages.begin(), GroundingPassage());
  for (int i = 0; i < 2000; ++i) request.passages[0].text += "long ";
  RunAnswer(generator, request);
  ASSERT_EQ(generator.asked.size(), 2u);
  const std::string& prompt = generator.asked[1].content;
  EXPECT_FALSE(absl::StrContains(prompt, "[1] "));
  EXPECT_TRUE(absl::StrContains(prompt, "[2] Locks"));
  EXPECT_TRUE(absl::StrContains(prompt, "[3] \n> The write"));
  generator.context = 20;
  absl::Status status;
  EXPECT_TRUE(RunAnswer(generator, request, &status).empty());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(GenerativeAnswererTest, StopsWhenTheReceiverLeaves) {
  ScriptedGenerator generator;
  generator.reply = "one two three four five";
  AnswerRequest request;
  request.passages = Passages();
  int events = 0;
  EXPECT_TRUE(MakeGenerativeAnswerer(&generator)
                  ->Answer(request,
                           [&](const AnswerEvent&) { return ++events < 2; }, {})
                  .ok());
  EXPECT_EQ(events, 2);
}

TEST(GenerativeAnswererTest, PassesOnWhyItEnded) {
  ScriptedGenerator generator;
  AnswerRequest request;
  request.passages = Passages();
  for (const FinishReason reason :
       {FinishReason::kLength, FinishReason::kDeadline,
        FinishReason::kCancelled}) {
    generator.finish = reason;
    const std::vector<AnswerEvent> events = RunAnswer(generator, request);
    EXPECT_EQ(std::get<AnswerFinal>(events.back()).finish_reason, reason);
  }
}

}  // namespace
}  // namespace braid::generation
