// Rankings, and the TREC files they are written to.
#ifndef BRAID_SERVICES_EVAL_RUN_FILE_H_
#define BRAID_SERVICES_EVAL_RUN_FILE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/eval/metrics.h"

namespace braid::services {

struct RankedDocument {
  std::string id;
  double score = 0;
};

// Query id -> documents, best first, each once.
using Run = std::map<std::string, std::vector<RankedDocument>>;

Rankings ToRankings(const Run& run);

// Appends unless the document is there already (a document of several chunks
// counts at its best rank) or the list holds `limit`.
void AppendRanked(std::vector<RankedDocument>* list, RankedDocument document,
                  size_t limit);

// `query Q0 document rank score tag` lines. trec_eval sorts by score, compares
// them as float and breaks ties by document id, so a score that is not below
// the one before is lowered to the next smaller float: every reader sees our
// order. INVALID_ARGUMENT for an id with white space, which the format cannot
// hold.
absl::Status WriteTrecRun(const Run& run, const std::string& tag,
                          const std::string& path);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_RUN_FILE_H_
