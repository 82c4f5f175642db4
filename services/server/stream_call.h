// A server-streaming RPC whose messages are made on a work pool.
#ifndef BRAID_SERVICES_SERVER_STREAM_CALL_H_
#define BRAID_SERVICES_SERVER_STREAM_CALL_H_

#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "retrieval/steady_condition.h"
#include "services/server/call.h"
#include "services/server/deadline.h"
#include "services/server/errors.h"

namespace braid::services {

// Owns itself: gRPC's OnDone is its end. The producer runs on a thread of the
// pool and calls Send; messages that gRPC has not taken yet wait in a queue of
// at most Limits::max_unsent_bytes_per_stream, so a slow reader slows its
// producer down instead of filling the memory.
template <typename Response>
class StreamCall final : public grpc::ServerWriteReactor<Response> {
 public:
  // Returns the status that the stream ends with.
  using Producer = std::function<absl::Status(StreamCall& stream)>;

  // `default_timeout` is for callers that set no deadline.
  template <typename Request>
  static grpc::ServerWriteReactor<Response>* Start(
      ServerCore* core, WorkPool* pool, grpc::CallbackServerContext* context,
      absl::string_view rpc, const Request& request,
      absl::Duration default_timeout, Producer producer) {
    auto* self = new StreamCall(core, context, rpc, default_timeout,
                                std::move(producer));
    if (const absl::Status admitted = self->call_.Admit(request);
        !admitted.ok()) {
      self->Complete(admitted);
    } else if (!pool->TryRun([self](WorkPool::Slot slot) {
                 self->Run(std::move(slot));
               })) {
      self->Complete(Overloaded("too many streams are in flight",
                                core->limits.retry_delay));
    }
    return self;
  }

  Call& call() { return call_; }

  // Queues a message, blocking while the queue is full. A message larger than
  // the whole queue waits until it is empty. Returns false when nothing more
  // will be sent: cancelled, shut down, or the reader took nothing for
  // Limits::max_write_stall. Called by the producer only.
  bool Send(Response message) ABSL_LOCKS_EXCLUDED(mutex_) {
    const size_t bytes = message.ByteSizeLong();
    const Response* write = nullptr;
    bool stalled = false;
    {
      absl::MutexLock lock(&mutex_);
      const auto can_go_on = [this,
                              bytes]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return Broken() || queue_.empty() ||
               queued_bytes_ + bytes <=
                   call_.limits().max_unsent_bytes_per_stream;
      };
      stalled = !changed_.WaitUntil(
          &mutex_, After(call_.limits().max_write_stall), can_go_on);
      if (!stalled) {
        if (Broken()) return false;
        queue_.push_back({std::move(message), bytes});
        queued_bytes_ += bytes;
        if (!writing_) {
          writing_ = true;
          write = &queue_.front().message;
        }
      }
    }
    if (stalled) {
      // The write in progress will not end by itself: the reader takes nothing.
      call_.Evict();
      context_->TryCancel();
      return false;
    }
    if (write != nullptr) this->StartWrite(write);
    return true;
  }

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_) {
    const Response* next = nullptr;
    std::optional<grpc::Status> finish;
    {
      absl::MutexLock lock(&mutex_);
      queued_bytes_ -= queue_.front().bytes;
      queue_.pop_front();
      if (!ok) {
        failed_ = true;
        queue_.clear();
        queued_bytes_ = 0;
      }
      changed_.NotifyAll();
      if (!queue_.empty()) {
        next = &queue_.front().message;
      } else {
        writing_ = false;
        finish.swap(finish_);
      }
    }
    // Outside the lock: both may call back at once, and Finish may end `this`.
    if (next != nullptr) {
      this->StartWrite(next);
    } else if (finish.has_value()) {
      this->Finish(*std::move(finish));
    }
  }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

 private:
  struct Queued {
    Response message;
    size_t bytes;
  };

  StreamCall(ServerCore* core, grpc::CallbackServerContext* context,
             absl::string_view rpc, absl::Duration default_timeout,
             Producer producer)
      : call_(core, context, rpc, default_timeout),
        context_(context),
        producer_(std::move(producer)),
        wake_(call_.stop(), Wake{this}) {}

  void Run(WorkPool::Slot slot) {
    absl::Status status = call_.Alive();
    if (status.ok()) {
      try {
        status = producer_(*this);
      } catch (const std::exception& error) {
        status =
            absl::InternalError(absl::StrCat("unexpected: ", error.what()));
      }
    }
    slot.Release();
    Complete(status);
  }

  // Ends the stream after what is queued. `this` may be gone afterwards.
  void Complete(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_) {
    grpc::Status finish = call_.End(status);
    {
      absl::MutexLock lock(&mutex_);
      if (writing_) {
        finish_ = std::move(finish);
        return;
      }
    }
    this->Finish(std::move(finish));
  }

  bool Broken() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return failed_ || call_.stop().stop_requested();
  }

  // Makes a waiting Send look at its condition again.
  struct Wake {
    StreamCall* self;
    void operator()() const {
      absl::MutexLock lock(&self->mutex_);
      self->changed_.NotifyAll();
    }
  };

  Call call_;
  grpc::CallbackServerContext* const context_;
  const Producer producer_;
  absl::Mutex mutex_;
  retrieval::SteadyCondition changed_;  // what a waiting Send looks at
  // The front is being written while `writing_`.
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> finish_ ABSL_GUARDED_BY(mutex_);
  // Last: gone before the mutex it takes.
  std::stop_callback<Wake> wake_;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_STREAM_CALL_H_
