#include "services/bench/bench_queries.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/eval/beir.h"

namespace braid::services {

absl::StatusOr<std::vector<std::string>> ReadQueryTexts(const std::string& path,
                                                        size_t max) {
  const auto rows = ReadQueries(path);
  if (!rows.ok()) return rows.status();
  std::vector<std::string> texts;
  for (const DatasetQuery& row : *rows) {
    if (texts.size() < max) texts.push_back(row.text);
  }
  if (texts.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " has no queries"));
  }
  return texts;
}

}  // namespace braid::services
