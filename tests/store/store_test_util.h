// Random documents and temporary directories for the tests of the store.
#ifndef BRAID_TESTS_STORE_STORE_TEST_UTIL_H_
#define BRAID_TESTS_STORE_STORE_TEST_UTIL_H_

#include <unistd.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

// A directory that is removed with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name =
        (std::filesystem::temp_directory_path() / "braid_store_test_XXXXXX")
            .string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  std::string path(const std::string& name = "store") const {
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

inline CollectionConfig TestCollection(const std::string& id,
                                       uint32_t dimension) {
  CollectionConfig config;
  config.id = id;
  config.encoder = "test encoder";
  config.dimension = dimension;
  return config;
}

inline uint64_t TestSeed() {
  const uint64_t seed = std::random_device()();
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
  printf("seed %lu\n", static_cast<unsigned long>(seed));
  return seed;
}

// A document with `chunk_count` chunks that share out its text.
inline DocumentWrite RandomDocument(std::mt19937_64& random,
                                    const std::string& id, uint32_t dimension,
                                    uint32_t chunk_count, size_t text_bytes) {
  DocumentWrite write;
  write.id = id;
  write.title = absl::StrCat("title ", random() % 1000);
  write.media_type = "text/plain";
  write.content_hash = absl::StrCat(random());
  for (size_t i = 0; i < text_bytes; ++i) {
    write.text.push_back(static_cast<char>('a' + random() % 26));
  }
  write.metadata = {{"number", static_cast<double>(random() % 100)},
                    {"flag", random() % 2 == 0},
                    {"text", absl::StrCat("value ", random() % 10)},
                    {"list", std::vector<std::string>{"a", "b"}}};
  for (uint32_t i = 0; i < chunk_count; ++i) {
    ChunkSpan span;
    span.text_range = {text_bytes * i / chunk_count,
                       text_bytes * (i + 1) / chunk_count};
    span.source_range = {span.text_range.begin + 7, span.text_range.end + 7};
    span.headings = {absl::StrCat("heading ", i), "inner"};
    span.page = i + 1;
    span.token_count = static_cast<uint32_t>(random() % 200);
    write.chunks.push_back(span);
    for (uint32_t d = 0; d < dimension; ++d) {
      write.vectors.push_back(
          std::uniform_real_distribution<float>(-1, 1)(random));
    }
  }
  return write;
}

// The result of writing one document, which must succeed.
inline WriteResult PutOne(Store* store, const std::string& collection,
                          const DocumentWrite& write, bool force = false) {
  const std::vector<absl::StatusOr<WriteResult>> results =
      store->PutDocuments(collection, {write}, force);
  EXPECT_EQ(results.size(), 1u);
  EXPECT_TRUE(results[0].ok()) << results[0].status();
  return results[0].ok() ? *results[0] : WriteResult();
}

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_STORE_STORE_TEST_UTIL_H_
