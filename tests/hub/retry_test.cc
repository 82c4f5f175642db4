// Networks and servers that do not do what they should.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/hub/fetch_fixture.h"

namespace braid::services::hub {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

using RetryTest = FetchTest;

TEST_F(RetryTest, GoesOnAfterABrokenConnection) {
  Spoil(0, [](HttpReply* reply) { reply->drop_after = 100'000; });
  auto report = Fetch();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(Ranges(), ElementsAre("", "bytes=100000-"));
  EXPECT_EQ(report->received_bytes, report->bytes);
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(RetryTest, GoesOnAfterAShortAnswer) {
  // It says that this is all.
  Spoil(0, [](HttpReply* reply) { reply->body.resize(7); });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(Ranges(), ElementsAre("", "bytes=7-"));
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(RetryTest, StartsOverWhereRangesAreIgnored) {
  Write("model.safetensors.part", weights_.substr(0, 100));
  Spoil(0, [&](HttpReply* reply) {
    *reply = HttpReply{200, {}, weights_, {}, false};
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(Ranges(), ElementsAre("bytes=100-"));
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(RetryTest, StartsOverAfterAnotherRange) {
  Write("model.safetensors.part", weights_.substr(0, 100));
  Spoil(0, [&](HttpReply* reply) {
    *reply = HttpReply{206,
                       {"Content-Range: bytes 50-299999/300000"},
                       weights_.substr(50),
                       {},
                       false};
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(Ranges(), ElementsAre("bytes=100-", ""));
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(RetryTest, StartsOverWhereTheRangeIsRefused) {
  Write("model.safetensors.part", weights_.substr(0, 100));
  Spoil(0, [&](HttpReply* reply) {
    *reply = HttpReply{416, {}, "", {}, false};
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(Ranges(), ElementsAre("bytes=100-", ""));
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(RetryTest, WaitsAsLongAsItIsAsked) {
  Spoil(0, [&](HttpReply* reply) {
    *reply = HttpReply{503, {"Retry-After: 1"}, "busy", {}, false};
  });
  const absl::Time start = absl::Now();
  ASSERT_TRUE(Fetch().ok());
  EXPECT_GE(absl::Now() - start, absl::Seconds(1));
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(RetryTest, DoesNotWaitForHours) {
  Spoil(0, [&](HttpReply* reply) {
    *reply = HttpReply{429, {"Retry-After: 7200"}, "", {}, false};
  });
  const absl::Status status = Fetch().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(status.message(), HasSubstr("wait for 2h"));
}

TEST_F(RetryTest, GivesUpOnAServerThatStaysBroken) {
  hub_.intercept = [](const HttpRequest&) -> std::optional<HttpReply> {
    return HttpReply{502, {}, "", {}, false};
  };
  const absl::Status status = Fetch().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(status.message(), HasSubstr("answers 502"));
  EXPECT_EQ(hub_.requests().size(), 4u);
}

// Bytes that arrive count as progress, so a bad line ends at some time.
TEST_F(RetryTest, ManyBrokenConnectionsAreSurvived) {
  hub_.intercept = [&](const HttpRequest& request) -> std::optional<HttpReply> {
    if (request.target != ContentPath(kWeights)) return std::nullopt;
    HttpReply reply = hub_.Content(request, kWeights);
    if (reply.body.size() > 30'000) reply.drop_after = 30'000;
    return reply;
  };
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(hub_.Downloads(kWeights).size(), 10u);
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(RetryTest, AStalledConnectionIsGivenUp) {
  options_.stall_timeout = absl::Seconds(1);
  Spoil(0, [](HttpReply* reply) {
    reply->drop_after = 1000;
    reply->hang = true;
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(Ranges(), ElementsAre("", "bytes=1000-"));
}

TEST_F(RetryTest, AnInterruptionKeepsWhatArrived) {
  std::stop_source stop;
  std::atomic<bool> hangs = false;
  Spoil(0, [&](HttpReply* reply) {
    reply->drop_after = 50'000;
    reply->hang = true;
    hangs = true;
  });
  uint64_t arrived = 0;
  observer_ = [&](const FetchProgress& now) {
    arrived = now.done_bytes;
    if (arrived == 7 + 50'000) stop.request_stop();
  };
  const absl::Time start = absl::Now();
  const absl::Status status = Fetch(stop.get_token()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_TRUE(hangs);
  EXPECT_EQ(Read("model.safetensors.part"), weights_.substr(0, 50'000));
  EXPECT_EQ(Read(kWeights), "(none)");
  observer_ = nullptr;
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(Ranges(), ElementsAre("", "bytes=50000-"));
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(RetryTest, AnInterruptionEndsTheWaiting) {
  hub_.intercept = [](const HttpRequest&) -> std::optional<HttpReply> {
    return HttpReply{503, {"Retry-After: 200"}, "", {}, false};
  };
  std::stop_source stop;
  std::jthread later([&] {
    absl::SleepFor(absl::Milliseconds(50));
    stop.request_stop();
  });
  const absl::Time start = absl::Now();
  EXPECT_EQ(Fetch(stop.get_token()).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(RetryTest, TellsADeniedModelFromAnAbsentOne) {
  int answer = 401;
  hub_.intercept = [&](const HttpRequest&) -> std::optional<HttpReply> {
    return HttpReply{
        answer, {"X-Error-Message: Access is restricted."}, "", {}, false};
  };
  absl::Status status = Fetch().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << status;
  EXPECT_THAT(status.message(), HasSubstr("HF_TOKEN"));
  EXPECT_THAT(status.message(), HasSubstr("Access is restricted."));
  answer = 403;
  options_.token = "hf_secret";
  status = Fetch().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_FALSE(absl::StrContains(status.message(), "hf_secret"));
  EXPECT_EQ(hub_.requests().size(), 2u);  // trying again would not help
}

TEST_F(RetryTest, NoHubIsToldAtOnce) {
  {
    const HttpServer gone([](const HttpRequest&) { return HttpReply(); });
    options_.endpoint = gone.url();
  }
  options_.backoff = absl::Hours(1);
  const absl::Status status = Fetch().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(status.message(), HasSubstr(options_.endpoint));
  options_.endpoint = "ftp://x";
  EXPECT_EQ(Fetch().status().code(), absl::StatusCode::kInvalidArgument);
  options_.endpoint = "file:///etc";
  EXPECT_EQ(Fetch().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RetryTest, TheTokenStaysWithTheHub) {
  // A store of its own, where the weights lie, as the hub has.
  HttpServer store([&](const HttpRequest& request) {
    return hub_.Content(request, kWeights);
  });
  options_.token = "hf_secret";
  Write("model.safetensors.part", weights_.substr(0, 100));
  Spoil(0, [&](HttpReply* reply) {
    *reply = HttpReply{
        302,
        {absl::StrCat("Location: ", store.url(), "/blob?signature=s")},
        "moved",
        {},
        false};
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(Read(kWeights), weights_);
  for (const HttpRequest& request : hub_.requests()) {
    EXPECT_THAT(request.headers,
                Contains(Pair("authorization", "Bearer hf_secret")));
  }
  ASSERT_EQ(store.requests().size(), 1u);
  EXPECT_EQ(store.requests()[0].target, "/blob?signature=s");
  EXPECT_EQ(store.requests()[0].headers.count("authorization"), 0u);
  EXPECT_EQ(store.requests()[0].headers.at("range"), "bytes=100-");
  options_.token = "a\r\nX-Evil: b";
  EXPECT_EQ(Fetch().status().code(), absl::StatusCode::kInvalidArgument);
}

// On the hub itself it is sent on, to a path that is relative.
TEST_F(RetryTest, TheTokenFollowsOnTheHub) {
  options_.token = "hf_secret";
  const std::string elsewhere = "/new/place";
  hub_.intercept = [&](const HttpRequest& request) -> std::optional<HttpReply> {
    if (request.target == ContentPath(kWeights)) {
      return HttpReply{307, {"Location: " + elsewhere}, "", {}, false};
    }
    if (request.target == elsewhere) return hub_.Content(request, kWeights);
    return std::nullopt;
  };
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(hub_.requests().back().target, elsewhere);
  EXPECT_EQ(hub_.requests().back().headers.at("authorization"),
            "Bearer hf_secret");
}

TEST_F(RetryTest, RedirectsAreBounded) {
  hub_.intercept = [&](const HttpRequest& request) -> std::optional<HttpReply> {
    if (request.target != ContentPath(kWeights)) return std::nullopt;
    return HttpReply{
        302, {"Location: " + ContentPath(kWeights)}, "", {}, false};
  };
  EXPECT_THAT(Fetch().status().message(), HasSubstr("too many redirects"));
  hub_.intercept = [&](const HttpRequest& request) -> std::optional<HttpReply> {
    if (request.target != ContentPath(kWeights)) return std::nullopt;
    return HttpReply{302, {"Location: file:///etc/passwd"}, "", {}, false};
  };
  EXPECT_THAT(Fetch().status().message(), HasSubstr("no http(s) URL"));
}

}  // namespace
}  // namespace braid::services::hub
