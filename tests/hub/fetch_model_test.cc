// What a fetch leaves in its directory, and what it refuses.
#include "services/hub/fetch_model.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/hub/fetch_fixture.h"

namespace braid::services::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(FetchTest, BringsOneCommitOfWhatIsNeeded) {
  std::vector<FetchProgress> progress;
  observer_ = [&](const FetchProgress& now) { progress.push_back(now); };
  auto report = Fetch();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->commit, kCommit);
  EXPECT_EQ(report->files.size(), 3u);
  EXPECT_EQ(report->bytes, 2 + 5 + weights_.size());
  EXPECT_EQ(report->received_bytes, report->bytes);
  EXPECT_EQ(Read("config.json"), "{}");
  EXPECT_EQ(Read("tokenizer.json"), "[\"t\"]");
  EXPECT_EQ(Read(kWeights), weights_);
  EXPECT_EQ(Read("README.md"), "(none)");
  EXPECT_EQ(Read("model.safetensors.part"), "(none)");
  ASSERT_FALSE(progress.empty());
  EXPECT_EQ(progress.back().done_bytes, report->bytes);
  EXPECT_EQ(progress.back().total_bytes, report->bytes);
  // The weights come last.
  EXPECT_EQ(hub_.requests().back().target, ContentPath(kWeights));
}

TEST_F(FetchTest, KeepsWhatIsThere) {
  ASSERT_TRUE(Fetch().ok());
  const size_t asked = hub_.requests().size();
  auto report = Fetch();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->received_bytes, 0u);
  for (const auto& file : report->files) EXPECT_TRUE(file.kept) << file.name;
  EXPECT_EQ(hub_.requests().size(), asked + 2);  // commit and listing

  // The same size is not enough.
  std::string changed = weights_;
  changed[1000] ^= 1;
  Write(kWeights, changed);
  report = Fetch();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->received_bytes, weights_.size());
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(FetchTest, AsksForTheRestOnly) {
  Write("model.safetensors.part", weights_.substr(0, 123'456));
  auto report = Fetch();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(Ranges(), ElementsAre("bytes=123456-"));
  EXPECT_EQ(report->received_bytes, 2 + 5 + weights_.size() - 123'456);
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(FetchTest, AWholePartIsNotFetchedAgain) {
  Write("model.safetensors.part", weights_);
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(Ranges(), ElementsAre());
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(FetchTest, StartsOverWhereThePartIsOfAnotherVersion) {
  std::string other = weights_.substr(0, 1000);
  other[10] ^= 1;
  Write("model.safetensors.part", other);
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(Ranges(), ElementsAre("bytes=1000-", ""));
  EXPECT_EQ(Read(kWeights), weights_);

  std::filesystem::remove(Path(kWeights));
  Write("model.safetensors.part", weights_ + "and more");
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(Read(kWeights), weights_);
}

TEST_F(FetchTest, WrongBytesAreDeleted) {
  for (const std::string name : {"tokenizer.json", kWeights}) {
    hub_.intercept =
        [&](const HttpRequest& request) -> std::optional<HttpReply> {
      if (request.target != ContentPath(name)) return std::nullopt;
      HttpReply reply = hub_.Content(request, name);
      reply.body[0] ^= 1;
      return reply;
    };
    const absl::Status status = Fetch().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(status.message(), HasSubstr(name));
    EXPECT_THAT(
        status.message(),
        HasSubstr(name == kWeights ? "its sha256 is" : "its git sha1 is"));
    EXPECT_EQ(Read(name), "(none)");
    EXPECT_EQ(Read(absl::StrCat(name, ".part")), "(none)");
  }
}

TEST_F(FetchTest, MoreThanWasListedIsRefused) {
  Spoil(0, [](HttpReply* reply) { reply->body += "x"; });
  const absl::Status status = Fetch().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(status.message(), HasSubstr("longer than the 300000 bytes"));
  EXPECT_EQ(Read("model.safetensors.part"), "(none)");
}

TEST_F(FetchTest, PathTricksReachNoFile) {
  hub_.listing.push_back({{"type", "file"},
                          {"path", "../escaped.safetensors"},
                          {"size", 1},
                          {"oid", std::string(40, '1')}});
  const absl::Status status = Fetch().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(status.message(), HasSubstr("../escaped.safetensors"));
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(FetchTest, DoesNotWriteThroughALink) {
  const std::string victim = model::TestPath("victim");
  std::ofstream(victim) << "precious";
  std::filesystem::create_symlink(victim, Path("config.json.part"));
  EXPECT_FALSE(Fetch().ok());
  std::ifstream file(victim);
  std::string text;
  file >> text;
  EXPECT_EQ(text, "precious");
}

TEST_F(FetchTest, FollowsPages) {
  nlohmann::json all = hub_.listing;
  hub_.listing = {all[1], all[2]};
  hub_.intercept = [&](const HttpRequest& request) -> std::optional<HttpReply> {
    const std::string tree =
        absl::StrCat("/api/models/", kRepository, "/tree/", kCommit);
    if (request.target == tree + "?recursive=true") {
      // Where it points to is not where it is looked for.
      return HttpReply{200,
                       {"Link: <https://hub.invalid/x?cursor=2>; rel=\"next\""},
                       nlohmann::json{all[0], all[3]}.dump(),
                       {},
                       false};
    }
    if (request.target == tree + "?cursor=2") {
      return HttpReply{200, {}, hub_.listing.dump(), {}, false};
    }
    return std::nullopt;
  };
  auto report = Fetch();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->files.size(), 3u);
}

TEST_F(FetchTest, RevisionsAreEscaped) {
  revision_ = "refs/pr/1";
  EXPECT_TRUE(Fetch().ok());
  repository_ = "org/absent";
  const absl::Status status = Fetch().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(status.message(), HasSubstr("org/absent"));
  EXPECT_THAT(status.message(), HasSubstr("Repository not found"));
  repository_ = "nonsense";
  EXPECT_EQ(Fetch().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FetchTest, ChecksTheDiskFirst) {
  for (auto& entry : hub_.listing) {
    if (entry["path"] == kWeights) entry["lfs"]["size"] = uint64_t{1} << 43;
  }
  const absl::Status status = Fetch().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(hub_.Downloads("config.json").empty());
}

TEST_F(FetchTest, OneProcessAtATime) {
  const int lock = open(directory_.c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(flock(lock, LOCK_EX), 0);
  const absl::Status status = Fetch().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  close(lock);
  EXPECT_TRUE(Fetch().ok());
}

}  // namespace
}  // namespace braid::services::hub
