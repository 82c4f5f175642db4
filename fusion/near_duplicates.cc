#include "fusion/near_duplicates.h"

#include <algorithm>
#include <cstdint>

#include "absl/hash/hash.h"
#include "absl/strings/ascii.h"

namespace braid::fusion {
namespace {

constexpr size_t kShingleWords = 3;

// Hashes of the word 3-grams of a text (of its words, if it has fewer than
// three), sorted and distinct. Words are runs of letters, digits and bytes
// beyond ASCII, in lower case.
std::vector<uint64_t> Shingles(absl::string_view text) {
  std::vector<uint64_t> words;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) words.push_back(absl::HashOf(word));
    word.clear();
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || absl::ascii_isalnum(byte)) {
      word.push_back(absl::ascii_tolower(byte));
    } else {
      flush();
    }
  }
  flush();

  std::vector<uint64_t> shingles;
  if (words.size() < kShingleWords) {
    shingles = std::move(words);
  } else {
    shingles.reserve(words.size() - kShingleWords + 1);
    for (size_t i = 0; i + kShingleWords <= words.size(); ++i) {
      shingles.push_back(absl::HashOf(words[i], words[i + 1], words[i + 2]));
    }
  }
  std::sort(shingles.begin(), shingles.end());
  shingles.erase(std::unique(shingles.begin(), shingles.end()), shingles.end());
  return shingles;
}

double Jaccard(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b) {
  size_t common = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i] == b[j]) {
      ++common;
      ++i;
      ++j;
    } else if (a[i] < b[j]) {
      ++i;
    } else {
      ++j;
    }
  }
  const size_t either = a.size() + b.size() - common;
  return either == 0 ? 0.0 : static_cast<double>(common) / either;
}

}  // namespace

std::vector<size_t> FindNearDuplicates(
    absl::Span<const absl::string_view> texts,
    const NearDuplicateOptions& options) {
  std::vector<size_t> original(texts.size());
  std::vector<std::vector<uint64_t>> shingles(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    original[i] = i;
    shingles[i] = Shingles(texts[i]);
    for (size_t j = 0; j < i; ++j) {
      if (original[j] != j) continue;
      // The sizes alone bound the similarity: most pairs end here.
      const double smaller = std::min(shingles[i].size(), shingles[j].size());
      const double larger = std::max(shingles[i].size(), shingles[j].size());
      if (smaller < options.min_similarity * larger) continue;
      if (Jaccard(shingles[i], shingles[j]) >= options.min_similarity) {
        original[i] = j;
        break;
      }
    }
  }
  return original;
}

}  // namespace braid::fusion
