#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "braid/v1/admin_service.grpc.pb.h"
#include "kernels/device.h"
#include "kernels/gemm.h"
#include "services/hub/digest.h"
#include "services/server/convert.h"
#include "services/server/services.h"
#include "services/server/stream_call.h"
#include "services/server/unary_call.h"
#include "services/server/validate.h"
#include "services/telemetry/process_figures.h"

namespace braid::services {
namespace {

// Of a file in one message.
constexpr size_t kBackupBytes = 128 << 10;

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
  if (runtime.has_answerer()) {
    response->set_answerer(runtime.answerer().name());
  }
  if (runtime.reranker() != nullptr) {
    response->set_reranker(runtime.reranker()->name());
  }
  response->set_uptime_seconds(
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                SteadyTime::clock::now() - runtime.start_time())
                                .count()));
  response->set_resident_bytes(telemetry::ResidentBytes());
  return absl::OkStatus();
}

absl::Status Check(const Call& call, const v1::CheckConsistencyRequest& request,
                   v1::CheckConsistencyResponse* response) {
  const auto collection =
      ParseCollection("collection", request.collection(), call.limits());
  if (!collection.ok()) return collection.status();
  // What was acknowledged before the check is part of it; indexes that do not
  // catch up in time are compared as they are.
  (void)call.runtime().backend().WaitUntilCurrent(*collection,
                                                  After(absl::Seconds(5)));
  const auto report = call.runtime().backend().CheckConsistency(
      *collection, call.deadline(), call.stop());
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

absl::Status Verify(Call& call, const v1::VerifyRequest& request,
                    v1::VerifyResponse* response) {
  const auto operation =
      call.StartOperation(OperationKind::kVerify, /*collection=*/"");
  const auto report = call.runtime().backend().Verify(
      request.repair(), call.deadline(), call.stop(),
      [&](const retrieval::VerifyProgress& progress) {
        operation->SetProgress(progress.documents, progress.damaged,
                               progress.total);
      });
  if (!report.ok()) return report.status();
  ToProto(*report, response);
  return absl::OkStatus();
}

using BackupStream = StreamCall<v1::BackupResponse>;

// Sends one file of a checkpoint.
absl::Status SendFile(const std::string& directory, const std::string& name,
                      BackupStream& stream, Operation& operation,
                      v1::BackupSummary* summary) {
  const absl::Status cancelled =
      absl::CancelledError("the backup was cancelled");
  const std::string path = absl::StrCat(directory, "/", name);
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return absl::UnavailableError(absl::StrCat("cannot open ", path));
  const uint64_t bytes = static_cast<uint64_t>(file.tellg());
  file.seekg(0);
  v1::BackupResponse begin;
  begin.mutable_file()->set_name(name);
  begin.mutable_file()->set_bytes(bytes);
  if (!stream.Send(std::move(begin))) return cancelled;
  hub::StreamDigest digest(hub::DigestKind::kSha256, bytes);
  std::string buffer(kBackupBytes, '\0');
  for (uint64_t left = bytes; left > 0;) {
    const size_t part = std::min<uint64_t>(left, buffer.size());
    if (!file.read(buffer.data(), static_cast<std::streamsize>(part))) {
      return absl::DataLossError(absl::StrCat("cannot read ", path));
    }
    v1::BackupResponse data;
    data.mutable_data()->assign(buffer, 0, part);
    digest.Add(data.data());
    if (!stream.Send(std::move(data))) return cancelled;
    operation.Add(part, /*failed=*/0);
    left -= part;
  }
  auto checksum = digest.Finish();
  if (!checksum.ok()) return checksum.status();
  v1::BackupResponse end;
  end.set_sha256(*std::move(checksum));
  if (!stream.Send(std::move(end))) return cancelled;
  summary->set_files(summary->files() + 1);
  summary->set_bytes(summary->bytes() + bytes);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> TotalBytes(const retrieval::Checkpoint& checkpoint) {
  uint64_t total = 0;
  for (const std::string& name : checkpoint.files()) {
    const std::string path = absl::StrCat(checkpoint.directory(), "/", name);
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(path, error);
    if (error) {
      return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
    }
    total += bytes;
  }
  return total;
}

absl::Status Backup(BackupStream& stream) {
  const auto operation = stream.call().StartOperation(OperationKind::kBackup,
                                                      /*collection=*/"");
  const auto checkpoint = stream.call().runtime().backend().CreateCheckpoint();
  if (!checkpoint.ok()) return checkpoint.status();
  const absl::StatusOr<uint64_t> bytes = TotalBytes(**checkpoint);
  if (!bytes.ok()) return bytes.status();
  operation->SetTotal(*bytes);
  v1::BackupResponse last;
  for (const std::string& name : (*checkpoint)->files()) {
    const absl::Status sent = SendFile((*checkpoint)->directory(), name, stream,
                                       *operation, last.mutable_summary());
    if (!sent.ok()) return sent;
  }
  if (stream.Send(std::move(last))) return absl::OkStatus();
  return absl::CancelledError("the backup was cancelled");
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
  grpc::ServerUnaryReactor* Verify(grpc::CallbackServerContext* context,
                                   const v1::VerifyRequest* request,
                                   v1::VerifyResponse* response) override {
    return UnaryCall<v1::VerifyRequest, v1::VerifyResponse>::Start(
        core_, &core_->lookups, context, "AdminService/Verify", request,
        response, services::Verify);
  }
  grpc::ServerWriteReactor<v1::BackupResponse>* Backup(
      grpc::CallbackServerContext* context,
      const v1::BackupRequest* request) override {
    return BackupStream::Start(
        core_, &core_->lookups, context, "AdminService/Backup", *request,
        core_->limits.default_answer_deadline, services::Backup);
  }

 private:
  ServerCore* const core_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(ServerCore* core) {
  return std::make_unique<AdminService>(core);
}

}  // namespace braid::services
