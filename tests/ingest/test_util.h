// Reading test files, and the properties that hold for every parsed document.
#ifndef BRAID_TESTS_INGEST_TEST_UTIL_H_
#define BRAID_TESTS_INGEST_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/chunker.h"
#include "retrieval/ingest/parser.h"
#include "retrieval/ingest/utf8.h"
#include "tests/ingest/fake_encoder.h"

namespace braid::retrieval {

inline std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return std::move(content).str();
}

inline SourceFile Source(std::string name, std::string content) {
  SourceFile source;
  source.document_id = name;
  source.file_name = std::move(name);
  source.content = std::move(content);
  return source;
}

inline std::string Slice(absl::string_view text, ByteRange range) {
  return std::string(text.substr(range.begin, range.size()));
}

inline std::string WithoutSpace(absl::string_view text) {
  std::string result;
  for (char c : text) {
    if (!absl::ascii_isspace(c)) result += c;
  }
  return result;
}

// Blocks are in order, disjoint, inside the text and between characters; source
// ranges lie inside the source.
inline void CheckBlocks(const ParsedDocument& document,
                        absl::string_view source) {
  ASSERT_EQ(FindInvalidUtf8(document.text), std::string::npos);
  uint64_t last = 0;
  for (const Block& block : document.blocks) {
    ASSERT_GE(block.text_range.begin, last);
    ASSERT_GT(block.text_range.end, block.text_range.begin);
    ASSERT_LE(block.text_range.end, document.text.size());
    ASSERT_TRUE(IsCharBoundary(document.text, block.text_range.begin));
    ASSERT_TRUE(IsCharBoundary(document.text, block.text_range.end));
    ASSERT_LT(block.source_range.begin, block.source_range.end);
    ASSERT_LE(block.source_range.end, source.size());
    last = block.text_range.end;
  }
}

// Chunks are in order, between characters, no longer than allowed, and together
// hold the text of every block.
inline void CheckChunks(const ParsedDocument& document,
                        absl::string_view source, ChunkingConfig config) {
  FakeEncoder encoder;
  auto chunks = ChunkDocument(document, config, encoder);
  ASSERT_TRUE(chunks.ok()) << chunks.status();
  std::string covered(document.text.size(), 0);
  uint64_t last_begin = 0;
  for (const ChunkSpan& chunk : *chunks) {
    const ByteRange range = chunk.text_range;
    ASSERT_LE(range.end, document.text.size());
    ASSERT_LE(range.begin, range.end);
    ASSERT_GE(range.begin, last_begin);
    last_begin = range.begin;
    ASSERT_TRUE(IsCharBoundary(document.text, range.begin));
    ASSERT_TRUE(IsCharBoundary(document.text, range.end));
    ASSERT_LE(chunk.source_range.begin, chunk.source_range.end);
    ASSERT_LE(chunk.source_range.end, source.size());
    const size_t tokens =
        encoder.TokenStarts(Slice(document.text, range))->size();
    if (config.strategy == ChunkingStrategy::kStructure) {
      ASSERT_LE(tokens, config.max_tokens) << Slice(document.text, range);
    }
    for (uint64_t i = range.begin; i < range.end; ++i) covered[i] = 1;
  }
  for (const Block& block : document.blocks) {
    uint64_t lost = block.text_range.begin;
    while (lost < block.text_range.end &&
           (covered[lost] || absl::ascii_isspace(document.text[lost]))) {
      ++lost;
    }
    ASSERT_EQ(lost, block.text_range.end)
        << "not in any chunk: a byte of \""
        << Slice(document.text, block.text_range) << '"';
  }
}

inline void CheckAllProperties(const ParsedDocument& document,
                               absl::string_view source) {
  CheckBlocks(document, source);
  for (uint32_t max_tokens : {1u, 7u, 40u, 200u}) {
    for (uint32_t overlap : {0u, max_tokens / 4, max_tokens / 2}) {
      ChunkingConfig config;
      config.max_tokens = max_tokens;
      config.overlap_tokens = overlap;
      CheckChunks(document, source, config);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  ChunkingConfig whole;
  whole.strategy = ChunkingStrategy::kWhole;
  CheckChunks(document, source, whole);
}

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_INGEST_TEST_UTIL_H_
