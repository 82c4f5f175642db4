// `braid model fetch` from a hub inside the test: output, exit codes, SIGINT.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/e2e/braid_binary.h"
#include "tests/hub/fake_hub.h"

namespace braid::testing {
namespace {

using services::hub::ContentPath;
using services::hub::FakeHub;
using services::hub::HttpReply;
using services::hub::HttpRequest;
using services::hub::kCommit;
using services::hub::kRepository;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FetchCommandTest : public ::testing::Test {
 protected:
  FetchCommandTest()
      : hub_({{"config.json", "{}"},
              {"model.safetensors", std::string(200'000, 'w')}}) {
    setenv("HF_ENDPOINT", hub_.url().c_str(), 1);
    unsetenv("HF_TOKEN");
  }

  Output Fetch(const std::string& repository) {
    return RunBraid(
        {"model", "fetch", repository, "--output", scratch_ / "out", "--json"});
  }
  void AnswerAlways(int status) {
    hub_.intercept = [status](const HttpRequest&) {
      return HttpReply{status, {}, "", {}, false};
    };
  }

  ScratchDirectory scratch_;
  FakeHub hub_;
};

TEST_F(FetchCommandTest, BringsAModelAndThenKeepsIt) {
  Output output = Fetch(kRepository);
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(output.LastJson()["commit"], kCommit);
  EXPECT_EQ(output.LastJson()["received_bytes"], 200'002);
  EXPECT_EQ(ReadFile(scratch_ / "out/model.safetensors").size(), 200'000u);
  output = Fetch(kRepository);
  EXPECT_EQ(output.LastJson()["received_bytes"], 0);
  EXPECT_EQ(output.LastJson()["files"][1]["kept"], true);
}

TEST_F(FetchCommandTest, ModelsHaveAPlaceOfTheirOwn) {
  setenv("XDG_DATA_HOME", (scratch_ / "data").c_str(), 1);
  const Output output = RunBraid({"model", "fetch", kRepository});
  unsetenv("XDG_DATA_HOME");
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(ReadFile(scratch_ / "data/braid/models/org/tiny-model/config.json"),
            "{}");
}

TEST_F(FetchCommandTest, ExitCodesTellWhatIsWrong) {
  EXPECT_EQ(Fetch("nonsense").exit_code, 2);
  const Output absent = Fetch("org/absent");
  EXPECT_EQ(absent.exit_code, 1);
  EXPECT_THAT(absent.err, HasSubstr("org/absent"));
  EXPECT_THAT(absent.out, IsEmpty());
  AnswerAlways(401);
  EXPECT_EQ(Fetch(kRepository).exit_code, 5);
  AnswerAlways(403);
  EXPECT_EQ(Fetch(kRepository).exit_code, 5);
  setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
  EXPECT_EQ(Fetch(kRepository).exit_code, 4);
}

TEST_F(FetchCommandTest, AnInterruptedFetchGoesOn) {
  std::atomic<bool> hangs = false;
  hub_.intercept = [&](const HttpRequest& request) -> std::optional<HttpReply> {
    if (request.target != ContentPath("model.safetensors") ||
        hangs.exchange(true)) {
      return std::nullopt;
    }
    HttpReply reply = hub_.Content(request, "model.safetensors");
    reply.drop_after = 50'000;
    reply.hang = true;
    return reply;
  };
  BraidProcess process(
      {"model", "fetch", kRepository, "--output", scratch_ / "out"});
  const std::string part = scratch_ / "out/model.safetensors.part";
  while (process.Running() && ReadFile(part).size() < 50'000) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  process.Signal(SIGINT);
  const Output output = process.Wait();
  EXPECT_EQ(output.exit_code, 130) << output.err;
  EXPECT_THAT(output.err, HasSubstr("interrupted"));
  EXPECT_EQ(Fetch(kRepository).exit_code, 0);
  EXPECT_EQ(hub_.Downloads("model.safetensors").back().headers.at("range"),
            "bytes=50000-");
}

}  // namespace
}  // namespace braid::testing
