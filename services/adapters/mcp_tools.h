// The tools of MCP: their schemas, their requests, their results.
#ifndef BRAID_SERVICES_ADAPTERS_MCP_TOOLS_H_
#define BRAID_SERVICES_ADAPTERS_MCP_TOOLS_H_

#include "absl/status/statusor.h"
#include "braid/v1/answer_service.pb.h"
#include "braid/v1/retrieval_service.pb.h"
#include "google/rpc/status.pb.h"
#include "services/adapters/answer_text.h"
#include "services/adapters/json.h"

namespace braid::services::adapters {

// From the arguments of a call. INVALID_ARGUMENT naming one that is wrong or
// not known.
absl::StatusOr<v1::SearchRequest> SearchOf(const Json& arguments);
absl::StatusOr<v1::AnswerRequest> AnswerOf(const Json& arguments);

// Results: text for a model, and the same as structured content.
Json SearchResult(const v1::SearchResponse& response);
Json AnswerResult(const AnswerText& answer);
Json ErrorResult(const google::rpc::Status& status);

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_MCP_TOOLS_H_
