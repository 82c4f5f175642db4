#include "services/hub/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/hub/fetch_model.h"

namespace braid::services::hub {
namespace {

using testing::ElementsAre;

std::string Entry(const std::string& path, const std::string& size = "3") {
  return absl::StrCat(R"({"type":"file","path":")", path, R"(","size":)", size,
                      R"(,"oid":")", std::string(40, '1'), "\"}");
}

absl::Status Parse(const std::string& json) {
  std::vector<HubFile> files;
  return ParseListing(json, &files);
}

TEST(ListingTest, TakesFilesAtTheTop) {
  std::vector<HubFile> files;
  const absl::Status status = ParseListing(
      absl::StrCat("[", Entry("config.json"), ",", Entry("sub/config.json"),
                   ",", Entry(".gitattributes"),
                   R"(,{"type":"directory","path":"sub","oid":"","size":0})",
                   R"(,{"type":"file","path":"m.safetensors","size":9,"oid":")",
                   std::string(40, '2'), R"(","lfs":{"size":9,"oid":")",
                   std::string(64, '3'), R"("}})", "]"),
      &files);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].name, "config.json");
  EXPECT_EQ(files[0].bytes, 3u);
  EXPECT_EQ(files[0].digest_kind, DigestKind::kGitBlobSha1);
  EXPECT_EQ(files[1].bytes, 9u);
  EXPECT_EQ(files[1].digest_kind, DigestKind::kSha256);
  EXPECT_EQ(files[1].digest, std::string(64, '3'));
}

TEST(ListingTest, RefusesPathTricks) {
  for (const std::string path :
       {"../config.json", "/etc/x.safetensors", "a/../../config.json", "..",
        ".", "", "a//b", "a/", "a\\\\..\\\\config.json", "config.json\\u0000",
        "config\\n.json", "./config.json"}) {
    const absl::Status status = Parse(absl::StrCat("[", Entry(path), "]"));
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << path;
    EXPECT_TRUE(absl::StrContains(status.message(), "not a plain path"))
        << status;
  }
}

TEST(ListingTest, RefusesWhatMakesNoSense) {
  for (const std::string& json :
       {std::string("{}"), std::string("nonsense"), std::string("[3]"),
        std::string("[null]"), absl::StrCat("[", Entry("a", "-1"), "]"),
        absl::StrCat("[", Entry("a", "1.5"), "]"),
        absl::StrCat("[", Entry("a", "\"3\""), "]"),
        absl::StrCat("[", Entry("a", "99999999999999999"), "]"),
        absl::StrCat("[", Entry(std::string(201, 'a')), "]"),
        absl::StrCat("[", Entry("a"), ",", Entry("a"), "]"),
        std::string(R"([{"type":"file","path":"a","size":1,"oid":"12"}])"),
        std::string(R"([{"type":"file","path":"a","size":1,"oid":"x",)"
                    R"("lfs":{"size":1,"oid":7}}])")}) {
    EXPECT_EQ(Parse(json).code(), absl::StatusCode::kDataLoss) << json;
  }
  EXPECT_EQ(ParseCommit(R"({"sha":"../../x"})").status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseCommit("[]").status().code(), absl::StatusCode::kDataLoss);
}

TEST(ListingTest, FindsTheNextPage) {
  EXPECT_EQ(NextPageQuery(""), "");
  EXPECT_EQ(NextPageQuery("<https://elsewhere/api?recursive=true&cursor=a%3D>"
                          "; rel=\"next\""),
            "recursive=true&cursor=a%3D");
  EXPECT_EQ(NextPageQuery("<https://h/?p=1>; rel=\"prev\", <https://h/?p=3>; "
                          "rel=\"next\""),
            "p=3");
  EXPECT_EQ(NextPageQuery("<https://h/?p=1>; rel=\"last\""), "");
  EXPECT_EQ(NextPageQuery("<https://h/?p=1"), "");
}

TEST(ListingTest, SelectsWhatACheckpointNeeds) {
  const auto select = [](const std::vector<std::string>& names) {
    std::vector<HubFile> listed;
    for (const std::string& name : names) listed.push_back({name, 1, {}, ""});
    auto files = SelectFiles(listed);
    std::vector<std::string> selected;
    if (!files.ok()) return selected;
    for (const HubFile& file : *files) selected.push_back(file.name);
    return selected;
  };
  EXPECT_THAT(select({"README.md", "model.safetensors", "pytorch_model.bin",
                      "config.json", "consolidated.safetensors",
                      "tokenizer.json", "run.py", "chat_template.jinja"}),
              ElementsAre("config.json", "tokenizer.json",
                          "chat_template.jinja", "model.safetensors"));
  EXPECT_THAT(select({"consolidated.safetensors", "config.json"}),
              ElementsAre("config.json", "consolidated.safetensors"));
  EXPECT_THAT(select({"model.safetensors"}), ElementsAre());
  EXPECT_THAT(select({"config.json", "pytorch_model.bin"}), ElementsAre());
}

TEST(ListingTest, ChecksNames) {
  for (const char* good :
       {"ibm-granite/granite-4.0-h-tiny", "a/b", "A_1/x.y"}) {
    EXPECT_TRUE(CheckRepository(good).ok()) << good;
  }
  for (const char* bad :
       {"", "gpt2", "a/b/c", "a/", "/b", "../b", "a/..", "a/b?c", "a/b%2F",
        "a b/c", "-a/b", "a/b--c", "a/.b", "https://huggingface.co/a/b"}) {
    EXPECT_EQ(CheckRepository(bad).code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
  EXPECT_TRUE(CheckRevision("refs/pr/1").ok());
  EXPECT_TRUE(CheckRevision("v1.0").ok());
  for (const char* bad : {"", "a..b", "a b", "-x", "/x", "a\nb"}) {
    EXPECT_FALSE(CheckRevision(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace braid::services::hub
