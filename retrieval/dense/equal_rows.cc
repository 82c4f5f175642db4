#include "retrieval/dense/equal_rows.h"

#include <algorithm>
#include <cstring>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"

namespace braid::retrieval {

EqualRows GroupEqualRows(const std::vector<SourceRow>& rows, size_t dimension) {
  const size_t bytes = dimension * sizeof(float);
  const auto count = static_cast<uint32_t>(rows.size());
  struct Hashed {
    uint64_t hash;
    uint32_t row;
  };
  std::vector<Hashed> hashed(count);
  for (uint32_t row = 0; row < count; ++row) {
    const absl::string_view content(
        reinterpret_cast<const char*>(rows[row].vector), bytes);
    hashed[row] = {absl::HashOf(content), row};
  }
  std::sort(hashed.begin(), hashed.end(), [](const Hashed& a, const Hashed& b) {
    return a.hash != b.hash ? a.hash < b.hash : a.row < b.row;
  });

  // first[row]: the first row with the same vector.
  std::vector<uint32_t> first(count);
  std::vector<uint32_t> distinct;  // of one hash: one, but for collisions
  for (size_t i = 0; i < count; ++i) {
    if (i == 0 || hashed[i].hash != hashed[i - 1].hash) distinct.clear();
    const uint32_t row = hashed[i].row;
    const auto same =
        std::find_if(distinct.begin(), distinct.end(), [&](uint32_t other) {
          return std::memcmp(rows[other].vector, rows[row].vector, bytes) == 0;
        });
    if (same != distinct.end()) {
      first[row] = *same;
    } else {
      first[row] = row;
      distinct.push_back(row);
    }
  }

  EqualRows equal;
  std::vector<uint32_t> group(count);
  std::vector<uint32_t> sizes;
  for (uint32_t row = 0; row < count; ++row) {
    if (first[row] == row) {
      group[row] = static_cast<uint32_t>(sizes.size());
      sizes.push_back(0);
    } else {
      group[row] = group[first[row]];
    }
    ++sizes[group[row]];
  }
  equal.first_rows.reserve(sizes.size() + 1);
  equal.first_rows.push_back(0);
  for (const uint32_t size : sizes) {
    equal.first_rows.push_back(equal.first_rows.back() + size);
  }
  equal.order.resize(count);
  std::vector<uint32_t> next(equal.first_rows.begin(),
                             equal.first_rows.end() - 1);
  for (uint32_t row = 0; row < count; ++row) {
    equal.order[next[group[row]]++] = row;
  }
  return equal;
}

}  // namespace braid::retrieval
