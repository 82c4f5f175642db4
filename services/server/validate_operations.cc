#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/server/validate.h"

namespace braid::services {
namespace {

std::optional<OperationKind> ParseKind(v1::Operation::Kind kind,
                                       RequestChecker* check) {
  switch (kind) {
    case v1::Operation::KIND_UNSPECIFIED:
      return std::nullopt;
    case v1::Operation::KIND_INGEST:
      return OperationKind::kIngest;
    case v1::Operation::KIND_DELETE_DOCUMENTS:
      return OperationKind::kDeleteDocuments;
    case v1::Operation::KIND_VERIFY:
      return OperationKind::kVerify;
    case v1::Operation::KIND_BACKUP:
      return OperationKind::kBackup;
    default:
      check->Add("kind", "is not an Operation.Kind");
      return std::nullopt;
  }
}

std::optional<OperationState> ParseState(v1::Operation::State state,
                                         RequestChecker* check) {
  switch (state) {
    case v1::Operation::STATE_UNSPECIFIED:
      return std::nullopt;
    case v1::Operation::STATE_RUNNING:
      return OperationState::kRunning;
    case v1::Operation::STATE_SUCCEEDED:
      return OperationState::kSucceeded;
    case v1::Operation::STATE_FAILED:
      return OperationState::kFailed;
    case v1::Operation::STATE_CANCELLED:
      return OperationState::kCancelled;
    default:
      check->Add("state", "is not an Operation.State");
      return std::nullopt;
  }
}

}  // namespace

absl::StatusOr<ListOperationsQuery> Parse(
    const v1::ListOperationsRequest& request, const Limits& limits) {
  RequestChecker check(limits);
  ListOperationsQuery query;
  query.filter.kind = ParseKind(request.kind(), &check);
  query.filter.state = ParseState(request.state(), &check);
  if (!request.collection().empty()) {
    query.filter.collection =
        check.CollectionName("collection", request.collection());
  }
  query.page_size = check.Count("page_size", request.page_size(),
                                limits.default_page_size, limits.max_page_size);
  query.scope = absl::StrCat("operations/", request.kind(), "/",
                             request.state(), "/", query.filter.collection);
  query.before = std::numeric_limits<uint64_t>::max();
  const std::string after = check.PageAfter(query.scope, request.page_token());
  if (!after.empty() && !absl::SimpleAtoi(after, &query.before)) {
    check.Add("page_token", "is not of this list");
  }
  if (absl::Status status = check.status(); !status.ok()) return status;
  return query;
}

absl::StatusOr<std::string> ParseOperation(absl::string_view field,
                                           absl::string_view name,
                                           const Limits& limits) {
  absl::StatusOr<std::string> id = ParseOperationName(name);
  if (id.ok()) return id;
  RequestChecker check(limits);
  check.Add(field, id.status().message());
  return check.status();
}

}  // namespace braid::services
