// What a search needs of the store beside the search itself.
#ifndef BRAID_SERVICES_SERVER_SEARCH_CHECKS_H_
#define BRAID_SERVICES_SERVER_SEARCH_CHECKS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/backend.h"
#include "services/pipeline/context.h"
#include "services/runtime.h"
#include "services/server/call.h"

namespace braid::services {

// A client can only know sequences that were acknowledged, so one that the
// collection has not reached is a mistake: INVALID_ARGUMENT at once instead of
// a search that waits until its deadline. NOT_FOUND for an unknown collection.
absl::Status CheckSequence(Runtime& runtime, const retrieval::Query& query);

// CheckSequence, then BuildContext with the parents that the collection wants,
// of what the caller may read.
absl::StatusOr<Context> BuildLocalContext(const Call& call, ContextQuery query,
                                          const FoundSink& on_found);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_SEARCH_CHECKS_H_
