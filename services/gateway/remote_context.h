// BuildContext in the process that has the documents.
#ifndef BRAID_SERVICES_GATEWAY_REMOTE_CONTEXT_H_
#define BRAID_SERVICES_GATEWAY_REMOTE_CONTEXT_H_

#include "absl/status/statusor.h"
#include "services/pipeline/context.h"
#include "services/server/call.h"

namespace braid::services {

// As BuildContext, with the rights of the caller of `call`. The stages that the
// other process tells of go to on_stage when it has answered, counted from this
// request's beginning; its view stays there, so what citations are compared
// with are the stored bytes that came with the passages. Errors as
// UpstreamError.
absl::StatusOr<Context> BuildRemoteContext(Call& call,
                                           const ContextQuery& query,
                                           const FoundSink& on_found);

}  // namespace braid::services

#endif  // BRAID_SERVICES_GATEWAY_REMOTE_CONTEXT_H_
