// Real documents: the PostgreSQL manual and the shared samples.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/ingest/test_util.h"

namespace braid::retrieval {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PostgresManual : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(Directory())) {
      GTEST_SKIP() << "the package postgresql-doc-15 is not installed";
    }
  }
  static std::string Directory() {
    return "/usr/share/doc/postgresql-doc-15/html";
  }
  static ParsedDocument Page(const std::string& name, std::string* html) {
    *html = ReadAll(Directory() + "/" + name);
    auto document = ParseSource(Source(name, *html));
    EXPECT_TRUE(document.ok()) << document.status();
    return document.ok() ? *std::move(document) : ParsedDocument();
  }
  static std::vector<ChunkSpan> Chunks(const ParsedDocument& document) {
    return *ChunkDocument(document, ChunkingConfig(), FakeEncoder());
  }
};

TEST_F(PostgresManual, ErrorCodesAreOneLinePerRow) {
  std::string html;
  const ParsedDocument page = Page("errcodes-appendix.html", &html);
  EXPECT_EQ(page.title, "Appendix A. PostgreSQL Error Codes");
  EXPECT_EQ(page.media_type, "text/html");
  EXPECT_THAT(page.text, HasSubstr("\n40P01 | deadlock_detected\n"));
  EXPECT_THAT(page.text, HasSubstr("\n53200 | out_of_memory\n"));
  EXPECT_FALSE(absl::StrContains(page.text, "Prev"));
  // The row's source range holds the row, cell tags and all, and little else.
  const size_t at = page.text.find("40P01 | deadlock_detected");
  const ByteRange source = MapToSource(
      page.source_map, {at, at + sizeof("40P01 | deadlock_detected") - 1});
  const std::string row = Slice(html, source);
  EXPECT_TRUE(absl::StartsWith(row, "40P01")) << row;
  EXPECT_TRUE(absl::EndsWith(row, "deadlock_detected")) << row;
  size_t found = 0;
  for (const ChunkSpan& chunk : Chunks(page)) {
    const std::string text = Slice(page.text, chunk.text_range);
    if (!absl::StrContains(text, "40P01")) continue;
    ++found;
    EXPECT_THAT(text, HasSubstr("40P01 | deadlock_detected"));
    EXPECT_THAT(chunk.headings,
                ElementsAre("Appendix A. PostgreSQL Error Codes"));
    EXPECT_THAT(Slice(html, chunk.source_range), HasSubstr("40P01"));
    EXPECT_LE(chunk.token_count, 200u);
  }
  EXPECT_EQ(found, 1u);
}

TEST_F(PostgresManual, SettingsStayWithTheirDescription) {
  std::string html;
  const ParsedDocument page = Page("runtime-config-wal.html", &html);
  EXPECT_THAT(page.text,
              HasSubstr("max_wal_size (integer)\nMaximum size to let the WAL "
                        "grow during automatic checkpoints."));
  for (const ChunkSpan& chunk : Chunks(page)) {
    const std::string text = Slice(page.text, chunk.text_range);
    if (!absl::StrContains(text, "max_wal_size (integer)")) continue;
    EXPECT_THAT(text, HasSubstr("Maximum size to let the WAL"));
    EXPECT_THAT(chunk.headings,
                ElementsAre("20.5. Write Ahead Log", "20.5.2. Checkpoints"));
  }
}

TEST_F(PostgresManual, SynopsisKeepsItsLines) {
  std::string html;
  const ParsedDocument page = Page("sql-vacuum.html", &html);
  EXPECT_EQ(page.title, "VACUUM");
  const Block* synopsis = nullptr;
  for (const Block& block : page.blocks) {
    if (block.kind == BlockKind::kCode && synopsis == nullptr) {
      synopsis = &block;
    }
  }
  ASSERT_NE(synopsis, nullptr);
  const std::vector<std::string> lines =
      absl::StrSplit(Slice(page.text, synopsis->text_range), '\n');
  ASSERT_GT(lines.size(), 10u);
  EXPECT_EQ(lines[0],
            "VACUUM [ ( option [, ...] ) ] [ table_and_columns [, ...] ]");
  EXPECT_THAT(lines, ::testing::Contains("    FULL [ boolean ]"));
  EXPECT_THAT(
      lines, ::testing::Contains("    table_name [ ( column_name [, ...] ) ]"));
}

TEST_F(PostgresManual, EveryPageHoldsItsProperties) {
  size_t pages = 0;
  size_t bytes = 0;
  size_t chunks = 0;
  double seconds = 0;
  for (const auto& entry : fs::directory_iterator(Directory())) {
    if (entry.path().extension() != ".html") continue;
    SourceFile source = Source(entry.path().filename(), ReadAll(entry.path()));
    bytes += source.content.size();
    const std::clock_t started = std::clock();
    auto page = ParseSource(source);
    ASSERT_TRUE(page.ok()) << page.status();
    auto spans = ChunkDocument(*page, ChunkingConfig(), FakeEncoder());
    seconds += static_cast<double>(std::clock() - started) / CLOCKS_PER_SEC;
    ASSERT_TRUE(spans.ok());
    chunks += spans->size();
    CheckBlocks(*page, source.content);
    if (HasFatalFailure()) FAIL() << source.file_name;
    for (const ChunkSpan& chunk : *spans) {
      ASSERT_LE(chunk.token_count, 200u) << source.file_name;
    }
    ++pages;
  }
  EXPECT_GT(pages, 1000u);
  RecordProperty("pages", static_cast<int>(pages));
  std::printf("%zu pages, %.1f MB, %zu chunks: %.2f CPU s, %.1f MB/s\n", pages,
              bytes / 1e6, chunks, seconds, bytes / 1e6 / seconds);
}

class SharedSamples : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(Directory())) {
      GTEST_SKIP() << "no samples in " << Directory();
    }
  }
  static std::string Directory() {
    return std::string(BRAID_SHARED_DIR) + "/data/ingest";
  }
};

TEST_F(SharedSamples, BadBytesAreNamedByTheirOffset) {
  const std::string name = "derived__nul.md";
  auto document = ParseSource(Source(name, ReadAll(Directory() + "/" + name)));
  EXPECT_EQ(document.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(document.status().message()), HasSubstr("offset"));
}

TEST_F(SharedSamples, CommonMarkSpecKeepsItsStructure) {
  const std::string spec = ReadAll(Directory() + "/commonmark__spec.md");
  auto document = ParseSource(Source("commonmark__spec.md", spec));
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->title, "CommonMark Spec");
  EXPECT_EQ(document->text, spec);
  EXPECT_EQ(std::get<std::string>(document->metadata.at("author")),
            "John MacFarlane");
  size_t examples = 0;
  std::vector<std::string> headings;
  for (const Block& block : document->blocks) {
    const std::string text = Slice(spec, block.text_range);
    if (block.kind == BlockKind::kCode &&
        absl::StrContains(text, " example\n")) {
      ++examples;
    }
    if (block.kind == BlockKind::kHeading) headings.push_back(block.heading);
  }
  // The spec numbers its examples; every one is a fenced block.
  size_t fences = 0;
  for (absl::string_view line : absl::StrSplit(spec, '\n')) {
    if (absl::EndsWith(line, "``` example")) ++fences;
  }
  EXPECT_GT(fences, 600u);
  EXPECT_EQ(examples, fences);
  EXPECT_THAT(headings, ::testing::Contains("Thematic breaks"));
}

}  // namespace
}  // namespace braid::retrieval
