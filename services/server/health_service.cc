#include "services/server/health_service.h"

#include <optional>
#include <utility>

#include "services/server/errors.h"

namespace braid::services {

// One watcher. Only the newest state waits to be sent: a slow watcher misses
// states in between, as the protocol allows, and holds one message.
class HealthWatch final
    : public grpc::ServerWriteReactor<HealthService::Response>,
      public std::enable_shared_from_this<HealthWatch> {
 public:
  using Status = HealthService::Response::ServingStatus;

  HealthWatch(HealthService* service, std::string name)
      : service_(service), name_(std::move(name)) {}

  const std::string& name() const { return name_; }

  void Update(Status status) {
    {
      absl::MutexLock lock(&mutex_);
      if (finish_.has_value() || finished_ || status == newest_) return;
      newest_ = status;
      if (writing_) {
        pending_ = true;
        return;
      }
      writing_ = true;
      message_.set_status(status);
    }
    StartWrite(&message_);
  }

  void End(grpc::Status status) {
    {
      absl::MutexLock lock(&mutex_);
      if (finish_.has_value() || finished_) return;
      if (writing_) {
        finish_ = std::move(status);
        return;
      }
      finished_ = true;
    }
    Finish(std::move(status));
  }

  void OnWriteDone(bool ok) override {
    std::optional<grpc::Status> finish;
    {
      absl::MutexLock lock(&mutex_);
      if (ok && pending_) {
        pending_ = false;
        message_.set_status(newest_);
      } else {
        writing_ = false;
        finish.swap(finish_);
        if (!finish.has_value() && !ok) {
          finish.emplace(grpc::StatusCode::UNAVAILABLE, "the watcher is gone");
        }
        if (!finish.has_value()) return;
        finished_ = true;
      }
    }
    if (finish.has_value()) {
      Finish(*std::move(finish));
    } else {
      StartWrite(&message_);
    }
  }
  void OnCancel() override {
    End(ToGrpcStatus(absl::CancelledError("the client cancelled the watch")));
  }
  void OnDone() override { service_->Remove(this); }

 private:
  HealthService* const service_;
  const std::string name_;
  absl::Mutex mutex_;
  HealthService::Response message_;  // gRPC's while `writing_`
  Status newest_ ABSL_GUARDED_BY(mutex_) = HealthService::Response::UNKNOWN;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool pending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> finish_ ABSL_GUARDED_BY(mutex_);
};

namespace {

// Health answers at once, with a status and nothing to compute.
class AtOnce final : public grpc::ServerUnaryReactor {
 public:
  explicit AtOnce(grpc::Status status) { Finish(std::move(status)); }
  void OnDone() override { delete this; }
};

grpc::Status Closing() {
  return ToGrpcStatus(WithReason(
      absl::UnavailableError("the server is shutting down"), "SHUTTING_DOWN"));
}

}  // namespace

HealthService::HealthService(std::vector<std::string> names, int max_watchers)
    : names_(names.begin(), names.end()),
      max_watchers_(static_cast<size_t>(max_watchers)) {}

HealthService::~HealthService() = default;

HealthService::Response::ServingStatus HealthService::StatusOf(
    const std::string& name) const {
  if (!name.empty() && !names_.contains(name)) return Response::SERVICE_UNKNOWN;
  return serving_ ? Response::SERVING : Response::NOT_SERVING;
}

void HealthService::SetServing(bool serving) {
  std::vector<std::pair<std::shared_ptr<HealthWatch>, Response::ServingStatus>>
      updates;
  {
    absl::MutexLock lock(&mutex_);
    serving_ = serving;
    for (const auto& watch : watches_) {
      updates.emplace_back(watch, StatusOf(watch->name()));
    }
  }
  for (const auto& [watch, status] : updates) watch->Update(status);
}

bool HealthService::serving() const {
  absl::MutexLock lock(&mutex_);
  return serving_;
}

void HealthService::CloseWatches() {
  std::vector<std::shared_ptr<HealthWatch>> watches;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    watches.assign(watches_.begin(), watches_.end());
  }
  for (const auto& watch : watches) watch->End(Closing());
}

void HealthService::Remove(HealthWatch* watch) {
  // The last reference may go here: not under the lock.
  const std::shared_ptr<HealthWatch> removed = watch->shared_from_this();
  absl::MutexLock lock(&mutex_);
  watches_.erase(removed);
}

grpc::ServerUnaryReactor* HealthService::Check(
    grpc::CallbackServerContext*,
    const grpc::health::v1::HealthCheckRequest* request, Response* response) {
  Response::ServingStatus status;
  {
    absl::MutexLock lock(&mutex_);
    status = StatusOf(request->service());
  }
  if (status == Response::SERVICE_UNKNOWN) {
    return new AtOnce(ToGrpcStatus(absl::NotFoundError("no such service")));
  }
  response->set_status(status);
  return new AtOnce(grpc::Status::OK);
}

grpc::ServerWriteReactor<HealthService::Response>* HealthService::Watch(
    grpc::CallbackServerContext*,
    const grpc::health::v1::HealthCheckRequest* request) {
  const auto watch = std::make_shared<HealthWatch>(this, request->service());
  Response::ServingStatus status;
  bool full;
  bool closed;
  {
    absl::MutexLock lock(&mutex_);
    full = watches_.size() >= max_watchers_;
    closed = closed_;
    // Also when it is refused: it lives until gRPC is done with it.
    watches_.insert(watch);
    status = StatusOf(watch->name());
  }
  if (closed) {
    watch->End(Closing());
  } else if (full) {
    watch->End(ToGrpcStatus(
        absl::ResourceExhaustedError("too many health watches are open")));
  } else {
    watch->Update(status);
  }
  return watch.get();
}

}  // namespace braid::services
