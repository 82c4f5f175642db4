#include "services/eval/run_file.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace braid::services {
namespace {

bool HasWhiteSpace(const std::string& id) {
  return id.empty() || std::any_of(id.begin(), id.end(), [](char c) {
           return absl::ascii_isspace(static_cast<unsigned char>(c));
         });
}

absl::Status CannotHold(const std::string& id) {
  return absl::InvalidArgumentError(absl::StrCat(
      "a TREC run cannot hold the id \"", id, "\": it is empty or has blanks"));
}

}  // namespace

Rankings ToRankings(const Run& run) {
  Rankings rankings;
  for (const auto& [query, documents] : run) {
    std::vector<std::string>& ids = rankings[query];
    ids.reserve(documents.size());
    for (const RankedDocument& document : documents) ids.push_back(document.id);
  }
  return rankings;
}

void AppendRanked(std::vector<RankedDocument>* list, RankedDocument document,
                  size_t limit) {
  if (list->size() >= limit) return;
  for (const RankedDocument& there : *list) {
    if (there.id == document.id) return;
  }
  list->push_back(std::move(document));
}

absl::Status WriteTrecRun(const Run& run, const std::string& tag,
                          const std::string& path) {
  std::ofstream file(path, std::ios::trunc);
  if (!file) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": ", std::strerror(errno)));
  }
  for (const auto& [query, documents] : run) {
    if (HasWhiteSpace(query)) return CannotHold(query);
    float previous = std::numeric_limits<float>::infinity();
    for (size_t i = 0; i < documents.size(); ++i) {
      if (HasWhiteSpace(documents[i].id)) return CannotHold(documents[i].id);
      float score = static_cast<float>(documents[i].score);
      if (!(score < previous)) {
        score =
            std::nextafter(previous, -std::numeric_limits<float>::infinity());
      }
      previous = score;
      file << absl::StrFormat("%s Q0 %s %d %.9g %s\n", query, documents[i].id,
                              i + 1, score, tag);
    }
  }
  file.close();
  if (!file) return absl::DataLossError(absl::StrCat(path, ": cannot write"));
  return absl::OkStatus();
}

}  // namespace braid::services
