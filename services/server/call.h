// What every RPC has in common: an id, a deadline, a way to stop it, a log
// line.
#ifndef BRAID_SERVICES_SERVER_CALL_H_
#define BRAID_SERVICES_SERVER_CALL_H_

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "retrieval/steady_condition.h"
#include "services/auth/authenticator.h"
#include "services/auth/principal.h"
#include "services/auth/quotas.h"
#include "services/gateway/upstreams.h"
#include "services/limits.h"
#include "services/runtime.h"
#include "services/server/access_rules.h"
#include "services/server/deadline.h"
#include "services/server/log.h"
#include "services/server/operations.h"
#include "services/server/work_pool.h"
#include "services/telemetry/metrics.h"
#include "services/telemetry/rpc_record.h"
#include "services/telemetry/tracer.h"
#include "services/turns.h"

namespace braid::services {

class Call;

// The calls in flight, so that a shutdown can wait for them and then stop them.
// Thread-safe.
class CallTracker {
 public:
  // UNAVAILABLE once draining has begun.
  absl::Status Add(Call* call) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(Call* call) ABSL_LOCKS_EXCLUDED(mutex_);

  void StartDraining() ABSL_LOCKS_EXCLUDED(mutex_);
  // Blocks until no call is in flight; false if `timeout` passes first.
  bool WaitUntilIdle(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);
  // Stops every call; they end with UNAVAILABLE.
  void StopAll() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  retrieval::SteadyCondition idle_;
  absl::flat_hash_set<Call*> calls_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

// What the services of one server share. The pools come last: destroying them
// joins threads that may use everything above.
struct ServerCore {
  // Without an authenticator every caller may do everything: the server inside
  // a tool, on the tool's own data.
  ServerCore(Runtime* runtime, LogLevel level,
             std::unique_ptr<auth::Authenticator> authenticator,
             Upstreams upstreams);

  Runtime* const runtime;
  const Upstreams upstreams;
  const std::unique_ptr<auth::Authenticator> authenticator;  // or null
  const Limits& limits;
  const Logger log;
  auth::Quotas quotas;
  telemetry::Metrics metrics;
  telemetry::Tracer tracer;
  CallTracker calls;
  OperationRegistry operations;
  // Searches of answers: a thread of `answers` may wait for its reader, so
  // there are many, and only so many search at once.
  Turns answer_searches;
  WorkPool searches;
  WorkPool answers;
  WorkPool ingests;
  WorkPool lookups;
  WorkPool watches;
};

// One RPC, from its arrival until gRPC is done with it. Lives in its reactor.
class Call {
 public:
  // `rpc` must be a literal, such as "RetrievalService/Search".
  // `default_timeout` is for callers that set no deadline.
  Call(ServerCore* core, grpc::CallbackServerContext* context,
       absl::string_view rpc, absl::Duration default_timeout);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Not OK when the server is shutting down (UNAVAILABLE), when the caller is
  // not known (UNAUTHENTICATED) or over its quota (RESOURCE_EXHAUSTED with
  // RetryInfo): end the call with it.
  const absl::Status& admitted() const { return admitted_; }
  // As admitted(), and PERMISSION_DENIED if the caller's roles do not allow
  // `request`. Every call asks this before it does anything.
  template <typename Request>
  absl::Status Admit(const Request& request) const {
    return admitted_.ok() ? Check(AccessOf(request), principal_) : admitted_;
  }
  const auth::Principal& principal() const { return principal_; }

  ServerCore& core() const { return *core_; }
  Runtime& runtime() const { return *core_->runtime; }
  const Limits& limits() const { return core_->limits; }

  // When work must end so that its result can still be sent: a little before
  // the client's deadline.
  SteadyTime deadline() const { return work_deadline_; }
  std::stop_token stop() const { return stop_.get_token(); }

  // Makes `context` a call of this one's: with the caller's credentials,
  // request id and trace, and no later a deadline than this call's or
  // `deadline`. UNAUTHENTICATED for a caller that showed a certificate alone,
  // which cannot be shown on.
  absl::Status Forward(SteadyTime deadline, grpc::ClientContext* context) const;

  // What is measured of this call. For the thread that works on it.
  telemetry::RpcRecord& record() { return record_; }

  // Asks the work to stop. The first reason counts.
  void Cancel() { Stop(Reason::kCancelled); }     // the client went away
  void Shutdown() { Stop(Reason::kShutdown); }    // the server is closing
  void Evict() { Stop(Reason::kStalledReader); }  // the client reads nothing

  // Makes this call an operation, which ends with it and can be cancelled while
  // it lasts. At most once.
  std::shared_ptr<Operation> StartOperation(OperationKind kind,
                                            absl::string_view collection);
  // Somebody else has cancelled the operation that this call is.
  bool operation_cancelled() const {
    return operation_ != nullptr && operation_->cancelled().stop_requested();
  }

  // OK while the call should go on; otherwise why it should not (CANCELLED,
  // DEADLINE_EXCEEDED, UNAVAILABLE).
  absl::Status Alive() const;

  // Ends the call: decides the status (an error of work that was asked to stop
  // becomes the reason why), counts it, writes the log line, sets trailing
  // metadata.
  // Called once, right before the reactor's Finish. The operation ends here,
  // so that a client that learns of the end finds it ended; `in_doubt` leaves
  // the end of one that succeeded to Close.
  grpc::Status End(const absl::Status& status, bool in_doubt = false);

  // Ends an operation left in doubt: from the reactor's OnDone. A client that
  // went away looks like one that has sent everything until gRPC has closed
  // the call: its OnCancel may come after the read that found nothing more.
  void Close();

 private:
  enum class Reason {
    kNone,
    kCancelled,
    kShutdown,
    kStalledReader,
    kOperationCancelled
  };
  struct StopCall {
    Call* call;
    void operator()() const { call->Stop(Reason::kOperationCancelled); }
  };
  absl::Status Authenticate();
  void Stop(Reason reason);
  absl::Status ReasonStatus() const;
  void Log(const absl::Status& status) const;

  ServerCore* const core_;
  grpc::CallbackServerContext* const context_;
  const absl::string_view rpc_;
  const SteadyTime start_;
  telemetry::RpcRecord record_;
  std::string request_id_;
  const SteadyTime deadline_;
  SteadyTime work_deadline_;
  std::atomic<Reason> reason_{Reason::kNone};
  std::stop_source stop_;
  auth::Principal principal_;
  bool counted_ = false;  // against its quota
  absl::Status admitted_;
  std::shared_ptr<Operation> operation_;
  // Last: gone before what it uses.
  std::optional<std::stop_callback<StopCall>> on_operation_cancelled_;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_CALL_H_
