// What the fault tests share.
#ifndef BRAID_TESTS_FAULT_FAULT_TESTING_H_
#define BRAID_TESTS_FAULT_FAULT_TESTING_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "retrieval/local/verify.h"
#include "retrieval/store/store.h"
#include "tests/local/fakes.h"
#include "tests/store/store_test_util.h"

namespace braid::retrieval {

// How much a test does: with BRAID_NIGHTLY=1 in the environment what it does in
// a night, otherwise what it does for every change.
inline uint64_t Count(uint64_t change, uint64_t night) {
  const char* const nightly = std::getenv("BRAID_NIGHTLY");
  return nightly != nullptr && *nightly == '1' ? night : change;
}

// A seed that BRAID_TEST_SEED repeats.
inline uint64_t FaultSeed() {
  const char* const fixed = std::getenv("BRAID_TEST_SEED");
  if (fixed == nullptr) return TestSeed();
  std::printf("seed %s\n", fixed);
  return std::strtoull(fixed, nullptr, 10);
}

// The words of the test documents: nothing that a stemmer changes.
inline std::string Word(uint64_t number) {
  std::string word = "q";
  for (int i = 0; i < 3; ++i, number /= 20) {
    word.push_back("bcdfghjklmnpqrtvwxz"[number % 19]);
  }
  return word + "uq";
}

inline constexpr uint64_t kWords = 300;

// Everything in it follows from `content`, so that a test can tell later
// whether it is whole. Its chunks are vectors of their texts.
inline DocumentWrite ContentDocument(const std::string& id, uint64_t content) {
  std::mt19937_64 random(content);
  const HashEncoder encoder;
  DocumentWrite write;
  write.id = id;
  write.title = Word(random() % kWords);
  write.media_type = "text/plain";
  write.content_hash = std::to_string(content);
  write.metadata = {{"number", static_cast<double>(random() % 100)},
                    {"word", Word(random() % kWords)}};
  const uint64_t chunks = 1 + random() % 3;
  for (uint64_t i = 0; i < chunks; ++i) {
    std::vector<std::string> words;
    for (uint64_t w = 4 + random() % 10; w > 0; --w) {
      words.push_back(Word(random() % kWords));
    }
    // Now and then one that fills blocks.
    if (random() % 50 == 0) words.insert(words.end(), 3000, words.front());
    const std::string text = absl::StrJoin(words, " ");
    ChunkSpan span;
    span.text_range = {write.text.size(), write.text.size() + text.size()};
    span.source_range = span.text_range;
    span.token_count = static_cast<uint32_t>(words.size());
    write.chunks.push_back(span);
    absl::StrAppend(&write.text, text, "\n");
    std::vector<float> vector(encoder.dimension());
    const absl::string_view view = text;
    EXPECT_TRUE(encoder.Embed({view}, vector.data()).ok());
    write.vectors.insert(write.vectors.end(), vector.begin(), vector.end());
  }
  return write;
}

// The same with readers, which follow from `content` as well: for a collection
// with document_access.
inline std::vector<std::string> ContentReaders(uint64_t content) {
  return {absl::StrCat("group:", content % 3),
          absl::StrCat("key:", content % 5)};
}
inline DocumentWrite ListedDocument(const std::string& id, uint64_t content) {
  DocumentWrite write = ContentDocument(id, content);
  write.readers = ContentReaders(content);
  return write;
}

// What is wrong with a stored document; empty if it is what
// ContentDocument(id, its content hash) made, metadata aside.
inline std::string CompareContent(const StoreSnapshot& snapshot,
                                  const std::string& collection,
                                  const DocumentInfo& info) {
  const DocumentWrite write = ContentDocument(
      info.id, std::strtoull(info.content_hash.c_str(), nullptr, 10));
  const auto text = snapshot.GetText(collection, info.id);
  if (!text.ok()) return text.status().ToString();
  if (*text != write.text) return "another text";
  if (info.title != write.title) return "another title";
  const auto chunks = snapshot.GetChunks(collection, info);
  if (!chunks.ok()) return chunks.status().ToString();
  if (chunks->size() != write.chunks.size()) return "another number of chunks";
  const auto vectors =
      snapshot.GetVectors(collection, info.first_chunk, info.chunk_count);
  if (!vectors.ok()) return vectors.status().ToString();
  return *vectors == write.vectors ? "" : "other vectors";
}

inline std::string Describe(const DataReport& report) {
  std::string text = report.store_opened.ok()
                         ? ""
                         : absl::StrCat(report.store_opened.ToString(), "; ");
  for (const StoreReport::Damage& damage : report.store.damage) {
    absl::StrAppend(&text, damage.collection, "/", damage.document, ": ",
                    damage.what, "; ");
  }
  for (const IndexReport& index : report.collections) {
    absl::StrAppend(&text, absl::StrJoin(index.damage, "; "));
  }
  return text;
}

inline std::string ReadBytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void WriteBytes(const std::filesystem::path& path,
                       const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_FAULT_FAULT_TESTING_H_
