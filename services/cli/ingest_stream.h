// The client side of DocumentService.Ingest: a window of unacknowledged
// requests, so that neither side holds more than a bounded amount.
#ifndef BRAID_SERVICES_CLI_INGEST_STREAM_H_
#define BRAID_SERVICES_CLI_INGEST_STREAM_H_

#include <braid/v1/document_service.grpc.pb.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace braid::services::cli {

class IngestStream {
 public:
  // Called on the reader's thread, one response at a time, with what Send was
  // told about the request.
  using Acknowledged =
      std::function<void(const std::string& origin, const v1::IngestResponse&)>;

  // `context` must outlive the stream.
  IngestStream(v1::DocumentService::Stub* stub, grpc::ClientContext* context,
               Acknowledged acknowledged);
  // Finish must have been called.
  ~IngestStream() = default;
  IngestStream(const IngestStream&) = delete;
  IngestStream& operator=(const IngestStream&) = delete;

  // Sends a request once the window has room; sets its correlation id. False
  // when the stream has ended: Finish says why.
  bool Send(const std::string& origin, v1::IngestRequest request);
  // Says that no more will be sent, waits for what is in flight, and returns
  // the status of the stream.
  absl::Status Finish();
  // The origins of requests sent but not answered.
  std::vector<std::string> unacknowledged() const;

 private:
  void ReadAcknowledgements();

  const Acknowledged acknowledged_;
  std::unique_ptr<
      grpc::ClientReaderWriter<v1::IngestRequest, v1::IngestResponse>>
      stream_;
  mutable absl::Mutex mutex_;
  struct Sent {
    size_t bytes;
    std::string origin;
  };
  // By correlation id.
  absl::flat_hash_map<uint64_t, Sent> in_flight_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_id_ = 1;
  std::thread reader_;
};

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_INGEST_STREAM_H_
