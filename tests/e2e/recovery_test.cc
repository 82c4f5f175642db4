// `doctor --verify`, `backup`, `restore`, `documents patch` and deletes by
// filter, through the binary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "tests/e2e/braid_binary.h"

namespace braid::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Content hash and version by id.
std::map<std::string, std::string> Documents(
    const std::vector<std::string>& target) {
  std::vector<std::string> arguments = {"documents", "list", "--json"};
  arguments.insert(arguments.end(), target.begin(), target.end());
  const Output list = RunBraid(arguments);
  EXPECT_EQ(list.exit_code, 0) << list.err;
  std::map<std::string, std::string> documents;
  for (const Json& line : list.JsonLines()) {
    if (!line.contains("document_id")) continue;
    documents[line["document_id"]] =
        line["content_hash"].get<std::string>() + line["version"].dump();
  }
  return documents;
}

std::string Rows(int first, int count) {
  std::string rows;
  for (int i = first; i < first + count; ++i) {
    rows += Json{{"id", "d" + std::to_string(i)},
                 {"text", "Report " + std::to_string(i) +
                              " of the harbour master on the tide."},
                 {"metadata", {{"number", i}}}}
                .dump() +
            "\n";
  }
  return rows;
}

fs::path AnyFile(const std::string& directory, const std::string& extension) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == extension) return entry.path();
  }
  ADD_FAILURE() << "no " << extension << " in " << directory;
  return "";
}

void FlipMiddle(const fs::path& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(fs::file_size(path) / 2));
  const char byte = static_cast<char>(file.peek() ^ 1);
  file.seekp(static_cast<std::streamoff>(fs::file_size(path) / 2));
  file.put(byte);
}

TEST(RecoveryTest, DoctorBackupRestorePatchAndDelete) {
  const ScratchDirectory scratch;
  const std::string data = scratch / "data";
  const std::vector<std::string> local = {"--data", data};
  const Output ingest = RunBraid(
      {"ingest", scratch.Write("rows.jsonl", Rows(0, 40)), "--data", data});
  ASSERT_EQ(ingest.exit_code, 0) << ingest.err;

  // Metadata and deletes.
  Output patch =
      RunBraid({"documents", "patch", "d1", "d2", "--set", "state=open",
                "--set", "number=900", "--data", data, "--json"});
  ASSERT_EQ(patch.exit_code, 0) << patch.err;
  EXPECT_EQ(patch.LastJson()["metadata"]["number"], 900);
  EXPECT_EQ(RunBraid({"documents", "patch", "d1", "--set", "x", "--data", data})
                .exit_code,
            2);
  Output dry = RunBraid({"documents", "delete", "--filter", "number >= 30",
                         "--dry-run", "--data", data, "--json"});
  ASSERT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_EQ(dry.LastJson()["deleted"], 12);
  EXPECT_EQ(Documents(local).size(), 40u);
  Output deleted =
      RunBraid({"documents", "delete", "--filter",
                "number >= 30 AND number < 900", "--data", data, "--json"});
  ASSERT_EQ(deleted.exit_code, 0) << deleted.err;
  EXPECT_EQ(deleted.LastJson()["deleted"], 10);
  EXPECT_EQ(RunBraid({"documents", "delete", "--data", data}).exit_code, 2);

  // A damaged index is found, and built anew only if it may be.
  Output doctor = RunBraid({"doctor", "--verify", "--data", data, "--json"});
  ASSERT_EQ(doctor.exit_code, 0) << doctor.out << doctor.err;
  EXPECT_EQ(doctor.LastJson()["verify"]["documents"], 30);
  const std::string indexes = data + "/indexes/default";
  FlipMiddle(AnyFile(indexes + "/lexical", ".term"));
  fs::remove(indexes + "/dense/MANIFEST");
  doctor =
      RunBraid({"doctor", "--verify", "--no-repair", "--data", data, "--json"});
  EXPECT_EQ(doctor.exit_code, 1) << doctor.out;
  EXPECT_EQ(doctor.LastJson()["verify"]["indexes"][0]["damage"].size(), 2u)
      << doctor.out;
  doctor = RunBraid({"doctor", "--verify", "--data", data});
  EXPECT_EQ(doctor.exit_code, 0) << doctor.out << doctor.err;
  EXPECT_THAT(doctor.out, HasSubstr("checksum mismatch"));
  EXPECT_THAT(doctor.out,
              HasSubstr("built anew from the store: default: dense"));
  doctor = RunBraid({"doctor", "--verify", "--data", data, "--json"});
  EXPECT_EQ(doctor.LastJson()["verify"]["indexes"][0]["damage"].size(), 0u);

  // A backup of a server that is being written to.
  const std::string backup = scratch / "backup";
  std::map<std::string, std::string> before;
  {
    ServerProcess server(data);
    ASSERT_FALSE(server.address().empty()) << server.process().Wait().err;
    before = Documents({"--address", server.address()});
    BraidProcess writing({"ingest",
                          scratch.Write("more.jsonl", Rows(1000, 400)),
                          "--address", server.address()});
    const Output copied =
        RunBraid({"backup", backup, "--address", server.address(), "--json"});
    ASSERT_EQ(copied.exit_code, 0) << copied.err;
    EXPECT_GT(copied.LastJson()["files"], 3);
    EXPECT_EQ(writing.Wait().exit_code, 0);
    EXPECT_EQ(
        RunBraid({"backup", backup, "--address", server.address()}).exit_code,
        1)
        << "there already";
    // In use.
    EXPECT_EQ(
        RunBraid({"restore", backup, "--data", data, "--replace"}).exit_code,
        4);
    doctor = RunBraid(
        {"doctor", "--verify", "--address", server.address(), "--json"});
    EXPECT_EQ(doctor.exit_code, 0) << doctor.out << doctor.err;
    EXPECT_TRUE(doctor.LastJson()["verify"]["whole"]);
  }

  // A damaged store is reported, file by file, and replaced by the backup.
  FlipMiddle(AnyFile(data + "/store", ".sst"));
  doctor = RunBraid({"doctor", "--verify", "--data", data, "--json"});
  EXPECT_EQ(doctor.exit_code, 1) << doctor.out;
  EXPECT_THAT(doctor.LastJson()["verify"]["damage"].dump(), HasSubstr(".sst"));
  EXPECT_EQ(RunBraid({"restore", backup, "--check"}).exit_code, 0);
  EXPECT_EQ(RunBraid({"restore", backup, "--data", data}).exit_code, 1);
  const Output restored =
      RunBraid({"restore", backup, "--data", data, "--replace"});
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  const auto after = Documents(local);
  for (const auto& [id, hash] : before) {
    const auto there = after.find(id);
    ASSERT_NE(there, after.end()) << id;
    EXPECT_EQ(there->second, hash) << id;
  }
  const Output search =
      RunBraid({"search", "harbour master", "--data", data, "--json"});
  EXPECT_EQ(search.exit_code, 0) << search.err;
  doctor = RunBraid({"doctor", "--verify", "--data", data, "--json"});
  EXPECT_EQ(doctor.exit_code, 0) << doctor.out;
}

TEST(History, OldVersionsAreReadableAndPartOfABackup) {
  const ScratchDirectory scratch;
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--data", scratch / "data", "--json"});
    return RunBraid(arguments);
  };
  const std::string file = scratch.Write("note.md", "First words.\n");
  const Output ingested = run({"ingest", file});
  ASSERT_EQ(ingested.exit_code, 0);
  const std::string id = ingested.JsonLines()[0]["document_id"];
  scratch.Write("note.md", "Second words.\n");
  ASSERT_EQ(run({"ingest", file}).exit_code, 0);
  ASSERT_EQ(run({"documents", "delete", id}).exit_code, 0);
  EXPECT_EQ(run({"documents", "list"}).LastJson()["count"], 0);
  EXPECT_EQ(run({"documents", "list", "--as-of", "1"}).LastJson()["count"], 1);

  ASSERT_EQ(run({"backup", scratch / "backup"}).exit_code, 0);
  ASSERT_EQ(RunBraid({"restore", scratch / "backup", "--data", scratch / "data",
                      "--replace"})
                .exit_code,
            0);
  const Output doctor = run({"doctor", "--verify"});
  EXPECT_EQ(doctor.exit_code, 0) << doctor.out << doctor.err;
  const Output first = run({"documents", "get", id, "--version", "1"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.LastJson()["text"], "First words.\n");
  const Output second = run({"documents", "get", id, "--as-of", "2"});
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(second.LastJson()["text"], "Second words.\n");
  EXPECT_EQ(run({"documents", "get", id}).exit_code, 1);
  EXPECT_EQ(run({"documents", "get", id, "--as-of", "9"}).exit_code, 2);
  EXPECT_EQ(
      run({"documents", "get", id, "--as-of", "1", "--version", "1"}).exit_code,
      2);

  // Without a history it is forgotten, soon after the start.
  const std::string config =
      scratch.Write("braid.toml", "history_retention = \"0s\"\n");
  Output gone;
  for (int i = 0; i < 20 && gone.exit_code <= 0; ++i) {
    gone = run({"documents", "get", id, "--version", "1", "--config", config});
  }
  EXPECT_EQ(gone.exit_code, 2) << gone.out;
  EXPECT_THAT(gone.err, HasSubstr("no longer kept"));
}

}  // namespace
}  // namespace braid::testing
