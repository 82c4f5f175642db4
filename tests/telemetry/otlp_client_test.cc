// Spans on the wire, to a collector that is a server of this test.
#include "services/telemetry/otlp_client.h"

#include <httplib.h>
#include <stdlib.h>

#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace braid::services::telemetry {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

const auto kGoOn = [] { return false; };

class OtlpClientTest : public ::testing::Test {
 protected:
  OtlpClientTest() {
    // The machine's proxy has no business with this one.
    setenv("no_proxy", "127.0.0.1", 1);
    collector_.Post(".*", [this](const httplib::Request& request,
                                 httplib::Response& response) {
      const std::lock_guard<std::mutex> lock(mutex_);
      requests_.push_back(request);
      response.status = status_;
      response.set_content("{}", "application/json");
    });
    port_ = collector_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { collector_.listen_after_bind(); });
    while (!collector_.is_running()) std::this_thread::yield();
  }
  ~OtlpClientTest() override {
    client_.reset();
    collector_.stop();
    thread_.join();
  }
  absl::Status Send(absl::Span<const Span> spans,
                    const std::string& path = "") {
    auto client =
        OtlpClient::Create(absl::StrCat("http://127.0.0.1:", port_, path),
                           headers_, {"braid", "1.2.3", "a host"});
    if (!client.ok()) return client.status();
    client_ = *std::move(client);
    return client_->Send(spans, kGoOn);
  }

  httplib::Server collector_;
  std::mutex mutex_;
  std::vector<httplib::Request> requests_;
  std::vector<std::string> headers_;
  int status_ = 200;
  int port_ = 0;
  std::thread thread_;
  std::unique_ptr<OtlpClient> client_;
};

Span ExampleSpan() {
  Span span;
  span.context = *ParseTraceparent(
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  span.context.state = "rojo=1";
  span.parent.bytes = {1, 2, 3, 4, 5, 6, 7, 0xff};
  span.name = "a name";
  span.kind = Span::Kind::kServer;
  span.start = absl::FromUnixNanos(1'700'000'000'123'456'789);
  span.end = span.start + absl::Nanoseconds(2'000'000'011);
  span.attributes = {{"text", std::string("va\"lue")}, {"number", int64_t{-7}}};
  span.error = true;
  return span;
}

// Against a request written down by hand from the specification: hexadecimal
// ids, enums as numbers, 64-bit numbers as strings.
TEST_F(OtlpClientTest, TheRequestIsTheSpecifications) {
  Span root;
  root.context = ExampleSpan().context;
  root.context.state.clear();
  root.name = "root";
  root.start = root.end = absl::FromUnixSeconds(1);
  ASSERT_TRUE(Send({ExampleSpan(), root}).ok());
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_EQ(requests_[0].path, "/v1/traces");
  EXPECT_EQ(requests_[0].get_header_value("Content-Type"), "application/json");
  EXPECT_EQ(Json::parse(requests_[0].body), Json::parse(R"({
    "resourceSpans": [{
      "resource": {"attributes": [
        {"key": "service.name", "value": {"stringValue": "braid"}},
        {"key": "service.version", "value": {"stringValue": "1.2.3"}},
        {"key": "host.name", "value": {"stringValue": "a host"}}]},
      "scopeSpans": [{
        "scope": {"name": "braid", "version": "1.2.3"},
        "spans": [{
          "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
          "spanId": "00f067aa0ba902b7",
          "parentSpanId": "01020304050607ff",
          "traceState": "rojo=1",
          "name": "a name",
          "kind": 2,
          "startTimeUnixNano": "1700000000123456789",
          "endTimeUnixNano": "1700000002123456800",
          "attributes": [
            {"key": "text", "value": {"stringValue": "va\"lue"}},
            {"key": "number", "value": {"intValue": "-7"}}],
          "status": {"code": 2}
        }, {
          "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
          "spanId": "00f067aa0ba902b7",
          "name": "root",
          "kind": 1,
          "startTimeUnixNano": "1000000000",
          "endTimeUnixNano": "1000000000"
        }]}]}]})"));
}

TEST_F(OtlpClientTest, KeepsTheEndpointsPath) {
  ASSERT_TRUE(Send({ExampleSpan()}, "/otlp/").ok());
  EXPECT_EQ(requests_[0].path, "/otlp/v1/traces");
}

TEST_F(OtlpClientTest, EveryRequestHasTheHeaders) {
  const auto headers = ParseHeaders("Api-Key: a secret:1 \r\n\nX-Scope: 7\n");
  ASSERT_TRUE(headers.ok()) << headers.status();
  headers_ = *headers;
  ASSERT_TRUE(Send({ExampleSpan()}).ok());
  EXPECT_EQ(requests_[0].get_header_value("Api-Key"), "a secret:1");
  EXPECT_EQ(requests_[0].get_header_value("X-Scope"), "7");
  EXPECT_EQ(requests_[0].get_header_value("Content-Type"), "application/json");
}

TEST(ParseHeadersTest, NamesTheLineThatIsNoHeader) {
  for (const char* bad : {"ok: 1\nsecret", "ok: 1\nsecret:", "ok: 1\n: secret",
                          "ok: 1\nse cret: 1", "ok: 1\nsecret: \x01"}) {
    const absl::Status status = ParseHeaders(bad).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("line 2"));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("cret")));
  }
}

TEST_F(OtlpClientTest, SaysWhetherTryingAgainCanHelp) {
  for (const int status : {429, 502, 503, 504}) {
    status_ = status;
    EXPECT_TRUE(absl::IsUnavailable(Send({ExampleSpan()}))) << status;
  }
  for (const int status : {301, 400, 401, 404, 500, 501}) {
    status_ = status;
    EXPECT_TRUE(absl::IsFailedPrecondition(Send({ExampleSpan()}))) << status;
  }
}

TEST_F(OtlpClientTest, NobodyThereIsUnavailable) {
  auto client = OtlpClient::Create("http://user:secret@127.0.0.1:1", {},
                                   {"braid", "1", ""});
  ASSERT_TRUE(client.ok());
  const absl::Status status = (*client)->Send({ExampleSpan()}, kGoOn);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
}

TEST_F(OtlpClientTest, StopsWhenItIsTold) {
  // Accepts, and says nothing.
  httplib::Server silent;
  const int port = silent.bind_to_any_port("127.0.0.1");
  auto client = OtlpClient::Create(absl::StrCat("http://127.0.0.1:", port), {},
                                   {"braid", "1", ""});
  ASSERT_TRUE(client.ok());
  const absl::Time start = absl::Now();
  EXPECT_FALSE(
      (*client)
          ->Send({ExampleSpan()},
                 [&] { return absl::Now() - start > absl::Milliseconds(100); })
          .ok());
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(OtlpClientTest, RefusesWhatIsNoUrl) {
  for (const char* bad : {"collector:4318", "ftp://collector", "http://", "",
                          "/v1/traces", "file:///etc/passwd", "http://a b"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        OtlpClient::Create(bad, {}, {"braid", "1", ""}).status()))
        << bad;
  }
}

}  // namespace
}  // namespace braid::services::telemetry
