// Reading documents of packed formats, whose blocks all come from the whole
// file.
#ifndef BRAID_TESTS_INGEST_PACKED_DOCUMENT_H_
#define BRAID_TESTS_INGEST_PACKED_DOCUMENT_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/ingest/test_util.h"

namespace braid::retrieval {

// A block as "kind level: text".
inline std::vector<std::string> Blocks(const ParsedDocument& document) {
  static constexpr const char* kKinds[] = {"heading", "text", "item", "table",
                                           "code"};
  std::vector<std::string> blocks;
  for (const Block& block : document.blocks) {
    blocks.push_back(
        absl::StrCat(kKinds[static_cast<int>(block.kind)],
                     block.level > 0 ? absl::StrCat(" ", block.level) : "",
                     ": ", Slice(document.text, block.text_range)));
  }
  return blocks;
}

// Parses; every block's source is the whole file.
inline ParsedDocument Read(const std::string& name,
                           const std::string& content) {
  auto document = ParseSource(Source(name, content));
  EXPECT_TRUE(document.ok()) << document.status();
  if (!document.ok()) return {};
  CheckAllProperties(*document, content);
  for (const Block& block : document->blocks) {
    EXPECT_EQ(block.source_range, (ByteRange{0, content.size()}));
    EXPECT_EQ(MapToSource(document->source_map, block.text_range),
              block.source_range);
  }
  return *std::move(document);
}

// The error, which begins with the name.
inline absl::Status Refusal(const std::string& name,
                            const std::string& content) {
  const absl::Status status = ParseSource(Source(name, content)).status();
  EXPECT_THAT(std::string(status.message()), ::testing::StartsWith(name));
  return status;
}

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_INGEST_PACKED_DOCUMENT_H_
