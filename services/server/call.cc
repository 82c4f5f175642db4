#include "services/server/call.h"

#include <algorithm>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "grpc/grpc_security_constants.h"
#include "services/server/errors.h"
#include "services/server/resource_names.h"
#include "services/server/rpc_names.h"

namespace braid::services {
namespace {

constexpr char kRequestIdKey[] = "x-request-id";
constexpr char kAuthorizationKey[] = "authorization";
constexpr char kTraceparentKey[] = "traceparent";
constexpr char kTracestateKey[] = "tracestate";
// Says that a gateway calls for somebody else.
constexpr char kForwardedKey[] = "x-braid-forwarded";
constexpr size_t kMaxRequestIdBytes = 64;

// Searches compute: a few more threads than cores keep the cores busy while
// some wait for a disk or a lock; more would only share them out thinner.
int SearchThreads(const Limits& limits) {
  const int cores = std::max(1u, std::thread::hardware_concurrency());
  return std::clamp(2 * cores, 4, std::max(4, limits.max_concurrent_searches));
}

constexpr int kLookupThreads = 4;

// The client's id where it is usable, so that its logs and ours can be joined.
std::string RequestId(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(kRequestIdKey);
  if (found != metadata.end()) {
    const absl::string_view id(found->second.data(), found->second.size());
    const bool plain = std::all_of(id.begin(), id.end(), [](char c) {
      return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
    });
    if (plain && !id.empty() && id.size() <= kMaxRequestIdBytes) {
      return std::string(id);
    }
  }
  thread_local std::mt19937_64 random{std::random_device{}()};
  return absl::StrFormat("%016x", random());
}

// Of the client certificate that the handshake has verified.
std::vector<std::string> CertificateNames(
    const grpc::CallbackServerContext& context) {
  std::vector<std::string> names;
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return names;
  for (const char* property :
       {GRPC_X509_SAN_PROPERTY_NAME, GRPC_X509_CN_PROPERTY_NAME}) {
    for (const grpc::string_ref& value : auth->FindPropertyValues(property)) {
      names.emplace_back(value.data(), value.size());
    }
    if (!names.empty()) break;
  }
  return names;
}

// All values of a header, joined by commas as HTTP has it. `traceparent` has no
// commas: one that comes twice is malformed.
std::string Header(const grpc::CallbackServerContext& context,
                   const char* key) {
  std::string joined;
  const auto [begin, end] = context.client_metadata().equal_range(key);
  for (auto value = begin; value != end; ++value) {
    absl::StrAppend(
        &joined, joined.empty() ? "" : ",",
        absl::string_view(value->second.data(), value->second.size()));
  }
  return joined;
}

bool IsServerFault(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal ||
         code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss;
}

}  // namespace

absl::Status CallTracker::Add(Call* call) {
  absl::MutexLock lock(&mutex_);
  if (draining_) {
    return WithReason(absl::UnavailableError("the server is shutting down"),
                      "SHUTTING_DOWN");
  }
  calls_.insert(call);
  return absl::OkStatus();
}

void CallTracker::Remove(Call* call) {
  absl::MutexLock lock(&mutex_);
  calls_.erase(call);
  if (calls_.empty()) idle_.NotifyAll();
}

void CallTracker::StartDraining() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
}

bool CallTracker::WaitUntilIdle(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  return idle_.WaitUntil(&mutex_, After(timeout),
                         [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                           return calls_.empty();
                         });
}

void CallTracker::StopAll() {
  // Under the lock, so that no call is destroyed meanwhile: stopping only
  // raises flags and wakes waiters.
  absl::MutexLock lock(&mutex_);
  for (Call* call : calls_) call->Shutdown();
}

ServerCore::ServerCore(Runtime* runtime_in, LogLevel level,
                       std::unique_ptr<auth::Authenticator> authenticator_in,
                       Upstreams upstreams_in)
    : runtime(runtime_in),
      upstreams(std::move(upstreams_in)),
      authenticator(std::move(authenticator_in)),
      limits(runtime_in->config().limits),
      log(level),
      quotas({limits.max_calls_in_flight_per_caller,
              limits.max_calls_per_second_per_caller}),
      metrics(RpcNames()),
      operations(limits.max_finished_operations, /*clock=*/nullptr),
      answer_searches(SearchThreads(limits)),
      searches(SearchThreads(limits), limits.max_concurrent_searches),
      answers(limits.max_concurrent_answers, limits.max_concurrent_answers),
      ingests(limits.max_concurrent_ingest_streams,
              limits.max_concurrent_ingest_streams),
      lookups(kLookupThreads, limits.max_concurrent_lookups),
      watches(limits.max_operation_watchers, limits.max_operation_watchers) {}

Call::Call(ServerCore* core, grpc::CallbackServerContext* context,
           absl::string_view rpc, absl::Duration default_timeout)
    : core_(core),
      context_(context),
      rpc_(rpc),
      start_(std::chrono::steady_clock::now()),
      record_(&core->metrics, &core->tracer, rpc,
              Header(*context, kTraceparentKey),
              Header(*context, kTracestateKey), {absl::Now(), start_}),
      request_id_(RequestId(*context)),
      deadline_(DeadlineOf(*context).value_or(After(default_timeout))) {
  work_deadline_ = deadline_;
  if (deadline_ != SteadyTime::max()) {
    const SteadyTime::duration left =
        std::max(deadline_ - start_, SteadyTime::duration::zero());
    work_deadline_ -=
        std::min(left / 10,
                 absl::ToChronoNanoseconds(core->limits.max_deadline_reserve));
  }
  context->AddInitialMetadata(kRequestIdKey, request_id_);
  if (const std::string trace = record_.Traceparent(); !trace.empty()) {
    context->AddInitialMetadata(kTraceparentKey, trace);
  }
  admitted_ = core->calls.Add(this);
  if (admitted_.ok()) admitted_ = Authenticate();
}

Call::~Call() {
  if (counted_) core_->quotas.End(principal_.name);
  core_->calls.Remove(this);
}

absl::Status Call::Authenticate() {
  if (core_->authenticator == nullptr) {
    principal_ = {"local", {{auth::Role::kAdmin, "*"}}};
    return absl::OkStatus();
  }
  auth::Credentials credentials;
  const auto& metadata = context_->client_metadata();
  const auto header = metadata.find(kAuthorizationKey);
  if (header != metadata.end()) {
    credentials.authorization = {header->second.data(), header->second.size()};
  }
  // A gateway's own certificate must not speak for its callers.
  if (metadata.find(kForwardedKey) == metadata.end()) {
    credentials.certificate_names = CertificateNames(*context_);
  }
  auto principal = core_->authenticator->Authenticate(credentials);
  if (!principal.ok()) {
    return WithReason(principal.status(), "CREDENTIALS_REFUSED");
  }
  principal_ = *std::move(principal);
  const absl::Duration wait = core_->quotas.Begin(principal_.name, start_);
  if (wait > absl::ZeroDuration()) {
    return WithRetry(WithReason(absl::ResourceExhaustedError(
                                    "the caller's quota is used up"),
                                "QUOTA_EXCEEDED"),
                     wait);
  }
  counted_ = true;
  return absl::OkStatus();
}

absl::Status Call::Forward(SteadyTime deadline,
                           grpc::ClientContext* context) const {
  const std::string authorization = Header(*context_, kAuthorizationKey);
  if (authorization.empty() && !CertificateNames(*context_).empty()) {
    return WithReason(
        absl::UnauthenticatedError("a gateway cannot show a client's "
                                   "certificate on: send a key or a token"),
        "CREDENTIALS_REFUSED");
  }
  if (!authorization.empty()) {
    context->AddMetadata(kAuthorizationKey, authorization);
  }
  context->AddMetadata(kForwardedKey, "1");
  context->AddMetadata(kRequestIdKey, request_id_);
  std::string trace = record_.Traceparent();
  if (trace.empty()) trace = Header(*context_, kTraceparentKey);
  if (!trace.empty()) context->AddMetadata(kTraceparentKey, trace);
  const std::string state = Header(*context_, kTracestateKey);
  if (!trace.empty() && !state.empty()) {
    context->AddMetadata(kTracestateKey, state);
  }
  SetDeadline(std::min(deadline, deadline_), context);
  return absl::OkStatus();
}

void Call::Stop(Reason reason) {
  Reason none = Reason::kNone;
  reason_.compare_exchange_strong(none, reason);
  stop_.request_stop();
}

absl::Status Call::ReasonStatus() const {
  switch (reason_.load()) {
    case Reason::kNone:
      break;
    case Reason::kCancelled:
      // gRPC cancels a call whose deadline has passed, too.
      if (SteadyTime::clock::now() >= deadline_) {
        return absl::DeadlineExceededError("the deadline passed");
      }
      return absl::CancelledError("the client cancelled the call");
    case Reason::kShutdown:
      return WithRetry(
          WithReason(absl::UnavailableError("the server is shutting down"),
                     "SHUTTING_DOWN"),
          core_->limits.retry_delay);
    case Reason::kStalledReader:
      return WithReason(
          absl::UnavailableError("the client reads the stream too slowly"),
          "STALLED_READER");
    case Reason::kOperationCancelled: {
      const std::string name = FormatOperationName(operation_->id());
      return WithReason(
          absl::CancelledError(absl::StrCat(name, " was cancelled")),
          "OPERATION_CANCELLED", {{"operation", name}});
    }
  }
  return absl::OkStatus();
}

std::shared_ptr<Operation> Call::StartOperation(OperationKind kind,
                                                absl::string_view collection) {
  operation_ = core_->operations.Start(kind, collection, request_id_);
  on_operation_cancelled_.emplace(operation_->cancelled(), StopCall{this});
  return operation_;
}

absl::Status Call::Alive() const {
  if (stop_.stop_requested()) return ReasonStatus();
  if (SteadyTime::clock::now() >= work_deadline_) {
    return absl::DeadlineExceededError("the deadline passed");
  }
  return absl::OkStatus();
}

grpc::Status Call::End(const absl::Status& status, bool in_doubt) {
  absl::Status ended = status;
  if (!status.ok() && stop_.stop_requested()) ended = ReasonStatus();
  if (operation_ != nullptr && !(in_doubt && ended.ok())) {
    operation_->Finish(ended);
  }
  const std::optional<absl::Duration> delay = RetryDelay(ended);
  if (delay.has_value()) {
    context_->AddTrailingMetadata(
        "grpc-retry-pushback-ms",
        absl::StrCat(absl::ToInt64Milliseconds(*delay)));
  }
  record_.End(ended.code(), std::chrono::steady_clock::now());
  Log(ended);
  return ToGrpcStatus(ended);
}

void Call::Close() {
  if (operation_ == nullptr) return;
  operation_->Finish(reason_.load() == Reason::kCancelled ? ReasonStatus()
                                                          : absl::OkStatus());
}

void Call::Log(const absl::Status& status) const {
  const LogLevel level =
      IsServerFault(status.code()) ? LogLevel::kError : LogLevel::kInfo;
  if (!core_->log.Enabled(level)) return;
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - start_;
  const std::string elapsed_ms = absl::StrFormat("%.2f", elapsed.count());
  std::vector<LogField> fields = {{"rpc", std::string(rpc_)},
                                  {"status", CodeName(status.code())},
                                  {"elapsed_ms", elapsed_ms},
                                  {"request_id", request_id_}};
  if (std::string trace_id = record_.TraceIdHex(); !trace_id.empty()) {
    fields.emplace_back("trace_id", std::move(trace_id));
  }
  fields.emplace_back("caller", principal_.name);
  fields.emplace_back("peer", context_->peer());
  if (!status.ok()) fields.emplace_back("message", status.message());
  core_->log.Write(level, "rpc", fields);
}

}  // namespace braid::services
