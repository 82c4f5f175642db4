// Keys and TLS as an operator sets them up, with the binary alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "test_certificates.h"
#include "tests/e2e/braid_binary.h"

namespace braid::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kDocs = BRAID_SOURCE_DIR "/tests/data/docs";

TEST(Access, KeysOverTls) {
  const ScratchDirectory scratch;
  const services::TestCertificate authority =
      services::MakeAuthority("authority");
  const services::TestCertificate certificate =
      services::Issue(authority, "server", "IP:127.0.0.1");
  const std::string access = scratch / "access.toml";
  const auto create = [&](const std::string& name, const std::string& role) {
    const Output made =
        RunBraid({"keys", "create", name, "--file", access, "--role", role,
                  "--collection", "default", "--json"});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    return made.LastJson()["key"].get<std::string>();
  };
  const std::string reader = create("reader", "reader");
  const std::string writer = create("writer", "writer");
  EXPECT_THAT(ReadFile(access),
              AllOf(Not(HasSubstr(reader)), Not(HasSubstr(writer))));
  const Output twice = RunBraid({"keys", "create", "reader", "--file", access,
                                 "--collection", "default"});
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_THAT(twice.err, HasSubstr("is there twice"));
  const Output checked = RunBraid({"keys", "check", access, "--json"});
  EXPECT_EQ(checked.LastJson()["keys"], 2);

  const std::string server_config = scratch.Write(
      "server.toml", "[tls]\ncertificate_file = \"" +
                         scratch.Write("server.pem", certificate.Pem()) +
                         "\"\nkey_file = \"" +
                         scratch.Write("server.key", certificate.key.Pem()) +
                         "\"\n[auth]\naccess_file = \"" + access + "\"\n");
  ServerProcess server(scratch / "data", {"--config", server_config});
  ASSERT_FALSE(server.address().empty()) << server.process().Wait().err;
  const auto client = [&](const std::string& name, const std::string& key) {
    return scratch.Write(name + ".toml",
                         "address = \"" + server.address() +
                             "\"\n[client]\ntls = \"on\"\nca_file = \"" +
                             scratch.Write("ca.pem", authority.Pem()) +
                             "\"\napi_key_file = \"" +
                             scratch.Write(name + ".key", key + "\n") + "\"\n");
  };
  const std::string as_writer = client("writer", writer);
  const std::string as_reader = client("reader", reader);

  const Output denied = RunBraid({"ingest", kDocs, "--config", as_reader});
  EXPECT_EQ(denied.exit_code, 1) << denied.err;
  EXPECT_THAT(denied.err + denied.out, HasSubstr("role writer"));
  const Output ingested =
      RunBraid({"ingest", kDocs, "--config", as_writer, "--wait", "--json"});
  EXPECT_EQ(ingested.exit_code, 0) << ingested.err;
  const Output asked = RunBraid(
      {"ask", "What does E4417 mean?", "--config", as_reader, "--json"});
  ASSERT_EQ(asked.exit_code, 0) << asked.err;
  EXPECT_THAT(asked.LastJson()["answer"].get<std::string>(),
              HasSubstr("E4417"));
  const Output deleted =
      RunBraid({"collections", "delete", "default", "--config", as_writer});
  EXPECT_EQ(deleted.exit_code, 5) << deleted.err;
  const Output stranger =
      RunBraid({"search", "x", "--config", client("x", "braid_guess")});
  EXPECT_EQ(stranger.exit_code, 5) << stranger.err;
  const Output plain = RunBraid({"search", "x", "--address", server.address()});
  EXPECT_EQ(plain.exit_code, 4) << plain.err;
}

TEST(Access, AKeyDoesNotCrossTheNetworkInTheClear) {
  const ScratchDirectory scratch;
  const std::string config = scratch.Write(
      "client.toml", "[client]\napi_key_file = \"" +
                         scratch.Write("key", "braid_secret\n") + "\"\n");
  const Output refused = RunBraid(
      {"search", "x", "--config", config, "--address", "192.0.2.1:7410"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("in the clear"));
  EXPECT_THAT(refused.err, Not(HasSubstr("braid_secret")));
}

TEST(Access, TheNetworkNeedsARule) {
  const ScratchDirectory scratch;
  const Output refused =
      RunBraid({"serve", "--data", scratch / "data", "--address", "0.0.0.0:0"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("auth.access_file"));
}

}  // namespace
}  // namespace braid::testing
