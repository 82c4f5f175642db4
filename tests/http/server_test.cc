#include "services/http/server.h"

#include <httplib.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "raw_client.h"

namespace braid::services::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class HttpServerTest : public ::testing::Test {
 protected:
  static ServerOptions Options() {
    return {.address = "127.0.0.1:0",
            .max_connections = 16,
            .max_head_bytes = 16 << 10,
            .head_timeout = absl::Seconds(2),
            .write_timeout = absl::Seconds(10)};
  }
  void Start(const ServerOptions& options = Options()) {
    auto server = Server::Start(
        options,
        ServeRoutes({{"/hello",
                      [this] {
                        ++calls_;
                        return Reply{.body = "hello\n"};
                      }},
                     {"/long",
                      [] { return Reply{.body = std::string(64 << 20, 'x')}; }},
                     {"/broken",
                      []() -> Reply { throw std::runtime_error("secret"); }}}));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    ASSERT_TRUE(absl::SimpleAtoi(
        server_->address().substr(server_->address().rfind(':') + 1), &port_));
    ASSERT_GT(port_, 0);
  }
  std::string Ask(const std::string& request) const {
    const RawClient client(port_);
    client.Send(request);
    return client.Receive();
  }

  std::atomic<int> calls_ = 0;
  std::unique_ptr<Server> server_;
  int port_ = 0;
};

TEST_F(HttpServerTest, AnswersOverAClientLibrary) {
  Start();
  httplib::Client client("127.0.0.1", port_);
  auto reply = client.Get("/hello?name=x");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->body, "hello\n");
  EXPECT_EQ(reply->get_header_value("Content-Type"),
            "text/plain; charset=utf-8");
  auto head = client.Head("/hello");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->body, "");
  EXPECT_EQ(head->get_header_value("Content-Length"), "6");
}

TEST_F(HttpServerTest, RefusesOtherPathsAndMethods) {
  Start();
  httplib::Client client("127.0.0.1", port_);
  EXPECT_EQ(client.Get("/")->status, 404);
  EXPECT_EQ(client.Get("/hello/")->status, 404);
  EXPECT_EQ(client.Get("/../etc/passwd")->status, 404);
  auto posted = client.Post("/hello", std::string(100, 'x'), "text/plain");
  ASSERT_TRUE(posted);
  EXPECT_EQ(posted->status, 405);
  EXPECT_EQ(posted->get_header_value("Allow"), "GET, HEAD");
  EXPECT_EQ(client.Delete("/hello")->status, 405);
  EXPECT_EQ(client.Post("/none")->status, 404);
  EXPECT_EQ(calls_, 0);
}

TEST_F(HttpServerTest, AnExceptionSaysNothing) {
  Start();
  httplib::Client client("127.0.0.1", port_);
  auto reply = client.Get("/broken");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 500);
  EXPECT_EQ(reply->body, "internal error\n");
  for (const auto& [name, value] : reply->headers) {
    EXPECT_THAT(value, Not(HasSubstr("secret"))) << name;
  }
}

TEST_F(HttpServerTest, AHeadThatIsTooLongIsRefused) {
  Start();
  // Neither ends its line: what counts is what has come.
  EXPECT_THAT(Ask("GET /hello HTTP/1.1\r\nX: " + std::string(20 << 10, 'a')),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(Ask("GET /" + std::string(20 << 10, 'a')),
              StartsWith("HTTP/1.1 431"));
  std::string many = "GET /hello HTTP/1.1\r\n";
  for (int i = 0; i < 4000; ++i) absl::StrAppend(&many, "a:b\r\n");
  EXPECT_THAT(Ask(many + "\r\n"), StartsWith("HTTP/1.1 431"));
  EXPECT_EQ(calls_, 0);
}

// Whatever of this the library takes, it answers or closes, and lives.
TEST_F(HttpServerTest, SurvivesWhatIsNoRequest) {
  Start();
  const std::string kBad[] = {
      "\r\n\r\n",
      "GET\r\n\r\n",
      "GET /hello\r\n\r\n",
      "GET  /hello HTTP/1.1\r\n\r\n",
      "GET /hello HTTP/9.9\r\n\r\n",
      "get /hello HTTP/1.1\r\n\r\n",
      "GET /hello HTTP/1.1\r\n: no name\r\n\r\n",
      "GET /hello HTTP/1.1\r\nno colon\r\n\r\n",
      std::string("GET /hel\0lo HTTP/1.1\r\n\r\n", 24),
      "GET /%00%ff%zz HTTP/1.1\r\n\r\n",
      "GET /hello HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "GET /hello HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "POST /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
      "POST /hello HTTP/1.1\r\nExpect: 100-continue\r\n"
      "Content-Length: 4\r\n\r\n",
      "\x16\x03\x01\x02\r\n\r\n",
      std::string(1000, '\xff') + "\r\n\r\n",
  };
  for (const std::string& bad : kBad) {
    EXPECT_THAT(Ask(bad), Not(HasSubstr("200 OK\r\n\r\nhello"))) << bad;
  }
  httplib::Client client("127.0.0.1", port_);
  EXPECT_EQ(client.Get("/hello")->status, 200);
}

// The library would match the header with a regular expression that recurses
// once or more for each byte, and send the reply as often as there are ranges.
TEST_F(HttpServerTest, RangesAreIgnored) {
  Start();
  std::string ranges = "bytes=0-";
  // Longer lines than this the library refuses.
  while (ranges.size() < 8000) ranges += ",0-";
  for (const char* name : {"Range", "rAnGe"}) {
    const std::string reply = Ask(absl::StrCat("GET /hello HTTP/1.1\r\n", name,
                                               ": ", ranges, "\r\n\r\n"));
    EXPECT_THAT(reply, StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(reply, ::testing::EndsWith("\r\n\r\nhello\n"));
  }
}

TEST_F(HttpServerTest, ASlowClientIsCutOffAndHoldsUpNobody) {
  ServerOptions options = Options();
  options.max_connections = 2;
  options.head_timeout = absl::Milliseconds(300);
  Start(options);
  // One more than there are threads, none of which says anything.
  const RawClient silent[] = {RawClient(port_), RawClient(port_),
                              RawClient(port_)};
  const absl::Time start = absl::Now();
  const RawClient dripping(port_);
  std::thread drip([&] {
    for (int i = 0; i < 40 && dripping.Send("G"); ++i) {
      absl::SleepFor(absl::Milliseconds(50));
    }
  });
  httplib::Client client("127.0.0.1", port_);
  auto reply = client.Get("/hello");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 200);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_THAT(dripping.Receive(), StartsWith("HTTP/1.1 408"));
  for (const RawClient& one : silent) {
    EXPECT_THAT(one.Receive(), StartsWith("HTTP/1.1 408"));
  }
  drip.join();
}

TEST_F(HttpServerTest, AClientThatDoesNotReadIsCutOff) {
  ServerOptions options = Options();
  options.max_connections = 1;
  options.write_timeout = absl::Milliseconds(300);
  Start(options);
  const RawClient deaf(port_);
  ASSERT_TRUE(deaf.Send("GET /long HTTP/1.1\r\n\r\n"));
  httplib::Client client("127.0.0.1", port_);
  auto reply = client.Get("/hello");  // waits for the only thread
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 200);
}

TEST_F(HttpServerTest, EndsAtOnceWhateverIsOpen) {
  ServerOptions options = Options();
  options.max_connections = 1;
  options.head_timeout = absl::Seconds(60);
  Start(options);
  std::vector<std::unique_ptr<RawClient>> open;
  for (int i = 0; i < 6; ++i) {
    open.push_back(std::make_unique<RawClient>(port_));
    ASSERT_TRUE(open.back()->Send("GET /hel"));
  }
  absl::SleepFor(absl::Milliseconds(50));
  const absl::Time start = absl::Now();
  server_.reset();
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(HttpServerTest, EndsRightAfterItsStart) {
  for (int i = 0; i < 20; ++i) {
    Start();
    server_.reset();
  }
}

TEST_F(HttpServerTest, ManyAtOnce) {
  ServerOptions options = Options();
  options.max_connections = 3;
  Start(options);
  std::atomic<int> good = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      httplib::Client client("127.0.0.1", port_);
      for (int j = 0; j < 25; ++j) {
        auto reply = client.Get("/hello");
        if (reply && reply->body == "hello\n") ++good;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 8 * 25);
}

TEST_F(HttpServerTest, RefusesWhatIsNoAddress) {
  for (const char* address :
       {"", "9090", ":9090", "host", "host:", "host:http", "host:-1",
        "host:65536", "::1:9090", "unix:/tmp/x", "[::1]"}) {
    ServerOptions options = Options();
    options.address = address;
    EXPECT_EQ(Server::Start(options, ServeRoutes({})).status().code(),
              absl::StatusCode::kInvalidArgument)
        << address;
  }
}

TEST_F(HttpServerTest, AnAddressInUseIsUnavailable) {
  Start();
  ServerOptions options = Options();
  options.address = server_->address();
  const auto second = Server::Start(options, ServeRoutes({}));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(server_->address()));
}

}  // namespace
}  // namespace braid::services::http
