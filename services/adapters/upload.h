// POST /v1/{collection=collections/*}/documents:upload: one file, as it is.
#ifndef BRAID_SERVICES_ADAPTERS_UPLOAD_H_
#define BRAID_SERVICES_ADAPTERS_UPLOAD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "braid/v1/document_service.pb.h"
#include "services/adapters/grpc_bridge.h"
#include "services/http/server.h"

namespace braid::services::adapters {

// The body is the file, the query has the other fields: `document_id`
// (required), `file_name` (the id by default), `request_id`, `force`. The
// content-type is the media type; those that say nothing
// (application/octet-stream, a form) leave it to the content.
absl::StatusOr<v1::IngestRequest> UploadOf(const std::string& collection,
                                           const http::Request& request);

// Ingests it and answers with the IngestResponse as JSON, or the error of a
// document that failed. False, and nothing done, for another path.
bool ServeUpload(GrpcBridge* bridge,
                 const std::shared_ptr<http::Exchange>& exchange);

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_UPLOAD_H_
