#include "retrieval/ingest/jsonl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>

#include "tests/ingest/test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Gzip(const std::string& text) {
  z_stream stream = {};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, 0);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = text.size();
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = out.size();
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// Ids of good lines and messages of bad ones, in order.
std::vector<std::string> ReadLines(const std::string& bytes,
                                   JsonlLimits limits = {}) {
  auto reader = JsonlReader::FromBytes(bytes, "f", limits);
  std::vector<std::string> result;
  while (auto next = reader->Next()) {
    result.push_back(next->ok() ? (*next)->document_id
                                : std::string(next->status().message()));
  }
  EXPECT_FALSE(reader->Next().has_value());
  return result;
}

TEST(Jsonl, ReadsAllFields) {
  auto document = ParseJsonlDocument(
      R"({"_id":"a/1","title":"T \u00e9","text":"line\nnext","metadata":)"
      R"({"n":1.5,"b":true,"s":"x","l":["p","q"],"o":{"k":{"d":"deep"}},)"
      R"("z":null}})");
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->document_id, "a/1");
  EXPECT_EQ(document->title, "T \u00e9");
  EXPECT_EQ(document->text, "line\nnext");
  ASSERT_EQ(document->metadata.size(), 5u);
  EXPECT_EQ(std::get<double>(document->metadata["n"]), 1.5);
  EXPECT_EQ(std::get<bool>(document->metadata["b"]), true);
  EXPECT_EQ(std::get<std::string>(document->metadata["s"]), "x");
  EXPECT_THAT(std::get<std::vector<std::string>>(document->metadata["l"]),
              ElementsAre("p", "q"));
  EXPECT_EQ(std::get<std::string>(document->metadata["o.k.d"]), "deep");
  EXPECT_EQ(ParseJsonlDocument(R"({"id":7,"text":""})")->document_id, "7");
}

TEST(Jsonl, BadLinesAreNumberedAndStopNothing) {
  const std::string lines =
      "{\"id\":\"1\",\"text\":\"a\"}\n"
      "not json\n"
      "\r\n"
      "{\"text\":\"a\"}\n"
      "{\"id\":\"x\"}\n"
      "{\"id\":\"x\",\"text\":3}\n"
      "{\"id\":[],\"text\":\"\"}\n"
      "{\"id\":\"\",\"text\":\"\"}\n"
      "{\"id\":\"x\",\"text\":\"\",\"title\":1}\n"
      "{\"id\":\"x\",\"text\":\"\",\"metadata\":[1]}\n"
      "{\"id\":\"x\",\"text\":\"\",\"metadata\":{\"a\":{\"b\":[1]}}}\n"
      "[1]\n"
      "{\"id\":\"x\",\"text\":\"\xFF\"}\n" +
      std::string(100000, '[') + "\n" +
      "{\"id\":\"2\",\"text\":\"b\"}\r\n"
      "{\"id\":\"3\",\"text\":\"no line end\"}";
  EXPECT_THAT(
      ReadLines(lines),
      ElementsAre("1", "f:2: not valid JSON", StartsWith("f:4: id: missing"),
                  "f:5: text: missing", "f:6: text: not a string",
                  "f:7: id: not a string", "f:8: id: is empty",
                  "f:9: title: not a string", "f:10: metadata: not an object",
                  HasSubstr("f:11: metadata.a.b: a list"),
                  "f:12: not a JSON object", HasSubstr("f:13: not UTF-8"),
                  HasSubstr("f:14: JSON nests"), "2", "3"));
}

TEST(Jsonl, ALongLineIsSkippedToItsEnd) {
  JsonlLimits limits;
  limits.max_line_bytes = 50;
  EXPECT_THAT(ReadLines("{\"id\":\"" + std::string(1 << 20, 'x') +
                            "\"}\n{\"id\":\"2\",\"text\":\"b\"}\n",
                        limits),
              ElementsAre(HasSubstr("f:1: the line is longer than 50"), "2"));
}

TEST(Jsonl, ReadsGzipOfSeveralMembers) {
  std::string lines;
  std::vector<std::string> ids;
  for (int i = 0; i < 20000; ++i) {
    lines += absl::StrCat("{\"id\":\"", i, "\",\"text\":\"t\"}\n");
    ids.push_back(absl::StrCat(i));
  }
  const std::string half = lines.substr(0, lines.size() / 2);
  const std::string rest = lines.substr(lines.size() / 2);
  const std::string gzip = Gzip(half) + Gzip(rest);
  EXPECT_EQ(ReadLines(gzip), ids);
  EXPECT_EQ(ReadLines(lines), ids);

  const std::string path = ::testing::TempDir() + "/corpus.jsonl.gz";
  std::ofstream(path, std::ios::binary) << gzip;
  auto reader = JsonlReader::Open(path);
  ASSERT_TRUE(reader.ok()) << reader.status();
  size_t count = 0;
  while (auto next = (*reader)->Next()) count += next->ok();
  EXPECT_EQ(count, ids.size());
  EXPECT_EQ((*reader)->line_number(), ids.size());
  std::filesystem::remove(path);
  EXPECT_EQ(JsonlReader::Open(path).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(Jsonl, DamagedGzipEndsWithAnError) {
  const std::string gzip = Gzip("{\"id\":\"1\",\"text\":\"a\"}\n");
  EXPECT_THAT(ReadLines(gzip.substr(0, gzip.size() - 5)),
              ElementsAre("1", HasSubstr("gzip ends too early")));
  std::string damaged = gzip;
  damaged[12] ^= 0x55;
  const std::vector<std::string> lines = ReadLines(damaged);
  ASSERT_FALSE(lines.empty());
  EXPECT_THAT(lines.back(), HasSubstr("gzip"));
}

}  // namespace
}  // namespace braid::retrieval
