#include "services/cli/stored_documents.h"

#include <google/protobuf/util/message_differencer.h>

#include <utility>

#include "retrieval/ingest/prepare.h"
#include "retrieval/viewer.h"

namespace braid::services::cli {

absl::StatusOr<StoredDocuments> StoredDocuments::List(
    const std::string& collection, const Context& context,
    v1::DocumentService::Stub& stub) {
  StoredDocuments stored;
  v1::ListDocumentsRequest request;
  request.set_parent(CollectionName(collection));
  request.set_page_size(1000);
  do {
    v1::ListDocumentsResponse response;
    Call call(context);
    const absl::Status status =
        FromGrpc(stub.ListDocuments(call.get(), request, &response));
    if (absl::IsNotFound(status)) return stored;
    if (!status.ok()) return status;
    for (v1::Document& document : *response.mutable_documents()) {
      stored.documents_.emplace(
          document.document_id(),
          Stored{document.content_hash(),
                 std::move(*document.mutable_metadata()),
                 {document.readers().begin(), document.readers().end()}});
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return stored;
}

v1::IngestResponse::Outcome StoredDocuments::Foresee(
    const v1::IngestRequest& request) const {
  const bool source = request.has_source();
  const auto there = documents_.find(source ? request.source().document_id()
                                            : request.document().document_id());
  if (there == documents_.end()) return v1::IngestResponse::OUTCOME_CREATED;
  const std::string hash = retrieval::Sha256Hex(
      source ? request.source().content() : request.document().text());
  bool same = !request.force() && hash == there->second.content_hash;
  same = same && there->second.readers ==
                     retrieval::Normalized(
                         {request.readers().begin(), request.readers().end()});
  const auto& stored = there->second.metadata.fields();
  for (const auto& [key, value] :
       source ? request.source().metadata().fields()
              : request.document().metadata().fields()) {
    const auto old = stored.find(key);
    same =
        same && old != stored.end() &&
        google::protobuf::util::MessageDifferencer::Equals(old->second, value);
  }
  return same ? v1::IngestResponse::OUTCOME_UNCHANGED
              : v1::IngestResponse::OUTCOME_REPLACED;
}

std::vector<std::string> StoredDocuments::FilesBut(
    const std::set<std::string>& ids) const {
  std::vector<std::string> others;
  for (const auto& [id, stored] : documents_) {
    const auto path = stored.metadata.fields().find("path");
    if (path != stored.metadata.fields().end() &&
        path->second.string_value() == id && !ids.contains(id)) {
      others.push_back(id);
    }
  }
  return others;
}

}  // namespace braid::services::cli
