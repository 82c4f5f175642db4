// grpc.health.v1.Health.
//
// Our own, and not the one inside gRPC++: that one has no descriptors, so
// clients that call through reflection cannot use it.
#ifndef BRAID_SERVICES_SERVER_HEALTH_SERVICE_H_
#define BRAID_SERVICES_SERVER_HEALTH_SERVICE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace braid::services {

class HealthWatch;

// One state for all services of the process: they share one store, so they
// serve or fail together. The empty name stands for the whole server. Answers
// on gRPC's own threads, so that it answers under any load.
class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  using Response = grpc::health::v1::HealthCheckResponse;

  // `names` are the full names of the services, such as
  // `braid.v1.AnswerService`.
  HealthService(std::vector<std::string> names, int max_watchers);
  ~HealthService() override;

  void SetServing(bool serving) ABSL_LOCKS_EXCLUDED(mutex_);
  bool serving() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends every watch with UNAVAILABLE after its last state was sent.
  void CloseWatches() ABSL_LOCKS_EXCLUDED(mutex_);

  grpc::ServerUnaryReactor* Check(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request,
      Response* response) override;
  grpc::ServerWriteReactor<Response>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request) override;

 private:
  friend class HealthWatch;
  void Remove(HealthWatch* watch) ABSL_LOCKS_EXCLUDED(mutex_);
  Response::ServingStatus StatusOf(const std::string& name) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const absl::flat_hash_set<std::string> names_;
  const size_t max_watchers_;
  mutable absl::Mutex mutex_;
  bool serving_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<std::shared_ptr<HealthWatch>> watches_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_HEALTH_SERVICE_H_
