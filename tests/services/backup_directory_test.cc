// The list of files of a backup, as somebody else may have written it.
#include "services/backup/backup_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/hub/digest.h"

namespace braid::services::backup {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string Sha256(absl::string_view bytes) {
  hub::StreamDigest digest(hub::DigestKind::kSha256, bytes.size());
  digest.Add(bytes);
  return *digest.Finish();
}

class BackupDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = absl::StrCat(
        ::testing::TempDir(), "/braid_backup_",
        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
    auto writer = BackupWriter::Create(directory_);
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE((*writer)->BeginFile("000007.sst", 5).ok());
    ASSERT_TRUE((*writer)->Append("bytes").ok());
    ASSERT_TRUE((*writer)->EndFile(Sha256("bytes")).ok());
    ASSERT_TRUE((*writer)->Finish().ok());
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string List() const { return directory_ + "/backup.json"; }
  absl::Status Verify() const {
    return VerifyBackup(directory_, [](uint64_t) {}, {}).status();
  }
  // Of a list with a checksum that is right.
  absl::Status VerifyWith(const std::string& line) const {
    std::ofstream(List(), std::ios::binary | std::ios::trunc)
        << line << "\n"
        << Sha256(line) << "\n";
    return Verify();
  }

  std::string directory_;
};

std::string ListOf(absl::string_view files) {
  return absl::StrCat(R"({"format":"braid backup 1","version":"1",)",
                      R"("create_time":"2026-01-02T03:04:05+00:00","files":)",
                      files, "}");
}

std::string FileOf(absl::string_view name, absl::string_view bytes = "5",
                   std::string sha256 = Sha256("bytes")) {
  return absl::StrCat(R"({"name":")", name, R"(","bytes":)", bytes,
                      R"(,"sha256":")", sha256, R"("})");
}

TEST_F(BackupDirectoryTest, AListOfTheRightFormIsRead) {
  EXPECT_TRUE(Verify().ok());
  EXPECT_TRUE(VerifyWith(ListOf("[" + FileOf("000007.sst") + "]")).ok());
  EXPECT_TRUE(VerifyWith(ListOf("[]")).ok());
}

TEST_F(BackupDirectoryTest, AListThatNoBackupHasIsDamage) {
  const std::string file = FileOf("000007.sst");
  const std::vector<std::string> lists = {
      "",
      "null",
      "[]",
      "{}",
      "{",
      std::string(1 << 20, '['),
      absl::StrCat(R"({"files":)", std::string(1 << 20, '['), "}"),
      ListOf("3"),
      ListOf("{}") + "x",
      ListOf("[3]"),
      ListOf("[{}]"),
      ListOf("[[" + file + "]]"),
      ListOf("[" + file + "," + file + "]"),
      ListOf("[" + FileOf("") + "]"),
      ListOf("[" + FileOf("../CURRENT") + "]"),
      ListOf("[" + FileOf("/etc/passwd") + "]"),
      ListOf("[" + FileOf("a/b") + "]"),
      ListOf("[" + FileOf(".hidden") + "]"),
      ListOf("[" + FileOf("a\\u0000b") + "]"),
      ListOf("[" + FileOf(std::string(256, 'a')) + "]"),
      ListOf("[" + FileOf("000007.sst", "-5") + "]"),
      ListOf("[" + FileOf("000007.sst", "6") + "]"),
      ListOf("[" + FileOf("000007.sst", "1e30") + "]"),
      ListOf("[" + FileOf("000007.sst", R"("5")") + "]"),
      ListOf("[" + FileOf("000007.sst", "5", "") + "]"),
      ListOf("[" + FileOf("000007.sst", "5", Sha256("other")) + "]"),
      ListOf("[" + FileOf("000007.sst", "5", std::string(64, 'g')) + "]"),
      R"({"format":"braid backup 2","version":"1","create_time":"x","files":[]})",
      R"({"format":"braid backup 1","version":"1","create_time":"x","files":[]})",
      R"({"format":"braid backup 1","version":1,"files":[]})",
  };
  for (const std::string& list : lists) {
    const absl::Status status = VerifyWith(list);
    EXPECT_TRUE(absl::IsDataLoss(status)) << list.substr(0, 200) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(directory_));
  }
}

TEST_F(BackupDirectoryTest, AFileThatIsListedMustBeThere) {
  const absl::Status status = VerifyWith(ListOf("[" + FileOf("gone") + "]"));
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("gone"));
}

TEST_F(BackupDirectoryTest, ALinkIsNotFollowed) {
  const std::string file = directory_ + "/store/000007.sst";
  const std::string outside = directory_ + "/outside";
  fs::rename(file, outside);
  fs::create_symlink(outside, file);
  EXPECT_FALSE(Verify().ok());
}

TEST_F(BackupDirectoryTest, AListThatIsNoFileIsNotRead) {
  fs::remove(List());
  EXPECT_TRUE(absl::IsNotFound(Verify()));
  fs::create_directory(List());
  EXPECT_TRUE(absl::IsDataLoss(Verify())) << Verify();
}

}  // namespace
}  // namespace braid::services::backup
