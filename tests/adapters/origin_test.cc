#include "services/adapters/origin.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace braid::services::adapters {
namespace {

bool Allowed(const http::Headers& headers, bool encrypted = false,
             const std::vector<std::string>& hosts = {}) {
  http::Request request;
  request.headers = headers;
  request.encrypted = encrypted;
  return CheckOrigin(request, hosts).ok();
}

TEST(OriginTest, WhoeverIsNoBrowserHasNoOrigin) {
  EXPECT_TRUE(Allowed({}));
  EXPECT_TRUE(Allowed({{"Host", "127.0.0.1:7413"}}));
  EXPECT_TRUE(Allowed({{"Host", "[::1]:7413"}}));
  EXPECT_TRUE(Allowed({{"Host", "localhost:7413"}}));
  EXPECT_TRUE(Allowed({{"Host", "braid.localhost"}}));
  EXPECT_TRUE(Allowed({{"Host", "10.0.0.7"}}));
}

TEST(OriginTest, PagesOfTheServerItself) {
  EXPECT_TRUE(Allowed(
      {{"Host", "127.0.0.1:7413"}, {"Origin", "http://127.0.0.1:7413"}}));
  EXPECT_TRUE(
      Allowed({{"Host", "LocalHost"}, {"Origin", "http://localhost:80"}}));
  EXPECT_TRUE(Allowed(
      {{"Host", "braid.example"}, {"Origin", "https://braid.example:443"}},
      /*encrypted=*/true));
}

TEST(OriginTest, PagesFromElsewhere) {
  for (const char* origin :
       {"http://evil.example", "https://evil.example", "null", "file://",
        "http://127.0.0.1", "http://127.0.0.1:7414", "http://localhost:7413",
        "http://127.0.0.1:7413.evil.example", "http://127.0.0.1:7413/x",
        "chrome-extension://127.0.0.1:7413", "127.0.0.1:7413",
        "http://127.0.0.1:7413,http://evil.example"}) {
    for (const bool key : {false, true}) {
      http::Headers headers = {{"Host", "127.0.0.1:7413"}, {"Origin", origin}};
      if (key) headers.emplace_back("Authorization", "Bearer x");
      EXPECT_FALSE(Allowed(headers)) << origin;
      EXPECT_FALSE(Allowed(headers, /*encrypted=*/true)) << origin;
    }
  }
  EXPECT_FALSE(Allowed({{"Origin", "http://127.0.0.1"}}));
}

// A page of evil.example, whose name now points here, is of one origin with
// this server as far as its browser knows.
TEST(OriginTest, NamesThatPointHereAreNotEnough) {
  const http::Headers rebound = {{"Host", "evil.example:7413"},
                                 {"Origin", "http://evil.example:7413"}};
  EXPECT_FALSE(Allowed(rebound));
  EXPECT_FALSE(Allowed({{"Host", "evil.example:7413"}}));
  EXPECT_FALSE(Allowed({{"Host", "127.0.0.1.evil.example"}}));
  EXPECT_FALSE(Allowed({{"Host", "notlocalhost"}}));
  EXPECT_FALSE(Allowed({{"Host", "localhost,evil.example"}}));
  // The browser has seen the certificate, or knows no key.
  EXPECT_TRUE(
      Allowed({{"Host", "braid.example"}, {"Origin", "https://braid.example"}},
              /*encrypted=*/true));
  EXPECT_TRUE(Allowed({{"Host", "braid:7413"}, {"Authorization", "Bearer x"}}));
  EXPECT_TRUE(Allowed({{"Host", "Braid:7413"}}, false, {"other", "braid"}));
  EXPECT_FALSE(Allowed({{"Host", "evil:7413"}}, false, {"other", "braid"}));
}

}  // namespace
}  // namespace braid::services::adapters
