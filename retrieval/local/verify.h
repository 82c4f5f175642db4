// The check of a data directory: the store, and both indexes against it.
#ifndef BRAID_RETRIEVAL_LOCAL_VERIFY_H_
#define BRAID_RETRIEVAL_LOCAL_VERIFY_H_

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

// What a check of the two indexes of a collection found.
struct IndexReport {
  std::string collection;
  uint64_t store_chunks = 0;
  uint64_t bm25_chunks = 0;
  uint64_t dense_chunks = 0;
  Sequence sequence = 0;  // of the store, at the check
  // What is wrong, as `lexical: ...` or `dense: ...`. Being behind the store is
  // not: an index catches up from the log.
  std::vector<std::string> damage;
  // Of these, what was built anew and is right now: `lexical`, `dense`.
  std::vector<std::string> repaired;

  bool whole() const { return damage.size() == repaired.size(); }
};

struct DataReport {
  // Why the store cannot be opened. `store` then says what could be read of it
  // all the same, and the indexes were not looked at.
  absl::Status store_opened;
  StoreReport store;
  std::vector<IndexReport> collections;

  // Nothing was wrong, or what was is right now.
  bool whole() const;
};

// Checks a data directory that no process has open; needs no encoder. The store
// is only read. An index that is damaged, that cannot catch up, or that does
// not hold what the store held at its sequence (chunk ids, and bit for bit the
// vectors) is built anew if `repair`. UNAVAILABLE if another process has the
// directory, NOT_FOUND if it holds no store, CANCELLED.
absl::StatusOr<DataReport> VerifyData(const std::string& directory, bool repair,
                                      const std::stop_token& stop);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_VERIFY_H_
