// A unary RPC that runs on a work pool.
#ifndef BRAID_SERVICES_SERVER_UNARY_CALL_H_
#define BRAID_SERVICES_SERVER_UNARY_CALL_H_

#include <exception>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/support/server_callback.h"
#include "services/server/call.h"
#include "services/server/errors.h"

namespace braid::services {

// Owns itself: gRPC's OnDone is its end. The handler runs once, on a thread of
// the pool, and may block; request and response outlive it.
template <typename Request, typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  using Handler = std::function<absl::Status(Call& call, const Request& request,
                                             Response* response)>;

  static grpc::ServerUnaryReactor* Start(ServerCore* core, WorkPool* pool,
                                         grpc::CallbackServerContext* context,
                                         absl::string_view rpc,
                                         const Request* request,
                                         Response* response, Handler handler) {
    auto* self = new UnaryCall(core, context, rpc, request, response,
                               std::move(handler));
    if (const absl::Status admitted = self->call_.Admit(*request);
        !admitted.ok()) {
      self->Finish(self->call_.End(admitted));
    } else if (!pool->TryRun([self](WorkPool::Slot slot) {
                 self->Run(std::move(slot));
               })) {
      self->Finish(self->call_.End(
          Overloaded("too many calls of this kind are in flight",
                     core->limits.retry_delay)));
    }
    return self;
  }

  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

 private:
  UnaryCall(ServerCore* core, grpc::CallbackServerContext* context,
            absl::string_view rpc, const Request* request, Response* response,
            Handler handler)
      : call_(core, context, rpc, core->limits.default_search_deadline),
        request_(request),
        response_(response),
        handler_(std::move(handler)) {}

  void Run(WorkPool::Slot slot) {
    // It may have been cancelled, or have expired, in the queue.
    absl::Status status = call_.Alive();
    if (status.ok()) {
      try {
        status = handler_(call_, *request_, response_);
      } catch (const std::exception& error) {
        status =
            absl::InternalError(absl::StrCat("unexpected: ", error.what()));
      }
    }
    slot.Release();
    Finish(call_.End(status));  // `this` may be gone from here on
  }

  Call call_;
  const Request* const request_;
  Response* const response_;
  const Handler handler_;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_UNARY_CALL_H_
