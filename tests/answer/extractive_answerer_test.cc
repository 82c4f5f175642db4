#include "generation/answer/extractive_answerer.h"

#include <stop_token>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/steady.h"

namespace braid::generation {
namespace {

using GoOn = std::function<bool()>;

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

GroundingPassage Passage(std::string text, std::string title = "",
                         uint64_t text_begin = 0) {
  GroundingPassage passage;
  passage.document_id = "d";
  passage.version = 1;
  passage.text_begin = text_begin;
  passage.title = std::move(title);
  passage.text = std::move(text);
  return passage;
}

struct Told {
  absl::Status status;
  std::string text;
  std::vector<AnswerCitation> citations;
  int usages = 0;
  std::vector<AnswerFinal> finals;
};

Told Ask(Answerer& answerer, const AnswerRequest& request,
         std::stop_token stop = {}) {
  Told told;
  told.status = answerer.Answer(
      request,
      [&told](const AnswerEvent& event) {
        EXPECT_TRUE(told.finals.empty()) << "an event after the final one";
        if (const auto* delta = std::get_if<AnswerDelta>(&event)) {
          told.text += delta->text;
        } else if (const auto* citation = std::get_if<AnswerCitation>(&event)) {
          told.citations.push_back(*citation);
        } else if (std::holds_alternative<AnswerUsage>(event)) {
          ++told.usages;
        } else {
          told.finals.push_back(std::get<AnswerFinal>(event));
        }
        return true;
      },
      stop);
  return told;
}

// Every promise of a citation, for any answer.
void ExpectSound(const Told& told, const AnswerRequest& request) {
  ASSERT_TRUE(told.status.ok()) << told.status;
  ASSERT_EQ(told.usages, 1);
  ASSERT_EQ(told.finals.size(), 1u);
  uint64_t end = 0;
  for (const AnswerCitation& citation : told.citations) {
    ASSERT_LT(citation.passage, request.passages.size());
    const GroundingPassage& passage = request.passages[citation.passage];
    ASSERT_GE(citation.text_begin, passage.text_begin);
    ASSERT_LE(citation.text_end, passage.text_begin + passage.text.size());
    EXPECT_EQ(passage.text.substr(citation.text_begin - passage.text_begin,
                                  citation.text_end - citation.text_begin),
              citation.quote);
    ASSERT_LE(citation.answer_end, told.text.size());
    EXPECT_EQ(told.text.substr(citation.answer_begin,
                               citation.answer_end - citation.answer_begin),
              citation.quote);
    EXPECT_GE(citation.answer_begin, end);
    end = citation.answer_end;
  }
  EXPECT_EQ(end, told.text.size());
}

AnswerRequest Request(std::string question,
                      std::vector<GroundingPassage> passages) {
  AnswerRequest request;
  request.question = std::move(question);
  request.passages = std::move(passages);
  return request;
}

TEST(ExtractiveAnswererTest, TheRowOfACodeAnswersWhatItMeans) {
  const AnswerRequest request = Request(
      "What does SQLSTATE 40P01 mean?",
      {Passage("All messages emitted by the server are assigned five-character "
               "error codes that follow the SQL standard's conventions for "
               "SQLSTATE codes. According to the standard, the first two "
               "characters denote a class of errors.",
               "PostgreSQL Error Codes"),
       Passage("40000 | transaction_rollback\n40002 | "
               "transaction_integrity_constraint_violation\n40001 | "
               "serialization_failure\n40003 | statement_completion_unknown\n"
               "40P01 | deadlock_detected\n",
               "PostgreSQL Error Codes", 1000)});
  const auto answerer = MakeExtractiveAnswerer(nullptr, {});
  const Told told = Ask(*answerer, request);
  ExpectSound(told, request);
  EXPECT_THAT(told.text, StartsWith("40P01 | deadlock_detected"));
  EXPECT_THAT(told.text, Not(HasSubstr("serialization_failure")));
  ASSERT_FALSE(told.citations.empty());
  EXPECT_EQ(told.citations[0].passage, 1u);
  EXPECT_EQ(told.finals[0].finish_reason, FinishReason::kStop);
}

TEST(ExtractiveAnswererTest, TellsPassagesInTurnInReadingOrder) {
  const AnswerRequest request = Request(
      "How does the vacuum process reclaim storage?",
      {Passage("Vacuum is a process. The cat sleeps. Vacuum can reclaim "
               "storage of dead rows. The vacuum process reclaims storage.",
               "", 10),
       Passage("Vacuum, the process, reclaims storage too. Dogs bark.", "",
               7)});
  const auto answerer = MakeExtractiveAnswerer(nullptr, {});
  const Told told = Ask(*answerer, request);
  ExpectSound(told, request);
  EXPECT_EQ(told.text,
            "Vacuum can reclaim storage of dead rows. The vacuum process "
            "reclaims storage. Vacuum, the process, reclaims storage too.");
}

TEST(ExtractiveAnswererTest, AbstainsWithoutPassages) {
  const AnswerRequest request = Request("Why?", {});
  const Told told = Ask(*MakeExtractiveAnswerer(nullptr, {}), request);
  ExpectSound(told, request);
  EXPECT_EQ(told.text, "");
  EXPECT_EQ(told.finals[0].finish_reason, FinishReason::kAbstained);
  EXPECT_EQ(told.finals[0].abstain_reason, "no_passages");
}

TEST(ExtractiveAnswererTest, AbstainsWhereNothingSupportsAnAnswer) {
  const std::vector<GroundingPassage> passages = {
      Passage("The server writes its log to disk. It may rotate the log.",
              "Logging"),
      Passage("", ""), Passage("\xff\xfe capital of France \xff", "")};
  for (const char* question :
       {"What is the capital of Mongolia and its population?",
        "How do I bake sourdough bread?", "What does error 99ZZ9 mean?",
        "What is it?", "", "\x01\x02"}) {
    const AnswerRequest request = Request(question, passages);
    const Told told = Ask(*MakeExtractiveAnswerer(nullptr, {}), request);
    ExpectSound(told, request);
    EXPECT_EQ(told.text, "") << question;
    EXPECT_EQ(told.finals[0].finish_reason, FinishReason::kAbstained);
    EXPECT_EQ(told.finals[0].abstain_reason, "no_support");
  }
}

// To an encoder one code looks like another: what is said of others is no
// answer, however similar it looks.
TEST(ExtractiveAnswererTest, AbstainsWhereTheCodeAskedForIsNowhere) {
  const SentenceSimilarity alike =
      [](absl::string_view, absl::Span<const absl::string_view> sentences,
         const GoOn&) -> absl::StatusOr<std::vector<float>> {
    return std::vector<float>(sentences.size(), 0.9f);
  };
  const auto answerer = MakeExtractiveAnswerer(alike, {});
  const std::vector<GroundingPassage> passages = {
      Passage("SQLSTATE 40001 means serialization failure."),
      Passage("max_wal_size limits the log.")};
  for (const char* question :
       {"What does SQLSTATE 40P01 mean?", "What does min_wal_size limit?"}) {
    const AnswerRequest request = Request(question, passages);
    const Told told = Ask(*answerer, request);
    ExpectSound(told, request);
    EXPECT_EQ(told.text, "") << question;
    EXPECT_EQ(told.finals[0].abstain_reason, "no_support");
  }
  const AnswerRequest request =
      Request("What does max_wal_size limit, and min_wal_size?", passages);
  EXPECT_THAT(Ask(*answerer, request).text, HasSubstr("max_wal_size"));
}

TEST(ExtractiveAnswererTest, SimilarityAnswersWhatSharesNoWord) {
  const AnswerRequest request = Request(
      "Keeping physicians from falling ill",
      {Passage("The bus is late today. Doctors should wash their hands often. "
               "Paint dries in hours.")});
  const SentenceSimilarity similarity =
      [](absl::string_view, absl::Span<const absl::string_view> sentences,
         const GoOn&) -> absl::StatusOr<std::vector<float>> {
    std::vector<float> values;
    for (const absl::string_view sentence : sentences) {
      values.push_back(absl::StrContains(sentence, "Doctors") ? 0.8f : 0.05f);
    }
    return values;
  };
  const Told told = Ask(*MakeExtractiveAnswerer(similarity, {}), request);
  ExpectSound(told, request);
  EXPECT_EQ(told.text, "Doctors should wash their hands often.");
}

TEST(ExtractiveAnswererTest, ScoresNoMoreSentencesThanAllowed) {
  std::string text;
  for (int i = 0; i < 500; ++i) {
    absl::StrAppend(&text, "Sentence ", i, " is about nothing much. ");
  }
  text += "The tide turns twice a day.";
  const AnswerRequest request =
      Request("How often does the tide turn?", {Passage(text)});
  size_t most = 0;
  bool tide = false;
  const SentenceSimilarity similarity =
      [&](absl::string_view, absl::Span<const absl::string_view> sentences,
          const GoOn&) -> absl::StatusOr<std::vector<float>> {
    most = std::max(most, sentences.size());
    for (const auto& sentence : sentences) {
      tide = tide || absl::StrContains(sentence, "tide");
    }
    return std::vector<float>(sentences.size(), 0.5f);
  };
  ExtractiveOptions options;
  options.max_scored_sentences = 8;
  const Told told = Ask(*MakeExtractiveAnswerer(similarity, options), request);
  ExpectSound(told, request);
  EXPECT_EQ(most, 8u);
  EXPECT_TRUE(tide);
  EXPECT_THAT(told.text, HasSubstr("The tide turns twice a day."));
}

TEST(ExtractiveAnswererTest, ErrorsOfTheEncoderAreTold) {
  const AnswerRequest request = Request("tide", {Passage("The tide turns.")});
  const SentenceSimilarity broken =
      [](absl::string_view, absl::Span<const absl::string_view>,
         const GoOn&) -> absl::StatusOr<std::vector<float>> {
    return absl::UnavailableError("no encoder");
  };
  const Told told = Ask(*MakeExtractiveAnswerer(broken, {}), request);
  EXPECT_EQ(told.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(told.finals.empty());
  const SentenceSimilarity short_list =
      [](absl::string_view, absl::Span<const absl::string_view>,
         const GoOn&) -> absl::StatusOr<std::vector<float>> {
    return std::vector<float>{};
  };
  EXPECT_EQ(Ask(*MakeExtractiveAnswerer(short_list, {}), request).status.code(),
            absl::StatusCode::kInternal);
}

// The similarity takes the time: whoever stops the answer stops that, too.
TEST(ExtractiveAnswererTest, StopsComparingWhenToldTo) {
  const AnswerRequest request = Request("tide", {Passage("The tide turns.")});
  std::stop_source stop;
  int looks = 0;
  const SentenceSimilarity slow =
      [&](absl::string_view, absl::Span<const absl::string_view>,
          const GoOn& go_on) -> absl::StatusOr<std::vector<float>> {
    while (go_on()) {
      if (++looks == 3) stop.request_stop();
    }
    return absl::CancelledError("not wanted");
  };
  std::vector<AnswerFinal> finals;
  const absl::Status status = MakeExtractiveAnswerer(slow, {})->Answer(
      request,
      [&](const AnswerEvent& event) {
        if (const auto* end = std::get_if<AnswerFinal>(&event)) {
          finals.push_back(*end);
        }
        return true;
      },
      stop.get_token());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(looks, 3);
  ASSERT_EQ(finals.size(), 1u);
  EXPECT_EQ(finals[0].finish_reason, FinishReason::kCancelled);
}

TEST(ExtractiveAnswererTest, EndsEarlyWhenToldTo) {
  AnswerRequest request = Request("tide", {Passage("The tide turns daily.")});
  std::stop_source source;
  source.request_stop();
  const auto answerer = MakeExtractiveAnswerer(nullptr, {});
  Told told = Ask(*answerer, request, source.get_token());
  ASSERT_EQ(told.finals.size(), 1u);
  EXPECT_EQ(told.finals[0].finish_reason, FinishReason::kCancelled);

  request.deadline = SteadyIn(-absl::Seconds(1));
  told = Ask(*answerer, request);
  ASSERT_EQ(told.finals.size(), 1u);
  EXPECT_EQ(told.finals[0].finish_reason, FinishReason::kDeadline);

  request.deadline = kNever;
  int events = 0;
  const absl::Status status = answerer->Answer(request,
                                               [&events](const AnswerEvent&) {
                                                 ++events;
                                                 return false;
                                               },
                                               {});
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(events, 1);
}

TEST(ExtractiveAnswererTest, KeepsToTheLengthWithoutCuttingCharacters) {
  AnswerRequest request = Request(
      "tide", {Passage("The tide ééééé ééééé ééééé turns twice every day. The "
                       "tide is only a tide.")});
  const auto answerer = MakeExtractiveAnswerer(nullptr, {});
  const std::string whole = Ask(*answerer, request).text;
  EXPECT_THAT(whole, HasSubstr("only a tide."));
  for (uint32_t tokens = 0; tokens < 40; ++tokens) {
    request.max_answer_tokens = tokens;
    const Told told = Ask(*answerer, request);
    ExpectSound(told, request);
    EXPECT_LE(told.text.size(), tokens * 4);
    EXPECT_EQ(told.finals[0].finish_reason == FinishReason::kLength,
              told.text != whole)
        << tokens;
    EXPECT_EQ(told.text.empty(), tokens == 0);
  }
}

TEST(ExtractiveAnswererTest, SaysACopyOnce) {
  const std::string text = "The tide turns twice a day.";
  const AnswerRequest request = Request(
      "tide", {Passage(text), Passage(text), Passage(text + " " + text)});
  const Told told = Ask(*MakeExtractiveAnswerer(nullptr, {}), request);
  ExpectSound(told, request);
  EXPECT_EQ(told.text, text);
}

}  // namespace
}  // namespace braid::generation
