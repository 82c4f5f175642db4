// The check of what a collection keeps of the past.
#ifndef BRAID_RETRIEVAL_STORE_VERIFY_HISTORY_H_
#define BRAID_RETRIEVAL_STORE_VERIFY_HISTORY_H_

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "retrieval/store/database.h"
#include "retrieval/store/record.pb.h"
#include "retrieval/store/snapshot.h"

namespace braid::retrieval {

// Is told of a document (empty: none) what is wrong.
using DamageSink =
    std::function<void(absl::string_view document, absl::string_view what)>;

// Reads every past state and its text, and checks that the two ways to a state
// lead to each other, that the counters fit, and that every stored text belongs
// to a version that is there or was. `texts` are the sequences of the texts of
// the documents that are there, in any order.
void CheckHistory(const Database& database, const DatabaseSnapshot& snapshot,
                  const braid::store::CollectionRecord& collection,
                  std::vector<Sequence> texts, const std::stop_token& stop,
                  const DamageSink& damage);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_STORE_VERIFY_HISTORY_H_
