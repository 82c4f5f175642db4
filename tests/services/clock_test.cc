// Clocks that are set and that stall: nothing ends early or late, what is
// numbered stays in order, and only what has an expiry date by the wall clock
// notices.
#include "absl/time/clock.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/engine/admission.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/auth/authenticator.h"
#include "test_certificates.h"
#include "test_service.h"
#include "tests/services/clock_faults.h"
#include "tests/steady.h"

namespace braid::services {
namespace {

using braid::testing::SetWallClock;
using braid::testing::StallSteadyClock;
using braid::testing::TrueSteadyTime;
using ::testing::HasSubstr;

// Longer than Abseil's wall clock takes to notice that it was set (2.2 s).
constexpr absl::Duration kTimeout = absl::Seconds(4);
// Of a deadline the server keeps so much for sending its result.
constexpr absl::Duration kReserve = absl::Milliseconds(200);
constexpr absl::Duration kStall = absl::Milliseconds(700);
constexpr absl::Duration kEarly = absl::Milliseconds(50);
constexpr absl::Duration kLate = absl::Milliseconds(1500);

struct Jump {
  const char* name;
  absl::Duration wall;  // the clock is set so far ahead
  bool stall = false;   // the steady clock stands still for a while
};

class ClockTest : public ::testing::TestWithParam<Jump> {
 protected:
  ~ClockTest() override { SetWallClock(absl::ZeroDuration()); }

  static void MakeJump() {
    SetWallClock(GetParam().wall);
    if (GetParam().stall) StallSteadyClock(kStall);
  }

  // Fails unless what began at `begin` ended after kTimeout.
  static void ExpectInTime(const char* what, absl::Duration begin) {
    const absl::Duration took = TrueSteadyTime() - begin;
    EXPECT_GE(took, kTimeout - kEarly) << what;
    EXPECT_LE(took, kTimeout + kLate +
                        (GetParam().stall ? kStall : absl::ZeroDuration()))
        << what;
  }
};
INSTANTIATE_TEST_SUITE_P(
    Jumps, ClockTest,
    ::testing::Values(Jump{"HourAhead", absl::Hours(1)},
                      Jump{"HourBack", -absl::Hours(1)},
                      Jump{"DayAhead", absl::Hours(24)},
                      Jump{"DayBack", -absl::Hours(24)},
                      Jump{"LeapSecond", -absl::Seconds(1)},
                      Jump{"Stall", absl::ZeroDuration(), true}),
    [](const auto& jump) { return std::string(jump.param.name); });

// Sends a token every few milliseconds until it is told to stop or until its
// deadline, as a model does, or, for the prompt "flood", as much as is taken.
struct Endless {
  std::atomic<int> floods = 0;  // that run

  ScriptedGenerator::Script Script() {
    return [this](const generation::GenerationRequest& request,
                  const generation::TextSink& sink, std::stop_token stop) {
      const bool flood = std::get<std::string>(request.input) == "flood";
      floods += flood ? 1 : 0;
      const std::string text(flood ? 64 << 10 : 1, 'x');
      bool in_time = true;
      while (in_time && !stop.stop_requested() && sink(text)) {
        if (!flood) absl::SleepFor(absl::Milliseconds(5));
        in_time = std::chrono::steady_clock::now() < request.deadline;
      }
      floods -= flood ? 1 : 0;
      return generation::GenerationResult{
          in_time ? generation::FinishReason::kCancelled
                  : generation::FinishReason::kDeadline,
          1, 1};
    };
  }
};

v1::GenerateRequest Prompt(const std::string& text) {
  v1::GenerateRequest request;
  request.set_prompt(text);
  return request;
}

TEST_P(ClockTest, WaitsEndInTime) {
  Endless endless;
  TestOptions options;
  options.address = "127.0.0.1:0";
  options.generator = endless.Script();
  options.limits.max_write_stall = kTimeout;
  options.limits.max_ingest_idle = kTimeout;
  TestService service(options);
  service.Put("docs", "a", "alpha beta");
  std::vector<std::thread> waits;

  // A stream that is read, until its client's deadline.
  waits.emplace_back([&] {
    const absl::Duration begin = TrueSteadyTime();
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         absl::ToChronoMilliseconds(kTimeout));
    auto stream = service.generation().Generate(&context, Prompt("Once"));
    v1::GenerateResponse response;
    v1::GenerateResponse last;
    while (stream->Read(&response)) last = response;
    EXPECT_TRUE(stream->Finish().ok());
    EXPECT_EQ(last.final().finish_reason(), v1::FINISH_REASON_DEADLINE);
    ExpectInTime("deadline of a stream", begin - kReserve);
  });
  // A wait for a write that does not come.
  waits.emplace_back([&] {
    const absl::Duration begin = TrueSteadyTime();
    EXPECT_EQ(service.runtime().backend().store()->WaitForWrite(
                  "docs", 1, SteadyIn(kTimeout)),
              1u);
    ExpectInTime("a wait for a write", begin);
  });
  // A search that waits for the indexes to see it.
  waits.emplace_back([&] {
    const absl::Duration begin = TrueSteadyTime();
    retrieval::Query query;
    query.collection = "docs";
    query.text = "alpha";
    query.wait_for_sequence = 2;
    query.deadline = SteadyIn(kTimeout);
    const auto found = service.runtime().backend().Search(query);
    EXPECT_EQ(found.status().code(), absl::StatusCode::kDeadlineExceeded)
        << found.status();
    ExpectInTime("deadline of a search", begin);
  });
  // A reader that stops, until it is sent away.
  waits.emplace_back([&] {
    grpc::ClientContext context;
    auto stream = service.generation().Generate(&context, Prompt("flood"));
    v1::GenerateResponse response;
    EXPECT_TRUE(stream->Read(&response));
    const absl::Duration begin = TrueSteadyTime();
    while (endless.floods > 0 && TrueSteadyTime() - begin < 3 * kTimeout) {
      absl::SleepFor(absl::Milliseconds(10));
    }
    ExpectInTime("a stalled reader", begin);
    context.TryCancel();
    stream->Finish();
  });
  // A stream of documents that sends none.
  waits.emplace_back([&] {
    const absl::Duration begin = TrueSteadyTime();
    grpc::ClientContext context;
    auto stream = service.documents().Ingest(&context);
    v1::IngestResponse response;
    EXPECT_FALSE(stream->Read(&response));
    EXPECT_EQ(stream->Finish().error_code(),
              grpc::StatusCode::DEADLINE_EXCEEDED);
    ExpectInTime("an idle stream of documents", begin);
  });
  // A request in the generator's queue.
  waits.emplace_back([&] {
    generation::Admission admission(1);
    EXPECT_EQ(admission.Enter(kNever, {}),
              generation::Admission::Outcome::kAdmitted);
    const absl::Duration begin = TrueSteadyTime();
    EXPECT_EQ(admission.Enter(SteadyIn(kTimeout), {}),
              generation::Admission::Outcome::kDeadline);
    ExpectInTime("a place in the queue", begin);
  });

  absl::SleepFor(absl::Milliseconds(500));
  MakeJump();
  for (std::thread& wait : waits) wait.join();
}

// Calls that are told to end by a shutdown have all of their grace.
TEST_P(ClockTest, ShutdownTakesItsTime) {
  Endless endless;
  TestOptions options;
  options.address = "127.0.0.1:0";
  options.generator = endless.Script();
  TestService service(options);
  grpc::ClientContext context;
  auto stream = service.generation().Generate(&context, Prompt("Once"));
  v1::GenerateResponse response;
  ASSERT_TRUE(stream->Read(&response));
  std::thread jump([] {
    absl::SleepFor(absl::Milliseconds(500));
    MakeJump();
  });
  const absl::Duration begin = TrueSteadyTime();
  std::thread reader([&] {
    while (stream->Read(&response)) {
    }
  });
  service.server().Shutdown(kTimeout);
  ExpectInTime("a shutdown", begin);
  reader.join();
  jump.join();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

// Writes and searches go on as fast as before, numbers stay unique and in
// order, and the past is kept.
TEST_P(ClockTest, WritesGoOnInOrder) {
  TestOptions options;
  options.address = "127.0.0.1:0";
  TestService service(options);
  uint64_t last = service.Put("docs", "a", "first words");
  std::set<std::string> operations;
  for (int round = 0; round < 8; ++round) {
    if (round == 4) MakeJump();
    const absl::Duration begin = TrueSteadyTime();
    const uint64_t sequence =
        service.Put("docs", "a", absl::StrCat("words of round ", round));
    EXPECT_GT(sequence, last);
    last = sequence;
    grpc::ClientContext context;
    v1::SearchRequest request;
    request.set_collection("collections/docs");
    request.set_query("words");
    request.set_wait_for_sequence(sequence);
    v1::SearchResponse found;
    EXPECT_TRUE(service.retrieval().Search(&context, request, &found).ok());
    ASSERT_EQ(found.passages_size(), 1);
    EXPECT_THAT(found.passages(0).text(),
                HasSubstr(absl::StrCat("round ", round)));
    EXPECT_LT(TrueSteadyTime() - begin, absl::Seconds(2));
    absl::SleepFor(absl::Milliseconds(round < 4 ? 0 : 700));
  }
  grpc::ClientContext list_context;
  v1::ListOperationsResponse list;
  ASSERT_TRUE(
      service.operations()
          .ListOperations(&list_context, v1::ListOperationsRequest(), &list)
          .ok());
  for (const v1::Operation& operation : list.operations()) {
    operations.insert(operation.name());
  }
  EXPECT_EQ(operations.size(), 9u);

  // By the wall clock a day has passed, or an hour, or none.
  ASSERT_TRUE(service.runtime().backend().store()->TrimHistory({}).ok());
  for (uint64_t version = 1; version <= 9; ++version) {
    grpc::ClientContext context;
    v1::GetDocumentRequest request;
    request.set_name("collections/docs/documents/a");
    request.set_version(version);
    v1::GetDocumentResponse response;
    const grpc::Status status =
        service.documents().GetDocument(&context, request, &response);
    EXPECT_TRUE(status.ok()) << version << ": " << status.error_message();
  }
}

// An expiry date is one of the wall clock, and the only thing that is.
TEST_P(ClockTest, OnlyExpiryDatesNotice) {
  const std::string directory =
      ::testing::TempDir() + "/braid_clock_" + std::string(GetParam().name);
  std::filesystem::create_directories(directory);
  const TestKey key;
  const std::string api_key = *auth::MakeKey();
  std::ofstream(directory + "/access.toml")
      << "[[key]]\nname = \"ci\"\nsha256 = \"" << *auth::HashKey(api_key)
      << "\"\ngrants = [{ role = \"admin\", collections = [\"*\"] }]\n";
  std::ofstream(directory + "/keys.json")
      << absl::StrCat(R"({"keys":[)", key.Jwk("k"), "]}");
  const int64_t expires = absl::ToUnixSeconds(absl::Now()) + 600;
  auth::AuthOptions options;
  options.access_file = directory + "/access.toml";
  options.jwks = directory + "/keys.json";
  options.jwt.issuer = "i";
  options.jwt.audience = "a";
  options.anonymous = auth::Role::kReader;
  auto authenticator = auth::Authenticator::Create(std::move(options));
  ASSERT_TRUE(authenticator.ok()) << authenticator.status();
  const auto shows = [&](const std::string& secret) {
    const std::string header = "Bearer " + secret;
    auth::Credentials credentials;
    credentials.authorization = header;
    return (*authenticator)->Authenticate(credentials).ok();
  };
  const std::string token =
      key.Sign(R"({"alg":"RS256","kid":"k"})",
               absl::StrCat(R"({"iss":"i","aud":"a","sub":"alice","exp":)",
                            expires, "}"));
  EXPECT_TRUE(shows(token));
  MakeJump();
  absl::SleepFor(absl::Seconds(3));  // until Abseil's clock has noticed
  EXPECT_EQ(shows(token), GetParam().wall < absl::Minutes(10));
  EXPECT_TRUE(shows(api_key));
  // A key that is taken away is refused as soon as ever.
  std::ofstream(directory + "/access.toml") << "";
  const absl::Duration begin = TrueSteadyTime();
  while (shows(api_key) && TrueSteadyTime() - begin < absl::Seconds(10)) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_LT(TrueSteadyTime() - begin, absl::Seconds(3));
  SetWallClock(absl::ZeroDuration());
  absl::SleepFor(absl::Seconds(3));
  EXPECT_TRUE(shows(token));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace braid::services
