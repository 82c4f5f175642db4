#include "retrieval/ingest/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ =
        fs::path(::testing::TempDir()) / absl::StrCat("braid_files_", getpid());
    fs::create_directories(root_ / "docs/sub");
    fs::create_directories(root_ / "docs/.git");
    fs::create_directories(root_ / "outside");
    for (const char* name :
         {"docs/b.md", "docs/a.txt", "docs/sub/c.html", "docs/.git/config",
          "docs/.hidden", "outside/secret"}) {
      std::ofstream(root_ / name) << name;
    }
    fs::create_directory_symlink(root_ / "outside", root_ / "docs/linked");
    fs::create_directory_symlink(root_ / "docs", root_ / "docs/sub/loop");
    fs::create_symlink(root_ / "outside/secret", root_ / "docs/escape");
    fs::create_symlink(root_ / "docs/a.txt", root_ / "docs/z.txt");
    mkfifo((root_ / "docs/pipe").c_str(), 0600);
  }
  void TearDown() override { fs::remove_all(root_); }

  std::vector<std::string> Ids(const FileList& list) {
    std::vector<std::string> ids;
    for (const FoundFile& file : list.files) ids.push_back(file.document_id);
    return ids;
  }

  fs::path root_;
};

TEST_F(FilesTest, WalksADirectoryWithoutLeavingIt) {
  const FileList list = ExpandPaths({(root_ / "docs").string()});
  EXPECT_THAT(Ids(list), ElementsAre("a.txt", "b.md", "sub/c.html", "z.txt"));
  EXPECT_THAT(list.errors, IsEmpty());
  auto source = ReadSourceFile(list.files[2], 100);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->content, "docs/sub/c.html");
  EXPECT_EQ(source->document_id, "sub/c.html");
  EXPECT_EQ(std::get<std::string>(source->metadata.at("path")), "sub/c.html");
  // The same with a slash at the end.
  EXPECT_EQ(Ids(ExpandPaths({(root_ / "docs").string() + "/"})), Ids(list));
}

TEST_F(FilesTest, TakesFilesPatternsAndStdinOnce) {
  const std::string docs = (root_ / "docs").string();
  const FileList list = ExpandPaths(
      {docs + "/a.txt", docs + "/*.txt", docs + "/[b].md", "-", "-"});
  ASSERT_THAT(list.files, SizeIs(4));
  EXPECT_EQ(list.files[0].path, docs + "/a.txt");
  EXPECT_EQ(list.files[0].document_id, docs.substr(1) + "/a.txt");
  EXPECT_EQ(list.files[1].path, docs + "/z.txt");
  EXPECT_EQ(list.files[2].path, docs + "/b.md");
  EXPECT_EQ(list.files[3].document_id, "stdin");
  EXPECT_THAT(list.errors, IsEmpty());
}

TEST_F(FilesTest, ErrorsNameTheFile) {
  const std::string docs = (root_ / "docs").string();
  const FileList list =
      ExpandPaths({docs + "/none", docs + "/*.none", docs + "/pipe"});
  EXPECT_THAT(list.files, IsEmpty());
  ASSERT_THAT(list.errors, SizeIs(3));
  EXPECT_EQ(list.errors[0].status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(list.errors[1].status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(list.errors[2].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadSourceFile({docs + "/none", "x"}, 9).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadSourceFile({docs + "/pipe", "x"}, 9).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadSourceFile({docs, "x"}, 9).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadSourceFile({docs + "/a.txt", "x"}, 9).status().code(),
            absl::StatusCode::kResourceExhausted);
  if (getuid() != 0) {
    chmod((docs + "/a.txt").c_str(), 0);
    EXPECT_EQ(ReadSourceFile({docs + "/a.txt", "x"}, 99).status().code(),
              absl::StatusCode::kPermissionDenied);
  }
}

}  // namespace
}  // namespace braid::retrieval
