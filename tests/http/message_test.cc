#include "services/http/message.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/http/wire.h"

namespace braid::services::http {
namespace {

using ::testing::HasSubstr;

TEST(HttpMessageTest, HeadersAreFoundAndJoined) {
  const Request request = {
      .headers = {{"A", "1"}, {"b", "2"}, {"a", "3"}, {"Empty", ""}}};
  EXPECT_EQ(request.Header("a"), "1,3");
  EXPECT_EQ(request.Header("B"), "2");
  EXPECT_EQ(request.Header("empty"), "");
  EXPECT_EQ(request.Header("c"), "");
}

TEST(HttpMessageTest, DecodesPercentSigns) {
  EXPECT_EQ(PercentDecode("a%20b%2Fc%2fd+e"), "a b/c/d+e");
  EXPECT_EQ(PercentDecode("a%20b%2Fc%2f", /*keep_slashes=*/true), "a b%2Fc%2f");
  EXPECT_EQ(PercentDecode("100%"), "100%");
  EXPECT_EQ(PercentDecode("%4"), "%4");
  EXPECT_EQ(PercentDecode("%zz%41"), "%zzA");
  EXPECT_EQ(PercentDecode("%2541"), "%41");
  EXPECT_EQ(PercentDecode("%00"), std::string(1, '\0'));
}

TEST(HttpMessageTest, ParsesQueries) {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(ParseQuery(""), Fields());
  EXPECT_EQ(ParseQuery("a=1&&b&c=x%26y=z&a=+2"),
            (Fields{{"a", "1"}, {"b", ""}, {"c", "x&y=z"}, {"a", " 2"}}));
}

TEST(HttpMessageTest, AValueCannotEndItsHeader) {
  Reply reply;
  reply.headers = {{"X", "a\r\nSet-Cookie: b"}};
  EXPECT_THAT(WriteHead(reply, Framing::kLength, false),
              HasSubstr("X: a  Set-Cookie: b\r\n"));
}

}  // namespace
}  // namespace braid::services::http
