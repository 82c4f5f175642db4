#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "braid/v1/document_service.grpc.pb.h"
#include "retrieval/filter/filter.h"
#include "services/server/convert.h"
#include "services/server/errors.h"
#include "services/server/ingest_stream.h"
#include "services/server/page_token.h"
#include "services/server/services.h"
#include "services/server/unary_call.h"
#include "services/server/validate.h"

namespace braid::services {
namespace {

// Documents read at once while a filter looks for matches.
constexpr size_t kScanBatch = 256;

absl::Status DocumentError(const absl::Status& status) {
  if (absl::IsNotFound(status)) return WithReason(status, "DOCUMENT_NOT_FOUND");
  if (absl::IsOutOfRange(status)) {
    return WithReason(status, "SEQUENCE_OUT_OF_RANGE");
  }
  return status;
}

// What is damaged may be of a document that the viewer may not see.
absl::Status ReadError(const absl::Status& status,
                       const retrieval::Viewer& viewer) {
  if (absl::IsDataLoss(status) && !viewer.sees_all()) {
    return absl::DataLossError("the store is damaged");
  }
  return DocumentError(status);
}

// COLLECTION_NOT_FOUND unless the collection is there.
absl::StatusOr<retrieval::CollectionConfig> FindCollection(
    const Call& call, const std::string& collection) {
  auto config = call.runtime().backend().store()->GetCollection(collection);
  if (!config.ok()) return CollectionError(config.status());
  return config;
}

// Whether the viewer may see what a document is or, with `past`, was: a right
// that was taken away is not got back through the past.
absl::StatusOr<bool> IsVisible(const retrieval::Viewer& viewer,
                               const retrieval::StoreSnapshot& snapshot,
                               const std::string& collection,
                               const retrieval::DocumentInfo& document,
                               bool past) {
  if (viewer.sees_all()) return true;
  if (!viewer.Sees(document.readers)) return false;
  if (!past) return true;
  const auto readers = snapshot.GetReaders(collection, document.id);
  if (absl::IsNotFound(readers.status())) return false;
  if (!readers.ok()) return readers.status();
  return viewer.Sees(*readers);
}

absl::StatusOr<retrieval::DocumentInfo> Find(
    const retrieval::StoreSnapshot& snapshot, const GetDocumentQuery& query) {
  const std::string& collection = query.name.collection;
  const std::string& id = query.name.document;
  return query.version != 0
             ? snapshot.GetDocumentVersion(collection, id, query.version)
         : query.sequence != 0
             ? snapshot.GetDocumentAt(collection, id, query.sequence)
             : snapshot.GetDocument(collection, id);
}

// As Find, for somebody who sees only some documents. All that is not there for
// them, for whatever reason, is not there in the same words.
absl::StatusOr<retrieval::DocumentInfo> FindVisible(
    const retrieval::StoreSnapshot& snapshot, const GetDocumentQuery& query,
    const retrieval::Viewer& viewer) {
  auto document = Find(snapshot, query);
  if (document.ok()) {
    const bool past = query.version != 0 || query.sequence != 0;
    const auto visible =
        IsVisible(viewer, snapshot, query.name.collection, *document, past);
    if (!visible.ok()) return visible.status();
    if (*visible) return document;
  } else if (!absl::IsNotFound(document.status())) {
    // That a sequence cannot be read is said before any document is looked for;
    // that a version is no longer kept says that there was one.
    const bool of_version =
        absl::IsOutOfRange(document.status()) && query.version != 0;
    if (!of_version) return document.status();
  }
  return absl::NotFoundError(
      absl::StrCat("there is no document \"", query.name.document, "\""));
}

absl::Status Get(const Call& call, const v1::GetDocumentRequest& request,
                 v1::GetDocumentResponse* response) {
  const auto query = Parse(request, call.limits());
  if (!query.ok()) return query.status();
  const std::string& collection = query->name.collection;
  const auto config = FindCollection(call, collection);
  if (!config.ok()) return config.status();
  const retrieval::Viewer viewer = ViewerIn(*config, call.principal());
  const auto snapshot = call.runtime().backend().store()->snapshot();
  const auto document = viewer.sees_all()
                            ? Find(*snapshot, *query)
                            : FindVisible(*snapshot, *query, viewer);
  if (!document.ok()) return ReadError(document.status(), viewer);
  auto text =
      snapshot->GetTextRange(collection, *document, {0, document->text_bytes});
  if (!text.ok()) return text.status();
  ToProto(collection, *document, viewer, response->mutable_document());
  response->mutable_document()->set_text(*std::move(text));
  if (!request.include_chunks()) return absl::OkStatus();
  const auto chunks = snapshot->GetChunks(collection, *document);
  if (!chunks.ok()) return chunks.status();
  for (const retrieval::Chunk& chunk : *chunks) {
    ToProto(collection, chunk, response->add_chunks());
  }
  return absl::OkStatus();
}

// The next documents after `after` that name one of the viewer's names. No
// other document is looked at.
absl::StatusOr<retrieval::DocumentsAt> NextReadable(
    const retrieval::StoreSnapshot& snapshot, const std::string& collection,
    const retrieval::Viewer& viewer, const std::string& after) {
  std::set<std::string> ids;
  for (const std::string& name : viewer.names()) {
    const absl::Status status = snapshot.ForEachReadable(
        collection, name, after,
        [&](const retrieval::ReadableDocument& document) {
          if (ids.size() == kScanBatch && document.id > *ids.rbegin()) {
            return false;
          }
          ids.insert(document.id);
          if (ids.size() > kScanBatch) ids.erase(std::prev(ids.end()));
          return true;
        });
    if (!status.ok()) return status;
  }
  retrieval::DocumentsAt batch;
  batch.seen = ids.size();
  batch.last = ids.empty() ? after : *ids.rbegin();
  batch.complete = ids.size() < kScanBatch;
  for (const std::string& id : ids) {
    auto document = snapshot.GetDocument(collection, id);
    if (!document.ok()) return document.status();
    batch.documents.push_back(*std::move(document));
  }
  return batch;
}

// Looks at the next ids after `after`, as they are or, unless `sequence` is 0,
// as they were. Not all of what it finds need be visible.
absl::StatusOr<retrieval::DocumentsAt> NextDocuments(
    const retrieval::StoreSnapshot& snapshot, const std::string& collection,
    retrieval::Sequence sequence, const retrieval::Viewer& viewer,
    const std::string& after) {
  if (sequence != 0) {
    return snapshot.ListDocumentsAt(collection, sequence, after, kScanBatch);
  }
  if (!viewer.sees_all()) {
    return NextReadable(snapshot, collection, viewer, after);
  }
  auto documents = snapshot.ListDocuments(collection, after, kScanBatch);
  if (!documents.ok()) return documents.status();
  retrieval::DocumentsAt batch;
  batch.seen = documents->size();
  batch.last = documents->empty() ? after : documents->back().id;
  batch.complete = documents->size() < kScanBatch;
  batch.documents = *std::move(documents);
  return batch;
}

absl::Status List(const Call& call, const v1::ListDocumentsRequest& request,
                  v1::ListDocumentsResponse* response) {
  auto query = Parse(request, call.limits());
  if (!query.ok()) return query.status();
  const auto config = FindCollection(call, query->collection);
  if (!config.ok()) return config.status();
  const retrieval::Viewer viewer = ViewerIn(*config, call.principal());
  std::optional<retrieval::Filter> filter;
  if (!query->filter.empty()) {
    auto parsed = retrieval::Filter::Parse(query->filter);
    if (!parsed.ok()) return parsed.status();
    filter = *std::move(parsed);
  }
  const auto snapshot = call.runtime().backend().store()->snapshot();
  const std::string scope =
      DocumentsPageScope(query->collection, query->filter, query->sequence);
  const int size = static_cast<int>(query->page.size);
  std::string after = query->page.after;
  // Where the next page begins. A token can be read: it names no document that
  // the caller may not see, and such documents do not end a page.
  std::string last = after;
  for (size_t scanned = 0; scanned < call.limits().max_scanned_documents;) {
    absl::Status status = call.Alive();
    if (!status.ok()) return status;
    const auto batch = NextDocuments(*snapshot, query->collection,
                                     query->sequence, viewer, after);
    if (!batch.ok()) return ReadError(batch.status(), viewer);
    for (const retrieval::DocumentInfo& document : batch->documents) {
      const auto visible = IsVisible(viewer, *snapshot, query->collection,
                                     document, query->sequence != 0);
      if (!visible.ok()) return ReadError(visible.status(), viewer);
      if (!*visible) continue;
      if (!filter.has_value() || filter->Matches(document)) {
        // One match more than fits says that there is a next page.
        if (response->documents_size() == size) {
          response->set_next_page_token(MakePageToken(scope, last));
          return absl::OkStatus();
        }
        ToProto(query->collection, document, viewer, response->add_documents());
      }
      last = document.id;
      if (!viewer.sees_all()) ++scanned;
    }
    if (batch->complete) return absl::OkStatus();
    after = batch->last;
    if (viewer.sees_all()) {
      last = after;
      scanned += batch->seen;
    }
  }
  response->set_next_page_token(MakePageToken(scope, last));
  return absl::OkStatus();
}

absl::Status Delete(const Call& call, const v1::DeleteDocumentRequest& request,
                    v1::DeleteDocumentResponse* response) {
  const auto name = ParseDocument("name", request.name(), call.limits());
  if (!name.ok()) return name.status();
  absl::Status status = FindCollection(call, name->collection).status();
  if (!status.ok()) return status;
  const auto sequence = call.runtime().backend().store()->DeleteDocument(
      name->collection, name->document);
  if (absl::IsNotFound(sequence.status()) && request.allow_missing()) {
    return absl::OkStatus();
  }
  if (!sequence.ok()) return DocumentError(sequence.status());
  response->set_sequence(*sequence);
  return absl::OkStatus();
}

absl::Status DeleteMatching(Call& call,
                            const v1::DeleteDocumentsRequest& request,
                            v1::DeleteDocumentsResponse* response) {
  auto query = Parse(request, call.limits());
  if (!query.ok()) return query.status();
  const auto config = FindCollection(call, query->collection);
  if (!config.ok()) return config.status();
  const auto filter = retrieval::Filter::Parse(query->filter);
  if (!filter.ok()) return filter.status();
  // One that only counts is a lookup.
  std::shared_ptr<Operation> operation;
  if (!query->validate_only) {
    operation = call.StartOperation(OperationKind::kDeleteDocuments,
                                    /*collection=*/"");
    operation->SetCollection(query->collection, config->document_access);
  }
  retrieval::Store* const store = call.runtime().backend().store();
  const auto snapshot = store->snapshot();
  const auto matches = [&](const retrieval::DocumentInfo& document) {
    return filter->Matches(document);
  };
  for (size_t scanned = 0; scanned < call.limits().max_scanned_documents;) {
    // Its client must not go on with the next page.
    if (call.operation_cancelled()) return call.Alive();
    // What was deleted so far is told even when the time is up.
    if (scanned > 0 && !call.Alive().ok()) break;
    const auto batch =
        snapshot->ListDocuments(query->collection, query->after, kScanBatch);
    if (!batch.ok()) return batch.status();
    std::vector<std::string> ids;
    for (const retrieval::DocumentInfo& document : *batch) {
      if (matches(document)) ids.push_back(document.id);
    }
    if (query->validate_only) {
      response->set_deleted_count(response->deleted_count() + ids.size());
    } else if (!ids.empty()) {
      // Asks again: a document may have changed since the snapshot.
      const auto deleted =
          store->DeleteDocuments(query->collection, ids, matches);
      if (!deleted.ok()) return CollectionError(deleted.status());
      operation->Add(deleted->deleted, /*failed=*/0);
      response->set_deleted_count(response->deleted_count() + deleted->deleted);
      if (deleted->deleted > 0) response->set_sequence(deleted->sequence);
    }
    if (batch->size() < kScanBatch) return absl::OkStatus();
    query->after = batch->back().id;
    scanned += batch->size();
  }
  response->set_next_page_token(MakePageToken(
      DeleteDocumentsScope(query->collection, query->filter), query->after));
  return absl::OkStatus();
}

absl::Status Patch(const Call& call, const v1::PatchDocumentRequest& request,
                   v1::PatchDocumentResponse* response) {
  const auto query = Parse(request, call.limits());
  if (!query.ok()) return query.status();
  const std::string& collection = query->name.collection;
  const auto config = FindCollection(call, collection);
  if (!config.ok()) return config.status();
  if (query->patch.readers.has_value() && !config->document_access) {
    return InvalidFields(
        {{"readers",
          "the collection has no document access: whoever may read it reads "
          "all of it"}});
  }
  const auto result = call.runtime().backend().store()->PatchMetadata(
      collection, query->name.document, query->patch);
  if (!result.ok()) return DocumentError(result.status());
  ToProto(collection, result->document, ViewerIn(*config, call.principal()),
          response->mutable_document());
  response->set_sequence(result->sequence);
  return absl::OkStatus();
}

using Base = v1::DocumentService::WithRawCallbackMethod_Ingest<
    v1::DocumentService::WithCallbackMethod_GetDocument<
        v1::DocumentService::WithCallbackMethod_ListDocuments<
            v1::DocumentService::WithCallbackMethod_DeleteDocument<
                v1::DocumentService::WithCallbackMethod_DeleteDocuments<
                    v1::DocumentService::WithCallbackMethod_PatchDocument<
                        v1::DocumentService::Service>>>>>>;

class DocumentService final : public Base {
 public:
  explicit DocumentService(ServerCore* core) : core_(core) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Ingest(
      grpc::CallbackServerContext* context) override {
    return StartIngest(core_, context);
  }
  grpc::ServerUnaryReactor* GetDocument(
      grpc::CallbackServerContext* context,
      const v1::GetDocumentRequest* request,
      v1::GetDocumentResponse* response) override {
    return UnaryCall<v1::GetDocumentRequest, v1::GetDocumentResponse>::Start(
        core_, &core_->lookups, context, "DocumentService/GetDocument", request,
        response, Get);
  }
  grpc::ServerUnaryReactor* ListDocuments(
      grpc::CallbackServerContext* context,
      const v1::ListDocumentsRequest* request,
      v1::ListDocumentsResponse* response) override {
    return UnaryCall<v1::ListDocumentsRequest, v1::ListDocumentsResponse>::
        Start(core_, &core_->lookups, context, "DocumentService/ListDocuments",
              request, response, List);
  }
  grpc::ServerUnaryReactor* DeleteDocument(
      grpc::CallbackServerContext* context,
      const v1::DeleteDocumentRequest* request,
      v1::DeleteDocumentResponse* response) override {
    return UnaryCall<v1::DeleteDocumentRequest, v1::DeleteDocumentResponse>::
        Start(core_, &core_->lookups, context, "DocumentService/DeleteDocument",
              request, response, Delete);
  }
  grpc::ServerUnaryReactor* DeleteDocuments(
      grpc::CallbackServerContext* context,
      const v1::DeleteDocumentsRequest* request,
      v1::DeleteDocumentsResponse* response) override {
    return UnaryCall<v1::DeleteDocumentsRequest, v1::DeleteDocumentsResponse>::
        Start(core_, &core_->lookups, context,
              "DocumentService/DeleteDocuments", request, response,
              DeleteMatching);
  }
  grpc::ServerUnaryReactor* PatchDocument(
      grpc::CallbackServerContext* context,
      const v1::PatchDocumentRequest* request,
      v1::PatchDocumentResponse* response) override {
    return UnaryCall<v1::PatchDocumentRequest, v1::PatchDocumentResponse>::
        Start(core_, &core_->lookups, context, "DocumentService/PatchDocument",
              request, response, Patch);
  }

 private:
  ServerCore* const core_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeDocumentService(ServerCore* core) {
  return std::make_unique<DocumentService>(core);
}

}  // namespace braid::services
