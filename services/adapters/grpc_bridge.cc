#include "services/adapters/grpc_bridge.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/client_callback.h"
#include "services/adapters/status_reply.h"

namespace braid::services::adapters {
namespace {

using google::protobuf::MessageLite;
using Stub = grpc::TemplatedGenericStub<MessageLite, MessageLite>;

constexpr const char* kForwarded[] = {"authorization", "traceparent",
                                      "tracestate", "x-request-id"};
constexpr const char* kReturned[] = {"x-request-id", "traceparent"};
constexpr absl::Duration kMaxTimeout = absl::Hours(24);

// What gRPC takes as the value of a header.
bool IsHeaderValue(absl::string_view value) {
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= 0x20 && c <= 0x7e; });
}

// gRPC's own form: up to eight digits and a unit.
std::optional<absl::Duration> ParseTimeout(absl::string_view text) {
  int64_t count = 0;
  if (text.size() < 2 || text.size() > 9 ||
      text.find_first_not_of("0123456789") != text.size() - 1 ||
      !absl::SimpleAtoi(text.substr(0, text.size() - 1), &count)) {
    return std::nullopt;
  }
  switch (text.back()) {
    case 'H':
      return absl::Hours(count);
    case 'M':
      return absl::Minutes(count);
    case 'S':
      return absl::Seconds(count);
    case 'm':
      return absl::Milliseconds(count);
    case 'u':
      return absl::Microseconds(count);
    case 'n':
      return absl::Nanoseconds(count);
    default:
      return std::nullopt;
  }
}

google::rpc::Status StatusOf(const grpc::Status& status) {
  google::rpc::Status proto;
  if (!status.error_details().empty() &&
      proto.ParseFromString(status.error_details()) &&
      proto.code() == status.error_code()) {
    return proto;
  }
  proto.Clear();
  proto.set_code(status.error_code());
  proto.set_message(status.error_message());
  return proto;
}

}  // namespace

absl::StatusOr<CallHeaders> HeadersOf(const http::Request& request) {
  CallHeaders headers;
  for (const char* name : kForwarded) {
    const std::string value = request.Header(name);
    if (value.empty()) continue;
    if (IsHeaderValue(value)) {
      headers.metadata.emplace_back(name, value);
    } else if (name == kForwarded[0]) {
      return absl::UnauthenticatedError("the authorization header is no text");
    }
  }
  if (const std::string text = request.Header("grpc-timeout"); !text.empty()) {
    const std::optional<absl::Duration> timeout = ParseTimeout(text);
    if (!timeout.has_value()) {
      return absl::InvalidArgumentError(
          "grpc-timeout is not up to eight digits and one of H, M, S, m, u, n");
    }
    headers.timeout = std::min(*timeout, kMaxTimeout);
  }
  return headers;
}

// Owns itself until gRPC is done with it.
class GrpcBridge::Reactor final
    : public grpc::ClientBidiReactor<MessageLite, MessageLite>,
      public GrpcBridge::Call,
      public std::enable_shared_from_this<Reactor> {
 public:
  Reactor(GrpcBridge* bridge, const google::protobuf::MethodDescriptor& method,
          std::vector<std::unique_ptr<Message>> requests, Events events)
      : bridge_(bridge),
        requests_(std::move(requests)),
        response_(google::protobuf::MessageFactory::generated_factory()
                      ->GetPrototype(method.output_type())
                      ->New()),
        events_(std::move(events)) {}

  void Begin(const std::string& path, const CallHeaders& headers) {
    self_ = shared_from_this();
    begun_ = true;
    for (const auto& [name, value] : headers.metadata) {
      context_->AddMetadata(name, value);
    }
    if (headers.timeout.has_value()) {
      context_->set_deadline(
          absl::ToChronoTime(absl::Now() + *headers.timeout));
    }
    Stub(bridge_->channel_)
        .PrepareBidiStreamingCall(context_.get(), path, grpc::StubOptions(),
                                  this);
    // Reads are started from outside of its reactions. The hold ends when
    // there is nothing more to read.
    AddHold();
    StartRead(response_.get());
    // The last write says that it is the last.
    requests_.empty() ? StartWritesDone() : Write();
    StartCall();
  }

  // Instead of Begin.
  void Refuse() {
    events_.end(*this, MakeStatus(absl::StatusCode::kUnavailable,
                                  "the server is shutting down"));
  }

  void OnReadDone(bool ok) override {
    if (!ok) return RemoveHold();
    bool cancelled = false;
    {
      const absl::MutexLock lock(&mutex_);
      cancelled = cancelled_;
      waits_ = !cancelled;
    }
    if (cancelled) return StartRead(response_.get());
    events_.message(self_, *response_);
  }
  void OnWriteDone(bool ok) override {
    requests_[written_ - 1].reset();
    if (ok && written_ < requests_.size()) Write();
  }
  void OnDone(const grpc::Status& status) override {
    events_.end(*this, StatusOf(status));
    events_ = {};  // what it holds may hold this
    // The context holds the channel, and a channel that ended on this thread of
    // gRPC's would wait for the thread itself: it goes before the bridge may.
    std::unique_ptr<grpc::ClientContext> context;
    {
      const absl::MutexLock lock(&mutex_);
      context = std::move(context_);
    }
    context.reset();
    bridge_->Remove(this);
    self_.reset();
  }

  void Next() override {
    {
      const absl::MutexLock lock(&mutex_);
      if (!std::exchange(waits_, false)) return;
    }
    StartRead(response_.get());
  }
  void Cancel() override {
    {
      const absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      if (begun_ && context_ != nullptr) context_->TryCancel();
    }
    // Reading on is what finds the end.
    Next();
  }
  http::Headers headers() const override {
    http::Headers headers;
    if (!begun_) return headers;
    const auto& metadata = context_->GetServerInitialMetadata();
    for (const char* name : kReturned) {
      const auto found = metadata.find(name);
      if (found == metadata.end()) continue;
      headers.emplace_back(
          name, std::string(found->second.data(), found->second.size()));
    }
    return headers;
  }

 private:
  void Write() {
    const Message* request = requests_[written_++].get();
    written_ == requests_.size() ? StartWriteLast(request, grpc::WriteOptions())
                                 : StartWrite(request);
  }

  GrpcBridge* const bridge_;
  std::vector<std::unique_ptr<Message>> requests_;
  size_t written_ = 0;
  const std::unique_ptr<Message> response_;
  Events events_;
  // Null after the end; taken away under mutex_.
  std::unique_ptr<grpc::ClientContext> context_ =
      std::make_unique<grpc::ClientContext>();
  absl::Mutex mutex_;
  bool waits_ = false;      // for Next(); under mutex_
  bool cancelled_ = false;  // under mutex_
  bool begun_ = false;
  std::shared_ptr<Reactor> self_;
};

std::shared_ptr<GrpcBridge::Call> GrpcBridge::Start(
    const google::protobuf::MethodDescriptor& method,
    const CallHeaders& headers, std::vector<std::unique_ptr<Message>> requests,
    Events events) {
  auto call = std::make_shared<Reactor>(this, method, std::move(requests),
                                        std::move(events));
  if (!Add(call.get())) {
    call->Refuse();
    return call;
  }
  call->Begin(
      absl::StrCat("/", method.service()->full_name(), "/", method.name()),
      headers);
  return call;
}

bool GrpcBridge::Add(Reactor* reactor) {
  const absl::MutexLock lock(&mutex_);
  if (!closed_) calls_.insert(reactor);
  return !closed_;
}

void GrpcBridge::Remove(Reactor* reactor) {
  const absl::MutexLock lock(&mutex_);
  calls_.erase(reactor);
}

void GrpcBridge::Close() {
  std::vector<std::shared_ptr<Reactor>> calls;
  {
    const absl::MutexLock lock(&mutex_);
    closed_ = true;
    for (Reactor* reactor : calls_) {
      if (auto held = reactor->weak_from_this().lock()) {
        calls.push_back(std::move(held));
      }
    }
  }
  for (const auto& call : calls) call->Cancel();
  calls.clear();
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](std::set<Reactor*>* all) { return all->empty(); }, &calls_));
}

std::shared_ptr<GrpcBridge::Call> CallUnary(
    GrpcBridge* bridge, const google::protobuf::MethodDescriptor& method,
    const CallHeaders& headers,
    std::unique_ptr<google::protobuf::Message> request,
    std::function<void(const GrpcBridge::Call& call,
                       const google::rpc::Status& status,
                       const google::protobuf::Message* response)>
        done) {
  std::vector<std::unique_ptr<google::protobuf::Message>> requests;
  requests.push_back(std::move(request));
  auto response =
      std::make_shared<std::unique_ptr<google::protobuf::Message>>();
  return bridge->Start(
      method, headers, std::move(requests),
      {.message =
           [response](const std::shared_ptr<GrpcBridge::Call>& call,
                      const google::protobuf::Message& message) {
             response->reset(message.New());
             (*response)->CopyFrom(message);
             call->Next();
           },
       .end =
           [response, done = std::move(done)](
               GrpcBridge::Call& call, const google::rpc::Status& status) {
             done(call, status, status.code() == 0 ? response->get() : nullptr);
           }});
}

}  // namespace braid::services::adapters
