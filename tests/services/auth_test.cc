// Who is let in: keys, tokens, grants, quotas, without a server.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/auth/access_file.h"
#include "services/auth/authenticator.h"
#include "services/auth/jwt.h"
#include "services/auth/quotas.h"
#include "services/auth/reader_names.h"
#include "test_certificates.h"

namespace braid::services::auth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(PrincipalTest, RolesIncludeThoseBelow) {
  const Principal writer{"key:w", {{Role::kWriter, "docs"}}};
  EXPECT_TRUE(writer.May(Role::kReader, "docs"));
  EXPECT_TRUE(writer.May(Role::kWriter, "docs"));
  EXPECT_FALSE(writer.May(Role::kAdmin, "docs"));
  EXPECT_FALSE(writer.May(Role::kReader, "docs2"));
  EXPECT_FALSE(writer.MayEverywhere(Role::kReader));
}

TEST(PrincipalTest, PatternsArePrefixes) {
  const Principal team{"key:t", {{Role::kReader, "team-*"}}};
  EXPECT_TRUE(team.May(Role::kReader, "team-a"));
  EXPECT_TRUE(team.May(Role::kReader, "team-"));
  EXPECT_FALSE(team.May(Role::kReader, "team"));
  EXPECT_FALSE(team.May(Role::kReader, "a-team-a"));
  EXPECT_FALSE(team.MayEverywhere(Role::kReader));
  const Principal all{"key:a", {{Role::kReader, "*"}}};
  EXPECT_TRUE(all.May(Role::kReader, "anything"));
  EXPECT_TRUE(all.MayEverywhere(Role::kReader));
}

TEST(ReaderNamesTest, AreThoseThatACallerCanHave) {
  for (const char* name : {"*", "anonymous", "key:a", "jwt:a b", "group:*",
                           "certificate:spiffe://prod/crawler"}) {
    EXPECT_TRUE(IsReaderName(name)) << name;
  }
  for (const char* name : {"", "a", "key:", "keys:a", "Key:a",
                           "anonymous:", "**", " *", "group:a\n", "jwt:\xFF"}) {
    EXPECT_FALSE(IsReaderName(name)) << name;
  }
}

TEST(ReaderNamesTest, WritersSeeEverythingAndReadersWhatNamesThem) {
  const Principal principal{"key:a",
                            {{Role::kReader, "*"}, {Role::kWriter, "mine-*"}},
                            {"staff", "b"}};
  EXPECT_TRUE(ViewerOf(principal, "mine-1").sees_all());
  const retrieval::Viewer viewer = ViewerOf(principal, "docs");
  EXPECT_FALSE(viewer.sees_all());
  EXPECT_THAT(viewer.names(),
              ElementsAre("*", "group:b", "group:staff", "key:a"));
  EXPECT_THAT(ViewerOf({"anonymous", {}}, "docs").names(),
              ElementsAre("*", "anonymous"));
}

constexpr char kDigest[] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(AccessFileTest, GroupsGiveTheirGrants) {
  const auto policy = ParseAccess(
      absl::StrCat("[[key]]\nname = \"ci\"\nsha256 = \"", kDigest,
                   "\"\nexpires = 2030-01-01T02:00:00+02:00\n"
                   "groups = [\"staff\"]\n"
                   "grants = [{ role = \"writer\", collections = [\"a\"] }]\n"
                   "[[group]]\nname = \"staff\"\n"
                   "grants = [{ role = \"reader\", collections = [\"*\"] }]\n"),
      "access.toml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  const KnownKey& key = policy->keys.at(kDigest);
  EXPECT_EQ(key.principal.name, "key:ci");
  EXPECT_TRUE(key.principal.May(Role::kWriter, "a"));
  EXPECT_THAT(key.principal.groups, ElementsAre("staff"));
  EXPECT_TRUE(key.principal.May(Role::kReader, "b"));
  EXPECT_FALSE(key.principal.May(Role::kWriter, "b"));
  EXPECT_EQ(key.expires, absl::FromCivil(absl::CivilSecond(2030, 1, 1, 0, 0, 0),
                                         absl::UTCTimeZone()));
}

TEST(AccessFileTest, NamesTheLineOfEachMistake) {
  const std::string start =
      absl::StrCat("[[key]]\nname = \"a\"\nsha256 = \"", kDigest, "\"\n");
  const struct {
    std::string content;
    const char* message;
  } cases[] = {
      {"[[keys]]\nname = \"a\"\n", "unknown key `keys`"},
      {start + "rights = 1\n", ":4: unknown key `rights`"},
      {"[[key]]\nname = \"a\"\nsha256 = \"xyz\"\n", "64 lower-case hex"},
      {"[[key]]\nsha256 = 1\n", "`name` must be there"},
      {start + "groups = [\"x\"]\n", "there is no group `x`"},
      {start + "grants = [{ role = \"root\", collections = [\"a\"] }]\n",
       "reader, writer, admin"},
      {start + "grants = [{ role = \"reader\" }]\n", "needs `collections`"},
      {start + "grants = [{ role = \"reader\", collections = [\"a*b\"] }]\n",
       "a prefix and `*`"},
      {start + "grants = [{ role = \"reader\", collections = [\"\"] }]\n",
       "a prefix and `*`"},
      {start + "expires = \"tomorrow\"\n", "must be a time"},
      {start + start, "is there twice"},
      {"key = 1\n", "write [[key]]"},
      {"[[key]\n", "access.toml:1"},
  };
  for (const auto& c : cases) {
    const auto policy = ParseAccess(c.content, "access.toml");
    ASSERT_FALSE(policy.ok()) << c.content;
    EXPECT_THAT(std::string(policy.status().message()),
                AllOf(HasSubstr("access.toml:"), HasSubstr(c.message)));
  }
}

class JwtTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    key_ = new TestKey();
    other_ = new TestKey();
  }
  void SetUp() override {
    auto keys =
        JwtKeys::Parse(absl::StrCat(R"({"keys":[)", key_->Jwk("one"), "]}"));
    ASSERT_TRUE(keys.ok()) << keys.status();
    keys_ = *std::move(keys);
    rules_.issuer = "https://issuer.test";
    rules_.audience = "braid";
  }
  static std::string Claims(const std::string& more = "") {
    return absl::StrCat(
        R"({"sub":"alice","iss":"https://issuer.test","aud":"braid",)",
        R"("exp":2000000000,"groups":["staff","x"])", more, "}");
  }
  absl::StatusOr<JwtClaims> Verify(const std::string& token) {
    return keys_->Verify(token, rules_, now_);
  }
  const std::string header_ = R"({"alg":"RS256","kid":"one"})";
  static TestKey* key_;
  static TestKey* other_;
  std::unique_ptr<JwtKeys> keys_;
  JwtRules rules_;
  absl::Time now_ = absl::FromUnixSeconds(1900000000);
};
TestKey* JwtTest::key_ = nullptr;
TestKey* JwtTest::other_ = nullptr;

TEST_F(JwtTest, TakesWhatOpenSslHasSigned) {
  const auto claims = Verify(key_->Sign(header_, Claims()));
  ASSERT_TRUE(claims.ok()) << claims.status();
  EXPECT_EQ(claims->subject, "alice");
  EXPECT_THAT(claims->groups, ::testing::ElementsAre("staff", "x"));
}

TEST_F(JwtTest, TimesAreOfTheGivenClock) {
  const std::string token = key_->Sign(header_, Claims(R"(,"nbf":1800000000)"));
  EXPECT_TRUE(Verify(token).ok());
  now_ = absl::FromUnixSeconds(2000000029);
  EXPECT_TRUE(Verify(token).ok());
  now_ = absl::FromUnixSeconds(2000000031);
  EXPECT_TRUE(absl::IsUnauthenticated(Verify(token).status()));
  now_ = absl::FromUnixSeconds(1799999969);
  EXPECT_TRUE(absl::IsUnauthenticated(Verify(token).status()));
}

TEST_F(JwtTest, RefusesEverythingElse) {
  const std::string good = key_->Sign(header_, Claims());
  const std::string public_key = key_->Jwk("one");
  const auto replaced = [](const char* from, const char* to) {
    return absl::StrReplaceAll(Claims(), {{from, to}});
  };
  const struct {
    const char* what;
    std::string token;
  } cases[] = {
      {"nothing", ""},
      {"not a token", "a.b.c"},
      {"alg none", Base64Url(R"({"alg":"none","kid":"one"})") + "." +
                       Base64Url(Claims()) + "."},
      {"alg None, signed", key_->Sign(R"({"alg":"None"})", Claims())},
      {"the public key as a secret",
       SignHmac(R"({"alg":"HS256","kid":"one"})", Claims(), public_key)},
      {"another key", other_->Sign(header_, Claims())},
      {"an unknown key id",
       key_->Sign(R"({"alg":"RS256","kid":"two"})", Claims())},
      {"another algorithm of the family",
       key_->Sign(R"({"alg":"RS512","kid":"one"})", Claims())},
      {"another family",
       key_->Sign(R"({"alg":"ES256","kid":"one"})", Claims())},
      {"another audience",
       key_->Sign(header_, replaced(R"("braid")", R"("other")"))},
      {"no audience", key_->Sign(header_, replaced(R"("aud":"braid",)", ""))},
      {"another issuer",
       key_->Sign(header_, replaced("issuer.test", "evil.test"))},
      {"no issuer",
       key_->Sign(header_, replaced(R"("iss":"https://issuer.test",)", ""))},
      {"no subject", key_->Sign(header_, replaced(R"("sub":"alice",)", ""))},
      {"no expiry", key_->Sign(header_, replaced(R"("exp":2000000000,)", ""))},
      {"an expiry that is no number",
       key_->Sign(header_, replaced("2000000000", R"("never")"))},
      {"a subject for the log",
       key_->Sign(header_, replaced("alice", R"(a\nb)"))},
      {"groups that are no list",
       key_->Sign(header_, replaced(R"(["staff","x"])", R"("staff")"))},
      {"a changed payload", good.substr(0, good.find('.') + 1) +
                                Base64Url(replaced("alice", "root")) +
                                good.substr(good.rfind('.'))},
      {"a cut signature", good.substr(0, good.size() - 8)},
      {"no signature", good.substr(0, good.rfind('.') + 1)},
  };
  for (const auto& c : cases) {
    const auto claims = Verify(c.token);
    EXPECT_TRUE(absl::IsUnauthenticated(claims.status()))
        << c.what << ": " << claims.status();
    if (!c.token.empty()) {
      EXPECT_THAT(std::string(claims.status().message()),
                  Not(HasSubstr(c.token)));
    }
  }
  EXPECT_TRUE(keys_->LacksKeyOf(
      key_->Sign(R"({"alg":"RS256","kid":"two"})", Claims())));
  EXPECT_FALSE(keys_->LacksKeyOf(good));
}

TEST(JwtKeysTest, WantsAPublicKeyForSignatures) {
  for (const char* set :
       {"", "{}", R"({"keys":[]})",
        R"({"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]})",
        R"({"keys":[{"kty":"new","kid":"a"}]})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(JwtKeys::Parse(set).status())) << set;
  }
}

class AuthenticatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "/braid_access_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    key_ = *MakeKey();
  }
  void TearDown() override { std::filesystem::remove(path_); }
  void Write(const std::string& more = "") {
    std::ofstream(path_) << "[[key]]\nname = \"k\"\nsha256 = \""
                         << *HashKey(key_) << "\"\n"
                         << "grants = [{ role = \"reader\", collections = "
                            "[\"c\"] }]\n"
                         << more;
  }
  absl::StatusOr<std::unique_ptr<Authenticator>> Create() {
    AuthOptions options;
    options.access_file = path_;
    options.file_interval = absl::Milliseconds(20);
    options.clock = [this] { return now_; };
    options.on_reload = [this](const absl::Status& status, absl::string_view) {
      ++(status.ok() ? used_ : refused_);
    };
    return Authenticator::Create(options);
  }
  static bool Eventually(const std::function<bool()>& holds) {
    const absl::Time end = absl::Now() + absl::Seconds(10);
    while (!holds()) {
      if (absl::Now() > end) return false;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }
  std::string path_;
  std::string key_;
  absl::Time now_ = absl::FromUnixSeconds(1900000000);
  std::atomic<int> used_ = 0;
  std::atomic<int> refused_ = 0;
};

TEST_F(AuthenticatorTest, KnowsKeys) {
  Write();
  const auto made = Create();
  ASSERT_TRUE(made.ok()) << made.status();
  Authenticator& authenticator = **made;
  for (const char* scheme : {"Bearer ", "bearer "}) {
    const std::string header = scheme + key_;
    const auto principal = authenticator.Authenticate({header, {}});
    ASSERT_TRUE(principal.ok()) << principal.status();
    EXPECT_EQ(principal->name, "key:k");
  }
  const std::string cut = "Bearer " + key_.substr(0, key_.size() - 1);
  const std::string long_one = "Bearer " + std::string(20000, 'a');
  for (const std::string& header :
       {std::string(), key_, "Basic " + key_, std::string("Bearer "), cut,
        long_one, *HashKey(key_), "Bearer " + *HashKey(key_)}) {
    EXPECT_TRUE(absl::IsUnauthenticated(
        authenticator.Authenticate({header, {}}).status()))
        << header;
  }
}

TEST_F(AuthenticatorTest, KeysExpire) {
  std::ofstream(path_) << "[[key]]\nname = \"k\"\nsha256 = \"" << *HashKey(key_)
                       << "\"\nexpires = 2030-03-17T17:46:41Z\n";
  const auto made = Create();
  ASSERT_TRUE(made.ok()) << made.status();
  const std::string header = "Bearer " + key_;
  EXPECT_TRUE((*made)->Authenticate({header, {}}).ok());
  now_ += absl::Seconds(1);
  EXPECT_TRUE(
      absl::IsUnauthenticated((*made)->Authenticate({header, {}}).status()));
}

TEST_F(AuthenticatorTest, FollowsTheFile) {
  Write();
  const auto made = Create();
  ASSERT_TRUE(made.ok()) << made.status();
  const std::string header = "Bearer " + key_;
  // What cannot be read is told and changes nothing.
  Write("[[key\n");
  ASSERT_TRUE(Eventually([&] { return refused_ > 0; }));
  EXPECT_TRUE((*made)->Authenticate({header, {}}).ok());
  std::ofstream(path_) << "# nobody\n";
  ASSERT_TRUE(Eventually([&] {
    return !(*made)->Authenticate({header, {}}).ok();
  }));
  EXPECT_GT(used_, 0);
}

TEST_F(AuthenticatorTest, CertificatesByTheirNames) {
  Write(
      "[[certificate]]\nname = \"spiffe://prod/a\"\n"
      "grants = [{ role = \"writer\", collections = [\"c\"] }]\n");
  const auto made = Create();
  ASSERT_TRUE(made.ok()) << made.status();
  const auto known = (*made)->Authenticate({"", {"other", "spiffe://prod/a"}});
  ASSERT_TRUE(known.ok()) << known.status();
  EXPECT_EQ(known->name, "certificate:spiffe://prod/a");
  EXPECT_FALSE((*made)->Authenticate({"", {"spiffe://prod/b"}}).ok());
  // A wrong key is not made good by a certificate.
  EXPECT_FALSE(
      (*made)->Authenticate({"Bearer braid_x", {"spiffe://prod/a"}}).ok());
}

TEST(AuthenticatorFilesTest, AreNamedWhenTheyAreWrong) {
  AuthOptions options;
  options.access_file = "/nowhere/access.toml";
  EXPECT_THAT(Authenticator::Create(options).status().ToString(),
              HasSubstr("/nowhere/access.toml"));
  options.access_file.clear();
  options.jwks = "http://issuer.test/keys";
  EXPECT_THAT(Authenticator::Create(options).status().ToString(),
              HasSubstr("https"));
}

TEST(KeyTest, AreRandomAndHashAsSha256Does) {
  EXPECT_NE(*MakeKey(), *MakeKey());
  // FIPS 180-2, B.1.
  EXPECT_EQ(*HashKey("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(QuotasTest, CountCallsInFlight) {
  Quotas quotas({.max_in_flight = 2});
  const std::chrono::steady_clock::time_point now{};
  EXPECT_EQ(quotas.Begin("a", now), absl::ZeroDuration());
  EXPECT_EQ(quotas.Begin("a", now), absl::ZeroDuration());
  EXPECT_GT(quotas.Begin("a", now), absl::ZeroDuration());
  EXPECT_EQ(quotas.Begin("b", now), absl::ZeroDuration());
  quotas.End("a");
  EXPECT_EQ(quotas.Begin("a", now), absl::ZeroDuration());
}

TEST(QuotasTest, TheBucketFillsWithTime) {
  Quotas quotas({.calls_per_second = 4});
  std::chrono::steady_clock::time_point now{};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(quotas.Begin("a", now), absl::ZeroDuration());
  }
  EXPECT_EQ(quotas.Begin("a", now), absl::Milliseconds(250));
  now += std::chrono::milliseconds(250);
  EXPECT_EQ(quotas.Begin("a", now), absl::ZeroDuration());
  EXPECT_GT(quotas.Begin("a", now), absl::ZeroDuration());
  // A clock that stands still or goes back gives nothing away.
  EXPECT_GT(quotas.Begin("a", now - std::chrono::hours(1)),
            absl::ZeroDuration());
}

TEST(QuotasTest, IdleNamesAreForgotten) {
  Quotas quotas({.calls_per_second = 10});
  std::chrono::steady_clock::time_point now{};
  for (int i = 0; i < 20000; ++i) {
    const std::string name = absl::StrCat("jwt:", i);
    ASSERT_EQ(quotas.Begin(name, now), absl::ZeroDuration());
    quotas.End(name);
    now += std::chrono::milliseconds(10);
  }
  EXPECT_LT(quotas.size(), 2000u);
}

}  // namespace
}  // namespace braid::services::auth
