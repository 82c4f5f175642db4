#include "services/gateway/forwarded_service.h"

#include <atomic>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "google/protobuf/descriptor.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/impl/codegen/rpc_service_method.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/client_callback.h"
#include "grpcpp/support/server_callback.h"
#include "grpcpp/support/stub_options.h"
#include "services/gateway/upstreams.h"
#include "services/server/errors.h"

namespace braid::services {
namespace {

using grpc::ByteBuffer;

// Where calls of one service go. Outlives them.
struct Target {
  ServerCore* core;
  std::shared_ptr<grpc::Channel> channel;
  const char* role;
  std::atomic<int> in_flight{0};
};

// One call: each half is a reactor, and each message that one of them has read
// is written by the other before the next is read. Owns itself: the later
// OnDone of the two is its end.
class ForwardedCall {
 public:
  static grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>* Start(
      Target* target, grpc::CallbackServerContext* context,
      const std::string& path, absl::string_view rpc) {
    auto* self = new ForwardedCall(target, context, rpc);
    // What Start returns may be gone once gRPC knows of it.
    auto* reactor = &self->caller_;
    self->Begin(path);
    return reactor;
  }

 private:
  class Caller final : public grpc::ServerBidiReactor<ByteBuffer, ByteBuffer> {
   public:
    explicit Caller(ForwardedCall* forwarded) : forwarded_(forwarded) {}
    void OnReadDone(bool ok) override { forwarded_->CallerSent(ok); }
    void OnWriteDone(bool ok) override { forwarded_->CallerTook(ok); }
    void OnCancel() override { forwarded_->call_.Cancel(); }
    void OnDone() override { forwarded_->HalfDone(); }

   private:
    ForwardedCall* const forwarded_;
  };
  class Upstream final
      : public grpc::ClientBidiReactor<ByteBuffer, ByteBuffer> {
   public:
    explicit Upstream(ForwardedCall* forwarded) : forwarded_(forwarded) {}
    void OnReadDone(bool ok) override { forwarded_->UpstreamSent(ok); }
    void OnWriteDone(bool ok) override { forwarded_->UpstreamTook(ok); }
    void OnDone(const grpc::Status& status) override {
      forwarded_->UpstreamEnded(status);
    }

   private:
    ForwardedCall* const forwarded_;
  };
  struct Cancel {
    grpc::ClientContext* context;
    void operator()() const { context->TryCancel(); }
  };

  ForwardedCall(Target* target, grpc::CallbackServerContext* context,
                absl::string_view rpc)
      : target_(target),
        // Without a deadline of the caller's, the upstream's default holds.
        call_(target->core, context, rpc, absl::InfiniteDuration()),
        caller_(this),
        upstream_(this),
        counted_(target->in_flight.fetch_add(1) <
                 target->core->limits.max_forwarded_calls) {}

  void Begin(const std::string& path) {
    absl::Status status = call_.admitted();
    if (status.ok() && !counted_) {
      status = Overloaded("too many calls are passed on",
                          target_->core->limits.retry_delay);
    }
    if (status.ok()) status = call_.Forward(SteadyTime::max(), &context_);
    if (!status.ok()) {
      halves_ = 1;
      Finish(status);
      return;
    }
    grpc::TemplatedGenericStub<ByteBuffer, ByteBuffer> stub(target_->channel);
    stub.PrepareBidiStreamingCall(&context_, path, grpc::StubOptions(),
                                  &upstream_);
    // One for what is written to the upstream and one for what is read from it:
    // the next write or read is begun by the other half, and until then the
    // call must not end.
    upstream_.AddMultipleHolds(2);
    upstream_.StartCall();
    cancel_.emplace(call_.stop(), Cancel{&context_});
    upstream_.StartRead(&to_caller_);
    caller_.StartRead(&to_upstream_);
  }

  void CallerSent(bool ok) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (up_ == Up::kClosed) return;
      up_ = ok ? Up::kWriting : Up::kClosed;
    }
    if (ok) {
      upstream_.StartWrite(&to_upstream_);
    } else {
      upstream_.StartWritesDone();
      upstream_.RemoveHold();
    }
  }

  void UpstreamTook(bool ok) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (ok && !upstream_over_) {
        up_ = Up::kReading;
        // Under the lock: the upstream's end, which finishes the caller's half,
        // must not come between.
        caller_.StartRead(&to_upstream_);
        return;
      }
      up_ = Up::kClosed;
    }
    upstream_.RemoveHold();
  }

  void UpstreamSent(bool ok) {
    if (ok) {
      caller_.StartWrite(&to_caller_);
    } else {
      EndReading();
    }
  }

  void CallerTook(bool ok) {
    if (ok) {
      upstream_.StartRead(&to_caller_);
    } else {
      context_.TryCancel();
      EndReading();
    }
  }

  // Nothing more is read from the upstream, so nothing more is written to it.
  void EndReading() ABSL_LOCKS_EXCLUDED(mutex_) {
    bool writing;
    {
      absl::MutexLock lock(&mutex_);
      upstream_over_ = true;
      writing = up_ != Up::kReading;
      up_ = writing ? up_ : Up::kClosed;
    }
    if (!writing) upstream_.RemoveHold();
    upstream_.RemoveHold();
  }

  void UpstreamEnded(const grpc::Status& status) {
    const absl::Status error = UpstreamError(status, target_->role);
    if (absl::IsUnavailable(error) && status.error_details().empty()) {
      target_->core->log.Write(
          LogLevel::kWarning, "upstream_unreachable",
          {{"role", target_->role}, {"message", status.error_message()}});
    }
    Finish(error);
    HalfDone();
  }

  // The place is free before the caller knows: it may call again at once.
  void Finish(const absl::Status& status) {
    target_->in_flight.fetch_sub(1);
    caller_.Finish(call_.End(status));
  }

  void HalfDone() {
    if (halves_.fetch_sub(1) == 1) delete this;
  }

  // Of what goes up. Its hold on the upstream's half lasts until kClosed.
  enum class Up { kReading, kWriting, kClosed };

  Target* const target_;
  Call call_;
  Caller caller_;
  Upstream upstream_;
  const bool counted_;
  grpc::ClientContext context_;
  ByteBuffer to_upstream_;
  ByteBuffer to_caller_;
  std::atomic<int> halves_{2};
  absl::Mutex mutex_;
  Up up_ ABSL_GUARDED_BY(mutex_) = Up::kReading;
  bool upstream_over_ ABSL_GUARDED_BY(mutex_) = false;
  // Last: gone before what it cancels.
  std::optional<std::stop_callback<Cancel>> cancel_;
};

class ForwardedService final : public grpc::Service {
 public:
  ForwardedService(ServerCore* core, std::shared_ptr<grpc::Channel> upstream,
                   const std::string& service, const char* role)
      : target_{core, std::move(upstream), role} {
    const auto* descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
            service);
    names_.reserve(static_cast<size_t>(descriptor->method_count()));
    for (int i = 0; i < descriptor->method_count(); ++i) {
      const std::string& method = descriptor->method(i)->name();
      const Names& names = names_.emplace_back(
          Names{absl::StrCat("/", service, "/", method),
                absl::StrCat(descriptor->name(), "/", method)});
      // What has one message each way looks the same on the wire.
      AddMethod(new grpc::internal::RpcServiceMethod(
          names.path.c_str(), grpc::internal::RpcMethod::BIDI_STREAMING,
          nullptr));
      MarkMethodRawCallback(
          i, new grpc::internal::CallbackBidiHandler<ByteBuffer, ByteBuffer>(
                 [this, &names](grpc::CallbackServerContext* context) {
                   return ForwardedCall::Start(&target_, context, names.path,
                                               names.rpc);
                 }));
    }
  }

 private:
  struct Names {
    std::string path;  // /braid.v1.RetrievalService/Search
    std::string rpc;   // RetrievalService/Search
  };
  Target target_;
  std::vector<Names> names_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeForwardedService(
    ServerCore* core, std::shared_ptr<grpc::Channel> upstream,
    const std::string& service, const char* role) {
  return std::make_unique<ForwardedService>(core, std::move(upstream), service,
                                            role);
}

}  // namespace braid::services
