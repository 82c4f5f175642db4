#include <unistd.h>

#include <fstream>
#include <memory>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "braid/v1/admin_service.grpc.pb.h"
#include "kernels/device.h"
#include "kernels/gemm.h"
#include "services/server/services.h"
#include "services/server/unary_call.h"
#include "services/server/validate.h"

namespace braid::services {
namespace {

// 0 where the system does not tell.
uint64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total_pages = 0;
  uint64_t resident_pages = 0;
  if (!(statm >> total_pages >> resident_pages)) return 0;
  return resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

absl::Status GetInfo(const Call& call, const v1::GetServerInfoRequest&,
                     v1::GetServerInfoResponse* response) {
  Runtime& runtime = call.runtime();
  response->set_version(BRAID_VERSION);
  response->set_encoder(runtime.encoder().fingerprint());
  response->set_kernel_target(kernels::KernelTarget());
  for (const kernels::GpuDevice& gpu : kernels::ListGpus().devices) {
    response->add_gpus(gpu.name);
  }
  if (runtime.generator() != nullptr) {
    response->set_model(runtime.generator()->name());
  }
  response->set_uptime_seconds(static_cast<uint64_t>(std::max<int64_t>(
      0, absl::ToInt64Seconds(absl::Now() - runtime.start_time()))));
  response->set_resident_bytes(ResidentBytes());
  return absl::OkStatus();
}

absl::Status Check(const Call& call, const v1::CheckConsistencyRequest& request,
                   v1::CheckConsistencyResponse* response) {
  const auto collection =
      ParseCollection("collection", request.collection(), call.limits());
  if (!collection.ok()) return collection.status();
  // What was acknowledged before the check is part of it; indexes that do not
  // catch up in time are compared as they are.
  (void)call.runtime().backend().WaitUntilCurrent(
      *collection, absl::Now() + absl::Seconds(5));
  const auto report = call.runtime().backend().CheckConsistency(*collection);
  if (!report.ok()) return CollectionError(report.status());
  response->set_consistent(report->consistent());
  response->set_store_chunks(report->store_chunks);
  response->set_bm25_chunks(report->bm25_chunks);
  response->set_dense_chunks(report->dense_chunks);
  for (const std::string& difference : report->differences) {
    response->add_differences(difference);
  }
  response->set_sequence(report->sequence);
  return absl::OkStatus();
}

class AdminService final : public v1::AdminService::CallbackService {
 public:
  explicit AdminService(ServerCore* core) : core_(core) {}

  grpc::ServerUnaryReactor* GetServerInfo(
      grpc::CallbackServerContext* context,
      const v1::GetServerInfoRequest* request,
      v1::GetServerInfoResponse* response) override {
    return UnaryCall<v1::GetServerInfoRequest, v1::GetServerInfoResponse>::
        Start(core_, &core_->lookups, context, "AdminService/GetServerInfo",
              request, response, GetInfo);
  }
  grpc::ServerUnaryReactor* CheckConsistency(
      grpc::CallbackServerContext* context,
      const v1::CheckConsistencyRequest* request,
      v1::CheckConsistencyResponse* response) override {
    return UnaryCall<
        v1::CheckConsistencyRequest,
        v1::CheckConsistencyResponse>::Start(core_, &core_->lookups, context,
                                             "AdminService/CheckConsistency",
                                             request, response, Check);
  }

 private:
  ServerCore* const core_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(ServerCore* core) {
  return std::make_unique<AdminService>(core);
}

}  // namespace braid::services
