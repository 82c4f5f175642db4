// The check of a whole store, behind Store::Verify.
#ifndef BRAID_RETRIEVAL_STORE_VERIFY_H_
#define BRAID_RETRIEVAL_STORE_VERIFY_H_

#include <memory>
#include <stop_token>

#include "absl/status/statusor.h"
#include "retrieval/store/database.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

// Reads every table file whole, then every record at one snapshot. Keeps files
// from being removed meanwhile. `progress` may be null.
absl::StatusOr<StoreReport> VerifyStore(
    const std::shared_ptr<const Database>& database,
    const std::stop_token& stop, const VerifyWatcher& progress);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_STORE_VERIFY_H_
