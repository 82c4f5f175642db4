#include <exception>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "braid/v1/operation_service.grpc.pb.h"
#include "services/server/convert.h"
#include "services/server/errors.h"
#include "services/server/page_token.h"
#include "services/server/resource_names.h"
#include "services/server/services.h"
#include "services/server/stream_call.h"
#include "services/server/validate.h"

namespace braid::services {
namespace {

// Changes of an operation that come within this time are told as one.
constexpr absl::Duration kWatchInterval = absl::Milliseconds(250);

v1::Operation::Kind ToProto(OperationKind kind) {
  switch (kind) {
    case OperationKind::kIngest:
      return v1::Operation::KIND_INGEST;
    case OperationKind::kDeleteDocuments:
      return v1::Operation::KIND_DELETE_DOCUMENTS;
    case OperationKind::kVerify:
      return v1::Operation::KIND_VERIFY;
    case OperationKind::kBackup:
      return v1::Operation::KIND_BACKUP;
  }
  return v1::Operation::KIND_UNSPECIFIED;
}

v1::Operation::State ToProto(OperationState state) {
  switch (state) {
    case OperationState::kRunning:
      return v1::Operation::STATE_RUNNING;
    case OperationState::kSucceeded:
      return v1::Operation::STATE_SUCCEEDED;
    case OperationState::kFailed:
      return v1::Operation::STATE_FAILED;
    case OperationState::kCancelled:
      return v1::Operation::STATE_CANCELLED;
  }
  return v1::Operation::STATE_UNSPECIFIED;
}

void ToProto(const OperationInfo& info, v1::Operation* proto) {
  proto->set_name(FormatOperationName(info.id));
  proto->set_kind(ToProto(info.kind));
  if (!info.collection.empty()) {
    proto->set_collection(FormatCollectionName(info.collection));
  }
  proto->set_state(ToProto(info.state));
  proto->set_cancel_requested(info.cancel_requested);
  services::ToProto(info.start_time, proto->mutable_start_time());
  if (info.state != OperationState::kRunning) {
    services::ToProto(info.end_time, proto->mutable_end_time());
  }
  v1::OperationProgress* progress = proto->mutable_progress();
  progress->set_done(info.done);
  progress->set_failed(info.failed);
  if (info.total.has_value()) progress->set_total(*info.total);
  progress->set_unit(info.kind == OperationKind::kBackup ? "bytes"
                                                         : "documents");
  proto->set_request_id(info.request_id);
  if (!info.error.ok()) {
    services::ToProto(info.error, proto->mutable_error());
  }
}

// A call that is answered on gRPC's own thread. The registry computes nothing
// and waits for nothing, and an operation can be cancelled however busy the
// work pools are.
class QuickCall final : public grpc::ServerUnaryReactor {
 public:
  template <typename Request>
  QuickCall(ServerCore* core, grpc::CallbackServerContext* context,
            absl::string_view rpc, const Request& request,
            const std::function<absl::Status(const Call& call)>& handler)
      : call_(core, context, rpc, core->limits.default_search_deadline) {
    absl::Status status = call_.Admit(request);
    if (status.ok()) status = handler(call_);
    Finish(call_.End(status));
  }
  void OnDone() override { delete this; }

 private:
  Call call_;
};

// One that the caller may not see is not there.
absl::StatusOr<std::shared_ptr<Operation>> Find(const Call& call,
                                                const std::string& name) {
  const auto id = ParseOperation("name", name, call.limits());
  if (!id.ok()) return id.status();
  auto found = call.core().operations.Find(*id);
  if (found.ok() && !MaySeeOperation(call.principal(), (*found)->info())) {
    found = OperationRegistry::NotFound(*id);
  }
  if (!found.ok()) return WithReason(found.status(), "OPERATION_NOT_FOUND");
  return found;
}

absl::Status Cancel(const Call& call, const std::string& name,
                    v1::Operation* proto) {
  const auto operation = Find(call, name);
  if (!operation.ok()) return operation.status();
  if (!MayCancelOperation(call.principal(), (*operation)->info())) {
    return WithReason(
        absl::PermissionDeniedError("to cancel this needs the role writer"),
        "ROLE_MISSING", {{"role", "writer"}});
  }
  (*operation)->Cancel();
  ToProto((*operation)->info(), proto);
  return absl::OkStatus();
}

absl::Status List(const Call& call, const v1::ListOperationsRequest& request,
                  v1::ListOperationsResponse* response) {
  const ServerCore* const core = &call.core();
  auto query = Parse(request, core->limits);
  if (!query.ok()) return query.status();
  query->filter.visible = [&call](const OperationInfo& info) {
    return MaySeeOperation(call.principal(), info);
  };
  // One more than fits says that there is a next page.
  const std::vector<OperationInfo> found =
      core->operations.List(query->filter, query->before, query->page_size + 1);
  for (const OperationInfo& info : found) {
    if (response->operations_size() == static_cast<int>(query->page_size)) {
      const uint64_t last = found[query->page_size - 1].number;
      response->set_next_page_token(
          MakePageToken(query->scope, absl::StrCat(last)));
      break;
    }
    ToProto(info, response->add_operations());
  }
  return absl::OkStatus();
}

using WatchStream = StreamCall<v1::WatchOperationResponse>;

absl::Status Watch(const std::string& name, WatchStream& stream) {
  const Call& call = stream.call();
  const auto operation = Find(call, name);
  if (!operation.ok()) return operation.status();
  for (OperationInfo info = (*operation)->info();;) {
    v1::WatchOperationResponse message;
    ToProto(info, message.mutable_operation());
    if (!stream.Send(std::move(message))) {
      return absl::CancelledError("the watch was cancelled");
    }
    if (info.state != OperationState::kRunning) return absl::OkStatus();
    (*operation)
        ->WaitForEnd(std::min(After(kWatchInterval), call.deadline()),
                     call.stop());
    info = (*operation)
               ->WaitForChange(info.revision, call.deadline(), call.stop());
    absl::Status alive = call.Alive();
    if (!alive.ok()) return alive;
  }
}

class OperationService final : public v1::OperationService::CallbackService {
 public:
  explicit OperationService(ServerCore* core) : core_(core) {}

  grpc::ServerUnaryReactor* ListOperations(
      grpc::CallbackServerContext* context,
      const v1::ListOperationsRequest* request,
      v1::ListOperationsResponse* response) override {
    return new QuickCall(
        core_, context, "OperationService/ListOperations", *request,
        [&](const Call& call) { return List(call, *request, response); });
  }
  grpc::ServerUnaryReactor* GetOperation(
      grpc::CallbackServerContext* context,
      const v1::GetOperationRequest* request,
      v1::GetOperationResponse* response) override {
    return new QuickCall(core_, context, "OperationService/GetOperation",
                         *request, [&](const Call& call) -> absl::Status {
                           const auto operation = Find(call, request->name());
                           if (!operation.ok()) return operation.status();
                           ToProto((*operation)->info(),
                                   response->mutable_operation());
                           return absl::OkStatus();
                         });
  }
  grpc::ServerUnaryReactor* CancelOperation(
      grpc::CallbackServerContext* context,
      const v1::CancelOperationRequest* request,
      v1::CancelOperationResponse* response) override {
    return new QuickCall(core_, context, "OperationService/CancelOperation",
                         *request, [&](const Call& call) {
                           return Cancel(call, request->name(),
                                         response->mutable_operation());
                         });
  }
  grpc::ServerWriteReactor<v1::WatchOperationResponse>* WatchOperation(
      grpc::CallbackServerContext* context,
      const v1::WatchOperationRequest* request) override {
    // gRPC keeps the request until the stream is done.
    return WatchStream::Start(
        core_, &core_->watches, context, "OperationService/WatchOperation",
        *request, absl::InfiniteDuration(), [request](WatchStream& stream) {
          return services::Watch(request->name(), stream);
        });
  }

 private:
  ServerCore* const core_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeOperationService(ServerCore* core) {
  return std::make_unique<OperationService>(core);
}

}  // namespace braid::services
