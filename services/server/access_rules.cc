#include "services/server/access_rules.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "services/auth/reader_names.h"
#include "services/server/errors.h"

namespace braid::services {
namespace {

using auth::Role;

// Of a name that begins like a collection's; "" for any other. The validators
// refuse what is not a name to its end.
std::string CollectionOf(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, "collections/")) return "";
  return std::string(name.substr(0, name.find('/')));
}

Access InCollection(Role role, absl::string_view name) {
  return {Access::Scope::kCollection, role, CollectionOf(name)};
}

Access OnServer(Role role) { return {Access::Scope::kServer, role, ""}; }

Access OfCaller() { return {Access::Scope::kCaller, Role::kReader, ""}; }

}  // namespace

absl::Status Check(const Access& access, const auth::Principal& principal) {
  bool may = false;
  std::string where;
  switch (access.scope) {
    case Access::Scope::kCaller:
      return absl::OkStatus();
    case Access::Scope::kCollection:
      // What names no collection is nobody's but an administrator's to try.
      may = access.collection.empty()
                ? principal.MayEverywhere(access.role)
                : principal.May(access.role, access.collection);
      where = access.collection.empty()
                  ? " in this collection"
                  : absl::StrCat(" in collections/", access.collection);
      break;
    case Access::Scope::kSomewhere:
      may = std::any_of(
          principal.grants.begin(), principal.grants.end(),
          [&](const auth::Grant& grant) { return grant.role >= access.role; });
      break;
    case Access::Scope::kServer:
      may = principal.MayEverywhere(access.role);
      where = " in all collections";
      break;
  }
  if (may) return absl::OkStatus();
  const absl::string_view role = auth::RoleName(access.role);
  return WithReason(absl::PermissionDeniedError(
                        absl::StrCat("this needs the role ", role, where)),
                    "ROLE_MISSING", {{"role", std::string(role)}});
}

Access AccessOf(const v1::SearchRequest& request) {
  return InCollection(Role::kReader, request.collection());
}
// As Generate: nothing stored is in it, but it costs.
Access AccessOf(const v1::EmbedRequest&) {
  return {Access::Scope::kSomewhere, Role::kReader, ""};
}
Access AccessOf(const v1::AnswerRequest& request) {
  return InCollection(Role::kReader, request.collection());
}
Access AccessOf(const v1::BuildContextRequest& request) {
  return InCollection(Role::kReader, request.search().collection());
}
// No stored text is in these, but they cost the most.
Access AccessOf(const v1::GenerateRequest&) {
  return {Access::Scope::kSomewhere, Role::kReader, ""};
}
Access AccessOf(const v1::AnswerFromPassagesRequest&) {
  return {Access::Scope::kSomewhere, Role::kReader, ""};
}

Access AccessOf(const v1::GetCollectionRequest& request) {
  return InCollection(Role::kReader, request.name());
}
Access AccessOf(const v1::ListCollectionsRequest&) { return OfCaller(); }
Access AccessOf(const v1::CreateCollectionRequest& request) {
  return {Access::Scope::kCollection, Role::kAdmin, request.collection_id()};
}
Access AccessOf(const v1::DeleteCollectionRequest& request) {
  return InCollection(Role::kAdmin, request.name());
}

Access AccessOf(const v1::IngestRequest& request) {
  return InCollection(Role::kWriter, request.collection());
}
Access AccessOf(const v1::GetDocumentRequest& request) {
  return InCollection(Role::kReader, request.name());
}
Access AccessOf(const v1::ListDocumentsRequest& request) {
  return InCollection(Role::kReader, request.parent());
}
Access AccessOf(const v1::DeleteDocumentRequest& request) {
  return InCollection(Role::kWriter, request.name());
}
Access AccessOf(const v1::DeleteDocumentsRequest& request) {
  return InCollection(Role::kWriter, request.parent());
}
Access AccessOf(const v1::PatchDocumentRequest& request) {
  return InCollection(Role::kWriter, request.name());
}

Access AccessOf(const v1::GetServerInfoRequest&) { return OfCaller(); }
Access AccessOf(const v1::CheckConsistencyRequest& request) {
  return InCollection(Role::kAdmin, request.collection());
}
Access AccessOf(const v1::VerifyRequest&) { return OnServer(Role::kAdmin); }
Access AccessOf(const v1::BackupRequest&) { return OnServer(Role::kAdmin); }

Access AccessOf(const v1::ListOperationsRequest&) { return OfCaller(); }
Access AccessOf(const v1::GetOperationRequest&) { return OfCaller(); }
Access AccessOf(const v1::WatchOperationRequest&) { return OfCaller(); }
Access AccessOf(const v1::CancelOperationRequest&) { return OfCaller(); }

bool MaySeeOperation(const auth::Principal& principal,
                     const OperationInfo& operation) {
  if (operation.collection.empty()) {
    return principal.MayEverywhere(Role::kAdmin);
  }
  return principal.May(
      operation.document_access ? Role::kWriter : Role::kReader,
      operation.collection);
}

bool MayCancelOperation(const auth::Principal& principal,
                        const OperationInfo& operation) {
  return operation.collection.empty()
             ? principal.MayEverywhere(Role::kAdmin)
             : principal.May(Role::kWriter, operation.collection);
}

retrieval::Viewer ViewerIn(const retrieval::CollectionConfig& collection,
                           const auth::Principal& principal) {
  return collection.document_access ? auth::ViewerOf(principal, collection.id)
                                    : retrieval::Viewer::All();
}

}  // namespace braid::services
