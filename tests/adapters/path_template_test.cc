#include "services/adapters/path_template.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace braid::services::adapters {
namespace {

using Variables = std::map<std::string, std::string>;

std::optional<Variables> Match(const char* path_template, const char* path) {
  const auto parsed = PathTemplate::Parse(path_template);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed->Match(path);
}

TEST(PathTemplateTest, Literals) {
  EXPECT_EQ(Match("/v1/operations", "/v1/operations"), Variables());
  for (const char* path :
       {"", "/", "/v1", "/v1/", "/v1/operations/", "//v1/operations",
        "/v1/operationsx", "v1/operations", "/v1/operations:list"}) {
    EXPECT_EQ(Match("/v1/operations", path), std::nullopt) << path;
  }
}

TEST(PathTemplateTest, OneSegment) {
  const char* const text = "/v1/{name=collections/*}";
  EXPECT_EQ(Match(text, "/v1/collections/docs"),
            (Variables{{"name", "collections/docs"}}));
  EXPECT_EQ(Match(text, "/v1/collections/a%20b%2Fc"),
            (Variables{{"name", "collections/a b/c"}}));
  for (const char* path : {"/v1/collections", "/v1/collections/",
                           "/v1/collections/a/b", "/v1/others/a"}) {
    EXPECT_EQ(Match(text, path), std::nullopt) << path;
  }
  EXPECT_EQ(Match("/v1/{id}", "/v1/7"), (Variables{{"id", "7"}}));
}

// google/api/http.proto: `%2F` stays in what several segments match.
TEST(PathTemplateTest, TheRest) {
  const char* const text = "/v1/{name=collections/*/documents/**}";
  EXPECT_EQ(Match(text, "/v1/collections/c/documents/a/b%20c/d.md"),
            (Variables{{"name", "collections/c/documents/a/b c/d.md"}}));
  EXPECT_EQ(Match(text, "/v1/collections/c/documents/a%2Fb"),
            (Variables{{"name", "collections/c/documents/a%2Fb"}}));
  EXPECT_EQ(Match(text, "/v1/collections/c/documents"), std::nullopt);
  EXPECT_EQ(Match(text, "/v1/collections/c/documents/"), std::nullopt);
  EXPECT_EQ(Match(text, "/v1/collections/c/documents/a//b"), std::nullopt);
}

TEST(PathTemplateTest, Verbs) {
  const char* const text = "/v1/{collection=collections/*}:search";
  EXPECT_EQ(Match(text, "/v1/collections/c:search"),
            (Variables{{"collection", "collections/c"}}));
  EXPECT_EQ(Match(text, "/v1/collections/a:b:search"),
            (Variables{{"collection", "collections/a:b"}}));
  for (const char* path :
       {"/v1/collections/c", "/v1/collections/c:Search",
        "/v1/collections/c:searchx", "/v1/collections/c%3Asearch",
        "/v1/collections/:search"}) {
    EXPECT_EQ(Match(text, path), std::nullopt) << path;
  }
  EXPECT_EQ(Match("/v1/server:verify", "/v1/server:verify"), Variables());
}

TEST(PathTemplateTest, SeveralVariables) {
  EXPECT_EQ(Match("/{a=x/*}/{b.c=*}", "/x/1/2"),
            (Variables{{"a", "x/1"}, {"b.c", "2"}}));
}

TEST(PathTemplateTest, RefusesWhatIsNone) {
  for (const char* text :
       {"", "v1", "/", "/v1/", "/v1//x", "/{a", "/{}", "/{=*}", "/{a=}",
        "/{a=**}/b", "/**/b", "/v1/x*", "/v1/{a=*}b", "/v1:", "/a}b"}) {
    EXPECT_FALSE(PathTemplate::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace braid::services::adapters
