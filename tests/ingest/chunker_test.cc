#include "retrieval/ingest/chunker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "retrieval/ingest/sentences.h"
#include "tests/ingest/test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Cut {
  ParsedDocument document;
  std::vector<ChunkSpan> chunks;
  std::vector<std::string> texts;
};

Cut Chunk(const std::string& name, const std::string& source,
          uint32_t max_tokens, uint32_t overlap = 0) {
  Cut cut;
  cut.document = *ParseSource(Source(name, source));
  ChunkingConfig config;
  config.max_tokens = max_tokens;
  config.overlap_tokens = overlap;
  cut.chunks = *ChunkDocument(cut.document, config, FakeEncoder());
  for (const ChunkSpan& chunk : cut.chunks) {
    cut.texts.push_back(Slice(cut.document.text, chunk.text_range));
  }
  return cut;
}

TEST(Chunker, JoinsNeighboursUnderTheSameHeadings) {
  const Cut cut = Chunk("a.md",
                        "# A\n\none two\n\nthree\n\n## B\n\nfour five six\n\n"
                        "seven eight nine\n\n# C\n\n## D\n\nten\n",
                        8);
  EXPECT_THAT(cut.texts,
              ElementsAre("# A\n\none two\n\nthree", "## B\n\nfour five six",
                          "seven eight nine", "# C\n\n## D\n\nten"));
  EXPECT_THAT(cut.chunks[0].headings, ElementsAre("A"));
  EXPECT_THAT(cut.chunks[1].headings, ElementsAre("A", "B"));
  EXPECT_THAT(cut.chunks[2].headings, ElementsAre("A", "B"));
  EXPECT_THAT(cut.chunks[3].headings, ElementsAre("C", "D"));
  EXPECT_EQ(cut.chunks[1].token_count, 6u);
}

TEST(Chunker, AHeadingGoesWithTheTextBelow) {
  // The paragraph would fit alone, but not with its heading: it is cut.
  const Cut cut = Chunk("a.md", "# Head\n\nOne two. Three four. Five six.", 9);
  EXPECT_THAT(cut.texts,
              ElementsAre("# Head\n\nOne two. Three four.", "Five six."));
  // A heading with nothing below is not lost.
  EXPECT_THAT(Chunk("a.md", "# A\n\n# B\n\nx", 9).texts,
              ElementsAre("# A", "# B\n\nx"));
}

// A page is what a citation names; a heading may stand at the foot of one.
TEST(Chunker, DoesNotJoinPages) {
  ParsedDocument document;
  const auto add = [&document](BlockKind kind, const std::string& text,
                               uint32_t page) {
    Block block;
    block.kind = kind;
    block.level = 1;
    block.heading = text;
    block.text_range.begin = document.text.size();
    document.text += text + "\n\n";
    block.text_range.end = block.text_range.begin + text.size();
    block.page = page;
    document.blocks.push_back(block);
  };
  add(BlockKind::kParagraph, "one", 1);
  add(BlockKind::kParagraph, "two", 1);
  add(BlockKind::kParagraph, "three", 2);
  add(BlockKind::kHeading, "Four", 2);
  add(BlockKind::kParagraph, "five", 3);
  const auto chunks = ChunkDocument(document, ChunkingConfig(), FakeEncoder());
  ASSERT_TRUE(chunks.ok()) << chunks.status();
  std::vector<std::string> texts;
  std::vector<uint32_t> pages;
  for (const ChunkSpan& chunk : *chunks) {
    texts.push_back(Slice(document.text, chunk.text_range));
    pages.push_back(chunk.page);
  }
  EXPECT_THAT(texts, ElementsAre("one\n\ntwo", "three", "Four\n\nfive"));
  EXPECT_THAT(pages, ElementsAre(1u, 2u, 2u));
}

TEST(Chunker, CutsBetweenSentencesThenWordsThenInside) {
  EXPECT_THAT(Chunk("a.txt", "Aa bb cc. Dd ee? Ff gg hh ii jj kk. Ll", 4).texts,
              ElementsAre("Aa bb cc.", "Dd ee?", "Ff gg hh ii", "jj kk. Ll"));
  const Cut cut = Chunk("a.txt", std::string(1000, 'x'), 4);
  ASSERT_EQ(cut.texts.size(), 7u);  // 160 bytes each
  EXPECT_EQ(cut.texts[0].size(), 160u);
}

TEST(Chunker, TablesAndCodeAreCutBetweenLines) {
  EXPECT_THAT(
      Chunk("a.html",
            "<p>w w w w</p><table><tr><td>a<td>b<tr><td>c<td>d<tr><td>e<td>f"
            "</table>",
            6)
          .texts,
      ElementsAre("w w w w", "a | b\nc | d", "e | f"));
  EXPECT_THAT(Chunk("a.md", "```\na b c\n  d e\n  f g\n```", 7).texts,
              ElementsAre("```\na b c", "  d e\n  f g\n```"));
  // A table that fits stays whole.
  EXPECT_THAT(Chunk("a.html",
                    "<p>w w w w<table><tr><td>a<td>b<tr><td>c<td>d"
                    "</table>",
                    6)
                  .texts,
              ElementsAre("w w w w", "a | b\nc | d"));
}

TEST(Chunker, OverlapIsRepeatedOnlyWhereABlockIsCut) {
  EXPECT_THAT(Chunk("a.txt", "a b c d e f g h\n\ni j k l\n\nm n", 4, 2).texts,
              ElementsAre("a b c d", "c d e f", "e f g h", "i j k l", "m n"));
}

TEST(Chunker, WholeIsOneChunk) {
  ChunkingConfig config;
  config.strategy = ChunkingStrategy::kWhole;
  ParsedDocument document;
  document.text = " # x\n\ny ";
  document.blocks = PlainTextBlocks(document.text);
  auto chunks = ChunkDocument(document, config, FakeEncoder());
  ASSERT_EQ(chunks->size(), 1u);
  EXPECT_EQ(chunks->front().text_range, (ByteRange{0, 8}));
  EXPECT_EQ(chunks->front().source_range, (ByteRange{0, 8}));
  EXPECT_EQ(chunks->front().token_count, 3u);
  EXPECT_THAT(chunks->front().headings, IsEmpty());
  // A title without text can still be found.
  config.strategy = ChunkingStrategy::kStructure;
  EXPECT_EQ(ChunkDocument(ParsedDocument(), config, FakeEncoder())->size(), 1u);
}

TEST(Chunker, RefusesBadSizes) {
  for (const auto& [max_tokens, overlap] :
       {std::pair(0u, 0u), std::pair(10u, 6u)}) {
    ChunkingConfig config;
    config.max_tokens = max_tokens;
    config.overlap_tokens = overlap;
    EXPECT_EQ(
        ChunkDocument(ParsedDocument(), config, FakeEncoder()).status().code(),
        absl::StatusCode::kInvalidArgument);
  }
}

TEST(Chunker, EmbeddingTextIsTheBaselines) {
  ChunkSpan chunk;
  EXPECT_EQ(EmbeddingText("Title", chunk, "text"), "Title. text");
  EXPECT_EQ(EmbeddingText("", chunk, "text"), "text");
  EXPECT_EQ(LexicalTitle("Title", chunk), "Title");
  chunk.headings = {"Title", "A", "A", "B"};
  EXPECT_EQ(EmbeddingText("Title", chunk, "text"), "Title > A > B. text");
  EXPECT_EQ(EmbeddingText("Title", chunk, "## B\n\ntext"),
            "Title > A. ## B\n\ntext");
  EXPECT_EQ(EmbeddingText("Title", chunk, "# A\n\n## B\n\ntext"),
            "Title. # A\n\n## B\n\ntext");
  EXPECT_EQ(LexicalTitle("Title", chunk), "Title A B");
  EXPECT_EQ(LexicalTitle("", chunk), "Title A B");
  EXPECT_EQ(EmbeddingText("", chunk, "text"), "Title > A > B. text");
}

std::vector<std::string> Sentences(const std::string& text) {
  std::vector<std::string> result;
  for (ByteRange range{0, text.size()}; range.begin < range.end;) {
    const uint64_t end = FirstSentenceEnd(text, range);
    result.push_back(Slice(text, {range.begin, end}));
    range.begin = end;
  }
  return result;
}

TEST(Sentences, EndWherePeopleEndThem) {
  EXPECT_THAT(Sentences("One. Two? \"Three!\" (Four.) Five"),
              ElementsAre("One. ", "Two? ", "\"Three!\" ", "(Four.) ", "Five"));
  EXPECT_THAT(Sentences("By J. Smith, e.g. here, v1.2.3 and a.b."),
              ElementsAre("By J. Smith, e.g. here, v1.2.3 and a.b."));
  EXPECT_THAT(Sentences("\u4e00\u3002\u4e8c\uff1f\u4e09"),
              ElementsAre("\u4e00\u3002", "\u4e8c\uff1f", "\u4e09"));
  EXPECT_THAT(Sentences("wrapped\nline\n\nnext"),
              ElementsAre("wrapped\nline\n\n", "next"));
  EXPECT_THAT(Sentences("Wait... What?! Yes."),
              ElementsAre("Wait... ", "What?! ", "Yes."));
}

}  // namespace
}  // namespace braid::retrieval
