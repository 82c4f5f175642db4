// TLS over the wire: who is let in, and what a renewed certificate does.
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "services/http/server.h"
#include "services/server/credentials.h"
#include "test_certificates.h"
#include "test_service.h"

namespace braid::services {
namespace {

using ::testing::HasSubstr;

class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        ::testing::TempDir() + "/braid_tls_test_" +
        ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    Write("server.pem", server_.Pem());
    Write("server.key", server_.key.Pem());
    Write("ca.pem", authority_.Pem());
  }
  void TearDown() override {
    service_.reset();
    std::filesystem::remove_all(directory_);
  }
  std::string Path(const std::string& name) const {
    return absl::StrCat(directory_, "/", name);
  }
  // As a whole, the way that certificates are renewed.
  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(Path(name + ".new")) << content;
    std::filesystem::rename(Path(name + ".new"), Path(name));
  }

  void Configure(Config* config) const {
    config->tls_certificate_file = Path("server.pem");
    config->tls_key_file = Path("server.key");
  }
  void Start(std::function<void(Config*)> configure = nullptr) {
    TestOptions options;
    options.address = "127.0.0.1:0";
    options.configure = [this, configure](Config* config) {
      Configure(config);
      if (configure) configure(config);
    };
    service_ = std::make_unique<TestService>(options);
  }

  // The code of a call that every authenticated caller may make.
  grpc::StatusCode Try(const TestCertificate& root,
                       const TestCertificate* client = nullptr) const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = root.Pem();
    if (client != nullptr) {
      options.pem_cert_chain = client->Pem();
      options.pem_private_key = client->key.Pem();
    }
    grpc::ChannelArguments arguments;
    // Channels to one address would share a connection, and its certificates.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return Call(grpc::CreateCustomChannel(service_->server().address(),
                                          grpc::SslCredentials(options),
                                          arguments));
  }
  static grpc::StatusCode Call(const std::shared_ptr<grpc::Channel>& channel) {
    const auto stub = v1::AdminService::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(10));
    v1::GetServerInfoResponse response;
    return stub->GetServerInfo(&context, {}, &response).error_code();
  }

  const TestCertificate authority_ = MakeAuthority("authority");
  const TestCertificate other_ = MakeAuthority("other authority");
  const TestCertificate server_ =
      Issue(authority_, "server", "DNS:localhost,IP:127.0.0.1");
  std::string directory_;
  std::unique_ptr<TestService> service_;
};

TEST_F(TlsTest, ServesThoseWhoTrustIt) {
  Start();
  EXPECT_EQ(Try(authority_), grpc::StatusCode::OK);
  EXPECT_EQ(Try(other_), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Call(grpc::CreateChannel(service_->server().address(),
                                     grpc::InsecureChannelCredentials())),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, ClientCertificatesAreVerified) {
  std::ofstream(Path("access.toml"))
      << "[[certificate]]\nname = \"spiffe://test/crawler\"\n"
         "grants = [{ role = \"reader\", collections = [\"*\"] }]\n";
  Start([this](Config* config) {
    config->tls_client_ca_file = Path("ca.pem");
    config->auth_access_file = Path("access.toml");
  });
  const TestCertificate known =
      Issue(authority_, "crawler", "URI:spiffe://test/crawler");
  const TestCertificate unknown =
      Issue(authority_, "guest", "URI:spiffe://test/guest");
  const TestCertificate expired = Issue(
      authority_, "crawler", "URI:spiffe://test/crawler", -absl::Minutes(1));
  const TestCertificate forged =
      Issue(other_, "crawler", "URI:spiffe://test/crawler");
  EXPECT_EQ(Try(authority_, &known), grpc::StatusCode::OK);
  EXPECT_EQ(Try(authority_, &unknown), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Try(authority_, &expired), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Try(authority_, &forged), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Try(authority_), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, OptionalCertificatesMayBeLeftOut) {
  Start([this](Config* config) {
    config->tls_client_ca_file = Path("ca.pem");
    config->tls_client_certificates = "optional";
  });
  const TestCertificate forged = Issue(other_, "crawler", "");
  EXPECT_EQ(Try(authority_), grpc::StatusCode::OK);
  EXPECT_EQ(Try(authority_, &forged), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, RenewedCertificatesAreUsed) {
  Start();
  ASSERT_EQ(Try(authority_), grpc::StatusCode::OK);
  ASSERT_NE(Try(other_), grpc::StatusCode::OK);
  const TestCertificate renewed =
      Issue(other_, "server", "DNS:localhost,IP:127.0.0.1");
  Write("server.key", renewed.key.Pem());
  Write("server.pem", renewed.Pem());
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (Try(other_) != grpc::StatusCode::OK && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_EQ(Try(other_), grpc::StatusCode::OK);
}

TEST_F(TlsTest, WrongFilesAreNamed) {
  const auto make = [&](const std::function<void(Config*)>& change) {
    Config config;
    Configure(&config);
    change(&config);
    return MakeServerCredentials(config).status().ToString();
  };
  EXPECT_EQ(make([](Config*) {}), "OK");
  EXPECT_THAT(make([](Config* c) { c->tls_certificate_file = "/nowhere"; }),
              HasSubstr("`tls.certificate_file`: /nowhere"));
  EXPECT_THAT(make([](Config* c) { c->tls_key_file = ""; }),
              HasSubstr("`tls.key_file` is missing"));
  EXPECT_THAT(make([](Config* c) { c->tls_certificate_file = ""; }),
              HasSubstr("`tls.certificate_file` is missing"));
  Write("other.key", other_.key.Pem());
  EXPECT_THAT(make([&](Config* c) { c->tls_key_file = Path("other.key"); }),
              HasSubstr("other.key cannot be read as the PEM key of"));
  Write("empty.pem", "");
  EXPECT_THAT(
      make([&](Config* c) { c->tls_client_ca_file = Path("empty.pem"); }),
      HasSubstr("empty.pem"));
}

TEST(ExposureTest, TheNetworkNeedsARule) {
  Config config;
  for (const char* local :
       {"127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/x"}) {
    EXPECT_TRUE(CheckExposure(config, local).ok()) << local;
  }
  for (const char* open : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "host:1"}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(CheckExposure(config, open)))
        << open;
  }
  config.auth_anonymous = "admin";
  EXPECT_TRUE(CheckExposure(config, "0.0.0.0:1").ok());
  config.auth_anonymous = "auto";
  config.auth_access_file = "x";
  EXPECT_TRUE(CheckExposure(config, "0.0.0.0:1").ok());
}

// An HTTPS server that is told to end while it reads new files: it once went on
// looking at them, and never ended.
TEST_F(TlsTest, AnHttpServerEndsWhileItReadsItsCertificate) {
  absl::Notification reading;
  http::ServerOptions options;
  options.address = "127.0.0.1:0";
  options.tls.emplace();
  options.tls->certificate_file = Path("server.pem");
  options.tls->key_file = Path("server.key");
  options.tls->on_reload = [&](const absl::Status&, absl::string_view) {
    reading.Notify();
    // Long enough for the server to be told.
    absl::SleepFor(absl::Milliseconds(300));
  };
  auto server = http::Server::Start(options, http::ServeRoutes({}));
  ASSERT_TRUE(server.ok()) << server.status();
  Write("server.pem", server_.Pem() + "\n");
  ASSERT_TRUE(reading.WaitForNotificationWithTimeout(absl::Seconds(30)));
  server->reset();
}

}  // namespace
}  // namespace braid::services
