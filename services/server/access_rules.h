// What a caller must be allowed to make a call: one rule for each request. The
// reactors ask AccessOf for their request, so an RPC without a rule does not
// compile.
#ifndef BRAID_SERVICES_SERVER_ACCESS_RULES_H_
#define BRAID_SERVICES_SERVER_ACCESS_RULES_H_

#include <string>

#include "absl/status/status.h"
#include "braid/v1/admin_service.pb.h"
#include "braid/v1/answer_service.pb.h"
#include "braid/v1/collection_service.pb.h"
#include "braid/v1/document_service.pb.h"
#include "braid/v1/generation_service.pb.h"
#include "braid/v1/operation_service.pb.h"
#include "braid/v1/retrieval_service.pb.h"
#include "retrieval/types.h"
#include "retrieval/viewer.h"
#include "services/auth/principal.h"
#include "services/server/operations.h"

namespace braid::services {

struct Access {
  enum class Scope {
    kCollection,  // the role in one collection
    kSomewhere,   // the role in any collection
    kServer,      // the role over the whole server
    kCaller       // nothing: the handler shows each caller what it may see
  };
  Scope scope = Scope::kServer;
  auth::Role role = auth::Role::kAdmin;
  std::string collection;  // of kCollection; "" for a name that is malformed
};

// PERMISSION_DENIED with the reason ROLE_MISSING, which says the same whether
// the collection is there or not.
absl::Status Check(const Access& access, const auth::Principal& principal);

Access AccessOf(const v1::SearchRequest& request);
Access AccessOf(const v1::BuildContextRequest& request);
Access AccessOf(const v1::EmbedRequest& request);
Access AccessOf(const v1::AnswerRequest& request);
Access AccessOf(const v1::AnswerFromPassagesRequest& request);
Access AccessOf(const v1::GenerateRequest& request);

Access AccessOf(const v1::GetCollectionRequest& request);
Access AccessOf(const v1::ListCollectionsRequest& request);
Access AccessOf(const v1::CreateCollectionRequest& request);
Access AccessOf(const v1::DeleteCollectionRequest& request);

// Of each message of the stream that names a collection. It makes one that is
// not there.
Access AccessOf(const v1::IngestRequest& request);
Access AccessOf(const v1::GetDocumentRequest& request);
Access AccessOf(const v1::ListDocumentsRequest& request);
Access AccessOf(const v1::DeleteDocumentRequest& request);
Access AccessOf(const v1::DeleteDocumentsRequest& request);
Access AccessOf(const v1::PatchDocumentRequest& request);

Access AccessOf(const v1::GetServerInfoRequest& request);
Access AccessOf(const v1::CheckConsistencyRequest& request);
Access AccessOf(const v1::VerifyRequest& request);
Access AccessOf(const v1::BackupRequest& request);

Access AccessOf(const v1::ListOperationsRequest& request);
Access AccessOf(const v1::GetOperationRequest& request);
Access AccessOf(const v1::WatchOperationRequest& request);
Access AccessOf(const v1::CancelOperationRequest& request);

// Operations are seen by those who may read their collection (with
// document_access: those who may write to it), and cancelled by those who may
// write to it; those of the whole server need an administrator.
bool MaySeeOperation(const auth::Principal& principal,
                     const OperationInfo& operation);
bool MayCancelOperation(const auth::Principal& principal,
                        const OperationInfo& operation);

// What the principal sees of a collection.
retrieval::Viewer ViewerIn(const retrieval::CollectionConfig& collection,
                           const auth::Principal& principal);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_ACCESS_RULES_H_
