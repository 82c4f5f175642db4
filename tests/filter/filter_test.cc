#include "retrieval/filter/filter.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace braid::retrieval {
namespace {

using ::testing::HasSubstr;

DocumentInfo TestDocument() {
  DocumentInfo document;
  document.id = "guide/chapter one.html";
  document.title = "The Guide";
  document.media_type = "text/html";
  document.metadata = {
      {"a", true},
      {"b", false},
      {"year", 2020.0},
      {"half", -0.5},
      {"lang", std::string("en-GB")},
      {"number text", std::string("42")},
      {"yes", std::string("true")},
      {"star", std::string("a*")},
      {"tags", std::vector<std::string>{"red", "dark blue", "2"}},
      {"none", std::vector<std::string>{}},
      {"title", std::string("of the metadata")},
      {"os.name", std::string("linux")},
  };
  return document;
}

struct Case {
  const char* filter;
  bool matches;
};

TEST(FilterTest, Evaluates) {
  const Case cases[] = {
      {"", true},
      {"  \t\n", true},
      // Booleans.
      {"a = true", true},
      {"a=true", true},
      {"a = false", false},
      {"a != false", true},
      {"a : true", true},
      {"a > false", false},
      {"a = \"true\"", false},
      {"yes = true", true},
      // Numbers.
      {"year = 2020", true},
      {"year = 2020.0", true},
      {"year = 2.02e3", true},
      {"year != 2020", false},
      {"year > 2019", true},
      {"year >= 2020", true},
      {"year < 2020", false},
      {"year <= 2020", true},
      {"year : 2020", true},
      {"year = \"2020\"", false},
      {"year = twenty", false},
      {"year != twenty", false},
      {"year > nan", false},
      {"year = 0x7E4", false},
      {"half = -0.5", true},
      {"half > -1", true},
      // Strings.
      {"lang = en-GB", true},
      {"lang = \"en-GB\"", true},
      {"lang = 'en-GB'", true},
      {"lang = EN-gb", false},
      {"lang = en*", true},
      {"lang = \"en*\"", true},
      {"lang = *GB", true},
      {"lang = *n-G*", true},
      {"lang = *", true},
      {"lang = de*", false},
      {"lang != en*", false},
      {"lang != de", true},
      {"lang : en", true},
      {"lang : n-", true},
      {"lang : n*", false},
      {"lang < f", true},
      {"lang >= en-GC", false},
      {"\"number text\" = 42", true},
      {"\"number text\" = \"42\"", true},
      {"star = \"a\\*\"", true},
      {"lang = \"en\\*\"", false},
      // Lists.
      {"tags:red", true},
      {"tags:\"dark blue\"", true},
      {"tags:dark*", true},
      {"tags:dark", false},
      {"tags:2", true},
      {"tags = red", false},
      {"tags != red", false},
      {"tags:*", true},
      {"none:*", true},
      {"none:x", false},
      // Presence and absence.
      {"year:*", true},
      {"absent:*", false},
      {"absent = 1", false},
      {"absent != 1", false},
      {"NOT absent = 1", true},
      {"-absent:*", true},
      // Names.
      {"document_id = \"guide/chapter one.html\"", true},
      {"document_id = guide/*", true},
      {"title = \"The Guide\"", true},
      {"metadata.title = \"of the metadata\"", true},
      {"metadata.lang = en-GB", true},
      {"metadata.\"number text\" = 42", true},
      {"os.name = linux", true},
      {"\"os\".\"name\" = linux", true},
      {"media_type = text/html", true},
      // A value alone.
      {"Guide", true},
      {"linux", true},
      {"\"dark blue\"", true},
      {"2020", true},
      {"nowhere", false},
      {"-nowhere", true},
      // The rules of AIP-160: "a b AND c AND d" is "(a b) AND c AND d"; OR
      // binds tighter than AND: "a AND b OR c" is "a AND (b OR c)".
      {"b = true AND a = true OR a = true", false},
      {"(b = true AND a = true) OR a = true", true},
      {"a = true OR a = true AND b = true", false},
      {"a = true AND b = true OR year = 2020", true},
      {"a = true year = 2020", true},
      {"a = true b = true", false},
      {"a = true b = true OR year = 2020", true},
      {"NOT a = true OR year = 2020", true},
      {"NOT (a = true OR year = 2020)", false},
      {"NOT(b = true)", true},
      {"-(b = true) AND -b = true", true},
      {"((((a = true))))", true},
      {"( a = true )( year = 2020 )", true},
      {"a = true\nAND\tyear = 2020", true},
      // Lower case is no keyword.
      {"lang = en-GB or", false},
      {"Guide and", false},
  };
  const DocumentInfo document = TestDocument();
  for (const Case& c : cases) {
    const absl::StatusOr<Filter> filter = Filter::Parse(c.filter);
    ASSERT_TRUE(filter.ok()) << c.filter << ": " << filter.status();
    EXPECT_EQ(filter->Matches(document), c.matches) << c.filter;
  }
}

struct BadCase {
  const char* filter;
  const char* message;
};

TEST(FilterTest, RefusesWithThePosition) {
  const BadCase cases[] = {
      {"a =", "expected a value, found the end, at byte 3"},
      {"a = true AND", "at byte 12"},
      {"AND a = 1", "found a keyword at byte 0"},
      {"a = 1 OR OR b = 1", "found a keyword at byte 9"},
      {"NOT NOT a = 1", "found a keyword at byte 4"},
      {"- a = 1", "at byte 1"},
      {"--a = 1", "found - at byte 1"},
      {"(a = 1", "there is no ) to the ( at byte 0"},
      {"a = 1)", "there is no ( to this ) at byte 5"},
      {"()", "expected a field or a value at byte 1"},
      {"a = \"open", "there is no end to the quote at byte 4"},
      {"a = \"\\", "there is no end to the quote at byte 4"},
      {"a = \"\\x\"", "unknown escape"},
      {"a == 1", "expected a value at byte 3"},
      {"a = (1 OR 2)", "expected a value at byte 4"},
      {"= 1", "at byte 0"},
      {"\"\" = 1", "has no name at byte 4"},
      {"f(x)", "functions are not supported at byte 1"},
      {"a = 1, b = 2", "at byte 5"},
      {"a = b\x01", "at byte 5"},
      {"a = http://x", "at byte 8"},
  };
  for (const BadCase& c : cases) {
    const absl::Status status = Filter::Parse(c.filter).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << c.filter << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message))
        << c.filter;
  }
  EXPECT_FALSE(Filter::Parse(absl::string_view("a = \0", 5)).ok());
}

TEST(FilterTest, KeepsItsLimits) {
  const auto repeat = [](absl::string_view text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) absl::StrAppend(&all, text);
    return all;
  };
  const DocumentInfo document = TestDocument();
  const auto deepest = Filter::Parse(repeat("(", 50) + "a:*" + repeat(")", 50));
  ASSERT_TRUE(deepest.ok()) << deepest.status();
  EXPECT_TRUE(deepest->Matches(document));
  EXPECT_THAT(
      std::string(Filter::Parse(repeat("-(", 51) + "a:*" + repeat(")", 51))
                      .status()
                      .message()),
      HasSubstr("levels of parentheses"));
  // Parentheses side by side are not nested.
  EXPECT_TRUE(Filter::Parse(repeat("(a:*)", 900)).ok());
  EXPECT_TRUE(Filter::Parse(repeat("a:* ", 1000)).ok());
  EXPECT_THAT(
      std::string(Filter::Parse(repeat("a:* ", 1001)).status().message()),
      HasSubstr("more than 1000 terms"));
  EXPECT_FALSE(Filter::Parse(repeat("(", 16000)).ok());
  EXPECT_TRUE(Filter::Parse("a = " + repeat("x", 16380)).ok());
  EXPECT_THAT(
      std::string(
          Filter::Parse("a = " + repeat("x", 16381)).status().message()),
      HasSubstr("16385 bytes"));
}

// Any bytes either parse or are refused; a parsed filter always evaluates.
TEST(FilterTest, SurvivesRandomText) {
  const uint64_t seed = std::random_device()();
  printf("seed %lu\n", static_cast<unsigned long>(seed));
  std::mt19937_64 random(seed);
  const std::vector<std::string> pieces = {
      "a",  "year", "tags", "AND ", "OR ", "NOT ", "-",  "(",    ")",   "=",
      "!=", "<=",   ":",    "*",    "\"",  "'",    "\\", ".",    " ",   "2020",
      "x",  "true", ",",    "\xFF", "\n",  "ä",    "!",  "lang", "en*", "\x7F"};
  const DocumentInfo document = TestDocument();
  int parsed = 0;
  for (int i = 0; i < 100000; ++i) {
    std::string text;
    for (uint64_t k = random() % 12; k > 0; --k) {
      text += pieces[random() % pieces.size()];
    }
    const absl::StatusOr<Filter> filter = Filter::Parse(text);
    if (!filter.ok()) {
      ASSERT_TRUE(absl::IsInvalidArgument(filter.status()));
      continue;
    }
    ++parsed;
    // Negating a whole filter must always flip it.
    const absl::StatusOr<Filter> negated =
        Filter::Parse(absl::StrCat("NOT (", text, ")"));
    if (text.find_first_not_of(" \n") == std::string::npos) continue;
    ASSERT_TRUE(negated.ok()) << text << negated.status();
    ASSERT_NE(filter->Matches(document), negated->Matches(document)) << text;
  }
  EXPECT_GT(parsed, 1000);
}

}  // namespace
}  // namespace braid::retrieval
