#include "services/cli/ingest_sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace braid::services::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Visited {
  std::vector<std::string> ids;
  std::vector<v1::IngestRequest> requests;
  std::vector<std::string> errors;  // `origin: status`
};

Visited VisitAll(const std::vector<std::string>& arguments,
                 const SourceOptions& options = {}) {
  Visited visited;
  IngestSources(arguments).ForEach(
      options, [&](const std::string& origin,
                   absl::StatusOr<v1::IngestRequest> request) {
        if (!request.ok()) {
          visited.errors.push_back(origin + ": " + request.status().ToString());
          return true;
        }
        visited.ids.push_back(request->has_source()
                                  ? request->source().document_id()
                                  : request->document().document_id());
        visited.requests.push_back(*std::move(request));
        return true;
      });
  return visited;
}

class IngestSourcesTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(testing::TempDir()) /
                 testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }

  std::string Write(const std::string& name, const std::string& content) {
    const std::filesystem::path path = directory_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }

  std::filesystem::path directory_;
};

TEST_F(IngestSourcesTest, FilesBecomeSourcesAndRowsBecomeDocuments) {
  Write("a.md", "# A\n");
  Write("sub/b.html", "<p>b");
  Write("rows.jsonl",
        "{\"id\":\"r1\",\"title\":\"R\",\"text\":\"x\","
        "\"metadata\":{\"n\":1,\"origin\":\"row\"}}\n"
        "broken\n"
        "{\"id\":\"r2\",\"text\":\"y\"}\n");
  SourceOptions options;
  (*options.metadata.mutable_fields())["origin"].set_string_value("flag");
  const Visited visited = VisitAll({directory_.string()}, options);
  EXPECT_THAT(visited.ids, ElementsAre("a.md", "r1", "r2", "sub/b.html"));
  ASSERT_EQ(visited.errors.size(), 1u);
  EXPECT_THAT(visited.errors[0], HasSubstr("rows.jsonl:2"));
  ASSERT_EQ(visited.requests.size(), 4u);
  EXPECT_EQ(visited.requests[0].source().content(), "# A\n");
  EXPECT_EQ(visited.requests[0].source().file_name(), "a.md");
  const auto& row = visited.requests[1].document();
  EXPECT_EQ(row.title(), "R");
  EXPECT_EQ(row.metadata().fields().at("n").number_value(), 1);
  EXPECT_EQ(row.metadata().fields().at("origin").string_value(), "flag");
  const auto& file = visited.requests[3].source().metadata().fields();
  EXPECT_EQ(file.at("path").string_value(), "sub/b.html");
  EXPECT_EQ(file.at("origin").string_value(), "flag");
}

TEST_F(IngestSourcesTest, TwoFilesWithOneIdDoNotReplaceEachOther) {
  Write("one/same.md", "first");
  Write("two/same.md", "second");
  const Visited visited =
      VisitAll({(directory_ / "one").string(), (directory_ / "two").string()});
  EXPECT_THAT(visited.ids, ElementsAre("same.md"));
  ASSERT_EQ(visited.errors.size(), 1u);
  EXPECT_THAT(visited.errors[0], HasSubstr("ALREADY_EXISTS"));
  EXPECT_THAT(visited.errors[0], HasSubstr("one/same.md"));
}

TEST_F(IngestSourcesTest, WhatCannotBeReadIsAnErrorOfItsOwn) {
  const std::string large = Write("large.txt", std::string(100, 'x'));
  const std::string good = Write("good.txt", "fine");
  SourceOptions options;
  options.max_file_bytes = 50;
  const Visited visited =
      VisitAll({large, (directory_ / "absent").string(), good}, options);
  EXPECT_EQ(visited.ids.size(), 1u);
  EXPECT_THAT(visited.errors,
              testing::UnorderedElementsAre(HasSubstr("RESOURCE_EXHAUSTED"),
                                            HasSubstr("NOT_FOUND")));
}

TEST_F(IngestSourcesTest, KnowsWhetherFilesAreDocuments) {
  Write("a/a.md", "x");
  Write("b/b.jsonl.gz", "x");
  EXPECT_TRUE(
      IngestSources({(directory_ / "a").string()}).one_document_per_file());
  EXPECT_FALSE(IngestSources({directory_.string()}).one_document_per_file());
  EXPECT_FALSE(IngestSources({"-"}).one_document_per_file());
}

TEST(ParseMetadata, TypesValues) {
  const auto metadata =
      ParseMetadata("--metadata", {"year=1990", "draft=false", "author=Ada",
                                   "code=\"007\"", "tag=a", "tag=b", "empty="});
  ASSERT_TRUE(metadata.ok()) << metadata.status();
  const auto& fields = metadata->fields();
  EXPECT_EQ(fields.at("year").number_value(), 1990);
  EXPECT_TRUE(fields.at("draft").has_bool_value());
  EXPECT_EQ(fields.at("author").string_value(), "Ada");
  EXPECT_EQ(fields.at("code").string_value(), "007");
  ASSERT_EQ(fields.at("tag").list_value().values_size(), 2);
  EXPECT_EQ(fields.at("tag").list_value().values(1).string_value(), "b");
  EXPECT_TRUE(fields.at("empty").has_string_value());
}

TEST(ParseMetadata, RefusesWhatIsNoAssignment) {
  EXPECT_FALSE(ParseMetadata("--metadata", {"novalue"}).ok());
  EXPECT_FALSE(ParseMetadata("--metadata", {"=x"}).ok());
  EXPECT_FALSE(ParseMetadata("--metadata", {"n=1", "n=2"}).ok());
  // Not numbers that JSON or a filter could hold.
  EXPECT_TRUE(ParseMetadata("--metadata", {"x=inf"})
                  ->fields()
                  .at("x")
                  .has_string_value());
  EXPECT_TRUE(ParseMetadata("--metadata", {"x=nan"})
                  ->fields()
                  .at("x")
                  .has_string_value());
}

}  // namespace
}  // namespace braid::services::cli
