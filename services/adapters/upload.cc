#include "services/adapters/upload.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/adapters/fields.h"
#include "services/adapters/json.h"
#include "services/adapters/path_template.h"
#include "services/adapters/status_reply.h"

namespace braid::services::adapters {
namespace {

const PathTemplate& UploadPath() {
  static const PathTemplate& path = *new PathTemplate(
      *PathTemplate::Parse("/v1/{collection=collections/*}/documents:upload"));
  return path;
}

std::string MediaTypeOf(const http::Request& request) {
  std::string type = request.Header("content-type");
  for (const char* vague :
       {"application/octet-stream", "application/x-www-form-urlencoded"}) {
    if (absl::StartsWithIgnoreCase(type, vague)) return "";
  }
  return type.substr(0, type.find(';'));
}

http::Reply ReplyOf(const google::rpc::Status& status,
                    const google::protobuf::Message* message) {
  if (message == nullptr) return ErrorReply(status);
  const auto& response = static_cast<const v1::IngestResponse&>(*message);
  if (response.outcome() == v1::IngestResponse::OUTCOME_FAILED) {
    return ErrorReply(response.error());
  }
  return {.content_type = kJsonType, .body = ToJson(response)};
}

}  // namespace

absl::StatusOr<v1::IngestRequest> UploadOf(const std::string& collection,
                                           const http::Request& request) {
  v1::IngestRequest ingest;
  v1::SourceFile* source = ingest.mutable_source();
  for (const auto& [field, value] : http::ParseQuery(request.query)) {
    absl::Status status = absl::InvalidArgumentError("unknown field");
    if (field == "document_id" || field == "file_name") {
      status = SetField(field, value, source);
    } else if (field == "request_id" || field == "force") {
      status = SetField(field, value, &ingest);
    }
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("invalid request: ", field, ": ", status.message()));
    }
  }
  if (source->file_name().empty()) {
    source->set_file_name(source->document_id());
  }
  absl::Status status = SetField("collection", collection, &ingest);
  if (status.ok()) {
    status = SetField("media_type", MediaTypeOf(request), source);
  }
  if (!status.ok()) return status;
  source->set_content(request.body);
  return ingest;
}

bool ServeUpload(GrpcBridge* bridge,
                 const std::shared_ptr<http::Exchange>& exchange) {
  const http::Request& request = exchange->request();
  const auto variables = UploadPath().Match(request.path);
  if (!variables.has_value() || request.method != "POST") return false;
  const auto headers = HeadersOf(request);
  auto ingest = UploadOf(variables->at("collection"), request);
  if (!headers.ok() || !ingest.ok()) {
    exchange->Send(
        ErrorReply(ToProto(headers.ok() ? ingest.status() : headers.status())));
    return true;
  }
  const auto call = CallUnary(
      bridge,
      *google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
          "braid.v1.DocumentService.Ingest"),
      *headers, std::make_unique<v1::IngestRequest>(*std::move(ingest)),
      [exchange](const GrpcBridge::Call&, const google::rpc::Status& status,
                 const google::protobuf::Message* message) {
        exchange->Send(ReplyOf(status, message));
      });
  exchange->OnGone([call] { call->Cancel(); });
  return true;
}

}  // namespace braid::services::adapters
