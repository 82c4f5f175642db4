// Bodies, streams, connections that stay.
#include <httplib.h>

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "raw_client.h"
#include "services/http/server.h"
#include "tests/steady.h"

namespace braid::services::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// What a server that takes bodies and streams does: it says back what it got.
class HttpStreamTest : public ::testing::Test {
 protected:
  static ServerOptions Options() {
    return {.address = "127.0.0.1:0",
            .max_connections = 16,
            .max_head_bytes = 4 << 10,
            .max_body_bytes = 100 << 10,
            .max_total_body_bytes = 150 << 10,
            .head_timeout = absl::Seconds(5),
            .body_timeout = absl::Seconds(5),
            .write_timeout = absl::Seconds(5),
            .keep_alive = absl::Seconds(5),
            .on_reply = {}};
  }
  void Start(ServerOptions options = Options()) {
    options.on_reply = [this](const std::string& path, int status) {
      const std::lock_guard<std::mutex> lock(mutex_);
      replies_.push_back(absl::StrCat(path, " ", status));
    };
    auto server =
        Server::Start(options, [this](std::shared_ptr<Exchange> exchange) {
          Serve(std::move(exchange));
        });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    ASSERT_TRUE(absl::SimpleAtoi(
        server_->address().substr(server_->address().rfind(':') + 1), &port_));
  }
  void TearDown() override {
    server_.reset();
    held_.clear();
  }
  void Serve(std::shared_ptr<Exchange> exchange) {
    const Request& request = exchange->request();
    if (request.path == "/echo") {
      exchange->Send({.body = absl::StrCat(request.method, " ", request.query,
                                           " ", request.body)});
    } else if (request.path == "/count") {
      exchange->Start({.content_type = "text/event-stream"});
      Count(exchange, 1);
    } else if (request.path == "/flood") {
      exchange->Start({});
      Flood(exchange);
    } else if (request.path == "/hold") {
      exchange->OnGone([this] { gone_.Notify(); });
      const std::lock_guard<std::mutex> lock(mutex_);
      held_.push_back(std::move(exchange));
      ++holding_;
    } else if (request.path == "/hold2") {
      const std::lock_guard<std::mutex> lock(mutex_);
      held_.push_back(std::move(exchange));
      ++holding_;
    } else if (request.path == "/break") {
      exchange->Start({});
      exchange->Write("half", nullptr);
    }  // anything else is dropped
  }
  static void Count(const std::shared_ptr<Exchange>& exchange, int number) {
    if (number > 100) return exchange->End();
    exchange->Write(absl::StrCat(number, "\n"), [=](bool more) {
      if (more) Count(exchange, number + 1);
    });
  }
  void Flood(const std::shared_ptr<Exchange>& exchange) {
    exchange->Write(std::string(64 << 10, 'x'), [=, this](bool more) {
      ++written_;
      more ? Flood(exchange) : gone_.Notify();
    });
  }
  std::string Ask(const std::string& request) const {
    const RawClient client(port_);
    client.Send(request);
    return client.Receive();
  }
  std::vector<std::string> replies() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return replies_;
  }

  std::mutex mutex_;
  std::vector<std::string> replies_;
  std::vector<std::shared_ptr<Exchange>> held_;
  std::atomic<int> holding_ = 0;
  std::atomic<int> written_ = 0;
  absl::Notification gone_;
  std::unique_ptr<Server> server_;
  int port_ = 0;
};

TEST_F(HttpStreamTest, TakesBodiesAndKeepsTheConnection) {
  Start();
  httplib::Client client("127.0.0.1", port_);
  client.set_keep_alive(true);
  for (int i = 0; i < 3; ++i) {
    auto reply = client.Post("/echo?a=b", std::string(50 << 10, 'x'), "text/x");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->body, "POST a=b " + std::string(50 << 10, 'x'));
    EXPECT_EQ(reply->get_header_value("Connection"), "keep-alive");
  }
  auto chunked = client.Post(
      "/echo",
      [](size_t offset, httplib::DataSink& sink) {
        if (offset >= 3000) {
          sink.done();
        } else {
          sink.write("abc", 3);
        }
        return true;
      },
      "text/x");
  ASSERT_TRUE(chunked);
  EXPECT_EQ(chunked->body.size(), 6 + 3000);
}

TEST_F(HttpStreamTest, RequestsInOnePacketAreAnsweredInOrder) {
  Start();
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&requests, "POST /echo?", i,
                    " HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
  }
  const std::string replies =
      Ask(requests + "GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n");
  size_t at = 0;
  for (int i = 0; i < 20; ++i) {
    at = replies.find(absl::StrCat("POST ", i, " abc"), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_NE(replies.find("GET  ", at), std::string::npos);
}

TEST_F(HttpStreamTest, BodiesAreBoundedEachAndTogether) {
  Start();
  const std::string head = "POST /echo HTTP/1.1\r\n";
  EXPECT_THAT(Ask(head + "Content-Length: 102401\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  // A chunked one is counted as it comes.
  std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 101; ++i) {
    chunked += "400\r\n" + std::string(1024, 'x') + "\r\n";
  }
  EXPECT_THAT(Ask(chunked), StartsWith("HTTP/1.1 413"));
  // What is announced counts before it comes.
  const RawClient first(port_);
  ASSERT_TRUE(first.Send(head + "Content-Length: 100000\r\n\r\nx"));
  absl::SleepFor(absl::Milliseconds(100));
  EXPECT_THAT(Ask(head + "Content-Length: 100000\r\n\r\nx"),
              StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Ask(head + "Connection: close\r\nContent-Length: 3\r\n\r\nabc"),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpStreamTest, BodiesAreFreedWithTheirRequests) {
  Start();
  httplib::Client client("127.0.0.1", port_);
  client.set_keep_alive(true);
  for (int i = 0; i < 10; ++i) {
    auto reply = client.Post("/echo", std::string(100 << 10, 'x'), "text/x");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 200);
  }
}

// Each of these could be read as two requests by some other server on the way.
TEST_F(HttpStreamTest, AmbiguousLengthsAreRefused) {
  Start();
  for (const char* lengths :
       {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n", "Content-Length: +3\r\n",
        "Content-Length: 3, 4\r\n", "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n", "Content-Length : 3\r\n"}) {
    EXPECT_THAT(
        Ask(absl::StrCat("POST /echo HTTP/1.1\r\n", lengths, "\r\nabc")),
        ::testing::AnyOf(StartsWith("HTTP/1.1 400"),
                         StartsWith("HTTP/1.1 501")))
        << lengths;
  }
  for (const char* body : {"zz\r\nabc", "ffffffffffffffffff\r\n", "-3\r\nabc",
                           "3\r\nabcd\r\n", "3;"}) {
    const std::string reply =
        Ask(absl::StrCat("POST /echo HTTP/1.1\r\nTransfer-Encoding: "
                         "chunked\r\n\r\n",
                         body, std::string(40 << 10, 'x')));
    EXPECT_THAT(reply, Not(StartsWith("HTTP/1.1 200"))) << body;
  }
}

TEST_F(HttpStreamTest, AskedWhetherToGoOnItSaysSo) {
  Start();
  const RawClient client(port_);
  ASSERT_TRUE(
      client.Send("POST /echo HTTP/1.1\r\nExpect: 100-continue\r\n"
                  "Connection: close\r\nContent-Length: 3\r\n\r\n"));
  EXPECT_EQ(client.ReceiveSome(), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.Send("abc"));
  EXPECT_THAT(client.Receive(), ::testing::EndsWith("POST  abc"));
}

TEST_F(HttpStreamTest, StreamsInPieces) {
  Start();
  httplib::Client client("127.0.0.1", port_);
  std::string expected;
  for (int i = 1; i <= 100; ++i) absl::StrAppend(&expected, i, "\n");
  auto reply = client.Get("/count");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, expected);
  EXPECT_EQ(reply->get_header_value("Transfer-Encoding"), "chunked");
  EXPECT_EQ(client.Get("/count")->body, expected);
  // A client of HTTP/1.0 knows no chunks.
  EXPECT_THAT(Ask("GET /count HTTP/1.0\r\n\r\n"),
              ::testing::EndsWith("\r\n\r\n" + expected));
  EXPECT_THAT(Ask("HEAD /count HTTP/1.1\r\nConnection: close\r\n\r\n"),
              ::testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(replies(), ::testing::Each("/count 200"));
}

// Its reader must not take what came for the whole.
TEST_F(HttpStreamTest, AStreamThatIsDroppedHasNoEnd) {
  Start();
  const std::string reply = Ask("GET /break HTTP/1.1\r\n\r\n");
  EXPECT_THAT(reply, HasSubstr("half"));
  EXPECT_THAT(reply, Not(HasSubstr("\r\n0\r\n")));
}

// Dropping it must not answer the request that came after it.
TEST_F(HttpStreamTest, AnExchangeMayBeKeptAfterItsReply) {
  Start();
  const RawClient client(port_);
  ASSERT_TRUE(client.Send("GET /hold HTTP/1.1\r\n\r\n"));
  while (holding_ < 1) absl::SleepFor(absl::Milliseconds(1));
  held_[0]->Send({.body = "first"});
  EXPECT_THAT(client.ReceiveSome(), ::testing::EndsWith("first"));
  ASSERT_TRUE(client.Send("GET /hold2 HTTP/1.1\r\n\r\n"));
  while (holding_ < 2) absl::SleepFor(absl::Milliseconds(1));
  std::shared_ptr<Exchange> second;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    second = held_[1];
    held_.clear();
  }
  absl::SleepFor(absl::Milliseconds(50));
  second->Send({.body = "second"});
  const std::string reply = client.ReceiveSome();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(reply, ::testing::EndsWith("second"));
}

TEST_F(HttpStreamTest, ADroppedExchangeIsAnInternalError) {
  Start();
  EXPECT_THAT(Ask("GET /dropped HTTP/1.1\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 500"));
}

TEST_F(HttpStreamTest, AClientThatReadsNothingStopsTheWriter) {
  ServerOptions options = Options();
  options.write_timeout = absl::Milliseconds(500);
  Start(options);
  const RawClient deaf(port_);
  ASSERT_TRUE(deaf.Send("GET /flood HTTP/1.1\r\n\r\n"));
  ASSERT_TRUE(gone_.WaitForNotificationWithTimeout(absl::Seconds(20)));
  // What the kernel's buffers hold, and one write more.
  EXPECT_LT(written_, 200);
}

TEST_F(HttpStreamTest, AClientThatGoesAwayIsNoticed) {
  Start();
  {
    const RawClient client(port_);
    ASSERT_TRUE(client.Send("GET /hold HTTP/1.1\r\n\r\n"));
    while (holding_ == 0) absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_TRUE(gone_.WaitForNotificationWithTimeout(absl::Seconds(5)));
}

TEST_F(HttpStreamTest, IdleConnectionsMakeRoom) {
  ServerOptions options = Options();
  options.max_connections = 2;
  Start(options);
  const RawClient kept[] = {RawClient(port_), RawClient(port_)};
  for (const RawClient& client : kept) {
    ASSERT_TRUE(client.Send("GET /echo HTTP/1.1\r\n\r\n"));
    EXPECT_THAT(client.ReceiveSome(), StartsWith("HTTP/1.1 200"));
  }
  const absl::Time start = absl::Now();
  EXPECT_THAT(Ask("GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 200"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(4));
}

TEST_F(HttpStreamTest, DrainingWaitsForWhatIsServed) {
  Start();
  const RawClient idle(port_);
  ASSERT_TRUE(idle.Send("GET /echo HTTP/1.1\r\n\r\n"));
  EXPECT_THAT(idle.ReceiveSome(), StartsWith("HTTP/1.1 200"));
  // One that would never come to its end.
  const RawClient half(port_);
  ASSERT_TRUE(half.Send("POST /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"));
  const RawClient client(port_);
  ASSERT_TRUE(client.Send("GET /hold HTTP/1.1\r\n\r\n"));
  while (holding_ == 0) absl::SleepFor(absl::Milliseconds(1));
  std::thread reply([this] {
    absl::SleepFor(absl::Milliseconds(300));
    const std::lock_guard<std::mutex> lock(mutex_);
    held_[0]->Send({.body = "at last"});
  });
  const absl::Time start = absl::Now();
  server_->Drain(SteadyIn(absl::Seconds(20)));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(250));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  reply.join();
  const std::string last = client.Receive();
  EXPECT_THAT(last, HasSubstr("Connection: close"));
  EXPECT_THAT(last, ::testing::EndsWith("at last"));
  EXPECT_EQ(idle.Receive(), "");
}

TEST_F(HttpStreamTest, DrainingEndsAtItsDeadline) {
  Start();
  const RawClient client(port_);
  ASSERT_TRUE(client.Send("GET /hold HTTP/1.1\r\n\r\n"));
  while (holding_ == 0) absl::SleepFor(absl::Milliseconds(1));
  server_->Drain(SteadyIn(absl::Milliseconds(100)));
  EXPECT_TRUE(gone_.WaitForNotificationWithTimeout(absl::Seconds(5)));
}

// The reply of a server that is gone goes nowhere, and hurts nobody.
TEST_F(HttpStreamTest, AnExchangeMayOutliveItsServer) {
  Start();
  const RawClient client(port_);
  ASSERT_TRUE(client.Send("GET /hold HTTP/1.1\r\n\r\n"));
  while (holding_ == 0) absl::SleepFor(absl::Milliseconds(1));
  server_->Drain(SteadyIn(absl::ZeroDuration()));
  held_[0]->Send({.body = "too late"});
  held_.clear();
  server_.reset();
}

}  // namespace
}  // namespace braid::services::http
