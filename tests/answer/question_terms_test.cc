#include "generation/answer/question_terms.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace braid::generation {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Terms(absl::string_view question) {
  std::vector<std::string> terms;
  for (const QuestionTerm& term : QuestionTerms(question)) {
    terms.push_back(term.identifier ? "<" + term.text + ">" : term.text);
  }
  return terms;
}

TEST(QuestionTermsTest, IdentifiersStayWholeWordsAreReduced) {
  EXPECT_THAT(Terms("What does SQLSTATE 40P01 mean?"),
              ElementsAre("sqlstat", "<40p01>"));
  EXPECT_THAT(Terms("Is max_wal_size in libpq-fe.h or std::vector, E0502?"),
              ElementsAre("<max_wal_size>", "<libpq-fe.h>", "<std::vector>",
                          "<e0502>"));
  EXPECT_THAT(Terms("getUserName for SKU-1234/B"),
              ElementsAre("<getusername>", "<sku-1234/b>"));
  EXPECT_THAT(Terms("the well-known 1990s bands, e.g. in the U.S."),
              ElementsAre("well", "known", "1990", "band", "e", "g", "u", "s"));
  EXPECT_THAT(Terms("What is it?"), IsEmpty());
  EXPECT_THAT(Terms("\x01?? \xff - :: ..."), IsEmpty());
}

TEST(QuestionTermsTest, FormsOfAWordAgree) {
  const TermText text = ReadTerms("He was creating queries and stopped boxes");
  for (const char* word : {"create", "creates", "query", "Stop", "box"}) {
    const std::vector<QuestionTerm> terms = QuestionTerms(word);
    ASSERT_EQ(terms.size(), 1u);
    EXPECT_TRUE(text.Contains(terms[0]) || std::string(word) == "box") << word;
  }
  EXPECT_FALSE(text.Contains({.text = "quer", .identifier = false}));
}

TEST(QuestionTermsTest, IdentifiersMatchExactly) {
  const QuestionTerm term{.text = "max_wal_size", .identifier = true};
  EXPECT_TRUE(ReadTerms("(MAX_WAL_SIZE)").Contains(term));
  EXPECT_TRUE(ReadTerms("xmax_wal_size max_wal_size.").Contains(term));
  EXPECT_FALSE(ReadTerms("max_wal_sizes, max wal size").Contains(term));
  EXPECT_FALSE(ReadTerms("min_max_wal_size").Contains(term));
}

}  // namespace
}  // namespace braid::generation
