#include "services/eval/answer_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace braid::services {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(AnswerMetrics, WordsWithoutCasePunctuationAndArticles) {
  EXPECT_THAT(AnswerWords("The  Great-Wall, of\nChina's (an) A."),
              ElementsAre("greatwall", "of", "chinas"));
  EXPECT_THAT(AnswerWords("Théodore \xC3\x89mile\xC2\xA0Z"),
              ElementsAre("théodore", "émile", "z"));
  // An article ends where a word ends: at a dash that is no ASCII.
  EXPECT_THAT(AnswerWords("the–other another ana"),
              ElementsAre("–other", "another", "ana"));
  // Punctuation goes first, as in SQuAD's script.
  EXPECT_THAT(AnswerWords("a.n. t-h-e $5"), ElementsAre("5"));
  EXPECT_THAT(AnswerWords(" the, "), IsEmpty());
  EXPECT_THAT(AnswerWords("x\xFF\xFEy"), ElementsAre("x", "y"));
}

TEST(AnswerMetrics, TakesTheBestOfTheGoldAnswers) {
  EXPECT_EQ(MatchAnswer("The Normans!", {"normans"}).exact, 1);
  EXPECT_EQ(MatchAnswer("The Normans!", {"normans"}).f1, 1);
  const std::vector<std::string> gold = {"in the tenth century",
                                         "10th century"};
  const AnswerMatch got = MatchAnswer("the tenth century AD", gold);
  EXPECT_EQ(got.exact, 0);
  // 2 of 3 words of either; the other gold answer has 1 of 3 and of 2.
  EXPECT_NEAR(got.f1, 2.0 / 3, 1e-12);
  // A word counts as often as it is in both: precision 1/3, recall 1.
  EXPECT_NEAR(MatchAnswer("ja ja ja", {{"ja"}}).f1, 0.5, 1e-12);
  EXPECT_EQ(MatchAnswer("nothing shared", {"other words"}).f1, 0);
  EXPECT_EQ(MatchAnswer("", {"words"}).f1, 0);
  EXPECT_EQ(MatchAnswer("words", {}).f1, 0);
}

TEST(AnswerMetrics, ASentenceContainsItsAnswer) {
  EXPECT_EQ(MatchAnswer("It was in the 10th century, they say.",
                        {"the 11th century", "10th Century"})
                .contains,
            1);
  // Whole words, in a row, in order.
  EXPECT_EQ(MatchAnswer("the 110th century", {"10th century"}).contains, 0);
  EXPECT_EQ(MatchAnswer("century the 10th", {"10th century"}).contains, 0);
  EXPECT_EQ(MatchAnswer("10th last century", {"10th century"}).contains, 0);
  EXPECT_EQ(MatchAnswer("anything", {"the"}).contains, 0);
}

AskedQuestion Answered(const char* answer, uint64_t citations, uint64_t right) {
  AskedQuestion question;
  question.answer = answer;
  question.gold = {"slate"};
  question.judged = true;
  question.citations = citations;
  question.right_citations = right;
  question.relevant = 2;
  question.relevant_cited = right > 0 ? 1 : 0;
  return question;
}

TEST(AnswerMetrics, ReportsWhatWasAsked) {
  std::vector<AskedQuestion> questions = {Answered("Slate.", 2, 2),
                                          Answered("slate roofs", 1, 0),
                                          Answered("", 0, 0)};
  questions[2].abstained = true;
  const Json report = AnswerReport(questions);
  EXPECT_EQ(report["questions"], 3);
  EXPECT_EQ(report["with_gold"], 3);
  EXPECT_NEAR(report["exact_match"].get<double>(), 1.0 / 3, 1e-12);
  EXPECT_NEAR(report["f1"].get<double>(), (1 + 2.0 / 3) / 3, 1e-12);
  EXPECT_EQ(report["answered"]["questions"], 2);
  EXPECT_EQ(report["answered"]["exact_match"], 0.5);
  EXPECT_EQ(report["citations"]["count"], 3);
  EXPECT_NEAR(report["citations"]["precision"].get<double>(), 2.0 / 3, 1e-12);
  EXPECT_NEAR(report["citations"]["recall"].get<double>(), 1.0 / 6, 1e-12);
  EXPECT_NEAR(report["contains"].get<double>(), 2.0 / 3, 1e-12);
  EXPECT_EQ(report["answered"]["contains"], 1.0);
  EXPECT_FALSE(report.contains("abstention"));
}

TEST(AnswerMetrics, KeepsEveryQuestion) {
  std::vector<AskedQuestion> questions = {Answered("Slate.", 2, 1), {}};
  questions[0].id = "q1";
  questions[1].answerable = false;
  questions[1].gold = {"none of these"};
  const Json report = QuestionsReport(questions);
  ASSERT_EQ(report.size(), 2u);
  EXPECT_EQ(report[0]["id"], "q1");
  EXPECT_EQ(report[0]["exact_match"], 1.0);
  EXPECT_EQ(report[0]["right_citations"], 1);
  // What has no answer has no right one.
  EXPECT_TRUE(report[1]["f1"].is_null());
  EXPECT_TRUE(report[1]["relevant"].is_null());
}

TEST(AnswerMetrics, AbstentionIsJudgedByTheUnanswerable) {
  std::vector<AskedQuestion> questions(10);
  for (size_t i = 0; i < 4; ++i) questions[i].answerable = false;
  for (const size_t i : {0, 1, 2, 8}) questions[i].abstained = true;
  const Json got = AnswerReport(questions)["abstention"];
  EXPECT_EQ(got["unanswerable"], 4);
  EXPECT_EQ(got["abstained"], 4);
  EXPECT_EQ(got["precision"], 0.75);
  EXPECT_EQ(got["recall"], 0.75);
  EXPECT_EQ(got["f1"], 0.75);
}

TEST(AnswerMetrics, AShareOfNothingIsNull) {
  AskedQuestion one;
  one.answerable = false;
  one.answer = "sure";
  const Json report = AnswerReport({one});
  EXPECT_TRUE(report["exact_match"].is_null());
  EXPECT_TRUE(report["citations"]["precision"].is_null());
  EXPECT_TRUE(report["abstention"]["precision"].is_null());
  EXPECT_EQ(report["abstention"]["recall"], 0.0);
  EXPECT_EQ(report["abstention"]["f1"], 0.0);
}

}  // namespace
}  // namespace braid::services
