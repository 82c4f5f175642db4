#include "services/cli/file_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace braid::services::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class FileWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(testing::TempDir()) /
                 testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  std::string Write(const std::string& name, const std::string& content) {
    const std::filesystem::path path = directory_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }
  std::filesystem::path directory_;
};

TEST_F(FileWatchTest, ReportsWhatHasBeenTheSameForTwoLooks) {
  Write("old.md", "old");
  FileWatch watch({directory_.string()});
  EXPECT_THAT(watch.Look().changed, IsEmpty());
  const std::string path = Write("new.md", "n");
  EXPECT_THAT(watch.Look().changed, IsEmpty());
  Write("new.md", "new");  // still being written
  EXPECT_THAT(watch.Look().changed, IsEmpty());
  EXPECT_THAT(watch.Look().changed, ElementsAre(path));
  EXPECT_THAT(watch.Look().changed, IsEmpty());
  watch.Forget({path});
  EXPECT_THAT(watch.Look().changed, ElementsAre(path));
}

TEST_F(FileWatchTest, NoticesWhatDisappearsAndWhatIsBack) {
  const std::string path = Write("a.md", "a");
  FileWatch watch({directory_.string()});
  std::filesystem::remove(path);
  EXPECT_THAT(watch.Look().disappeared, ElementsAre("a.md"));
  EXPECT_FALSE(watch.Has("a.md"));
  EXPECT_THAT(watch.Look().disappeared, IsEmpty());
  Write("a.md", "a");
  watch.Look();
  EXPECT_TRUE(watch.Has("a.md"));
}

TEST_F(FileWatchTest, NothingDisappearsWithItsDirectory) {
  Write("a.md", "a");
  FileWatch watch({directory_.string()});
  std::filesystem::rename(directory_, directory_.string() + ".away");
  const FileWatch::Changes changes = watch.Look();
  EXPECT_THAT(changes.disappeared, IsEmpty());
  EXPECT_EQ(changes.errors.size(), 1u);
  std::filesystem::rename(directory_.string() + ".away", directory_);
  EXPECT_THAT(watch.Look().disappeared, IsEmpty());
}

}  // namespace
}  // namespace braid::services::cli
