#include "services/cli/ingest_stream.h"

#include <utility>

#include "services/cli/exit_code.h"

namespace braid::services::cli {
namespace {

// Enough to keep the server's encoder in full batches. One document larger than
// the window in bytes travels alone.
constexpr size_t kMaxInFlight = 256;
constexpr size_t kMaxBytesInFlight = 32 << 20;

}  // namespace

IngestStream::IngestStream(v1::DocumentService::Stub* stub,
                           grpc::ClientContext* context,
                           Acknowledged acknowledged)
    : acknowledged_(std::move(acknowledged)), stream_(stub->Ingest(context)) {
  reader_ = std::thread([this] { ReadAcknowledgements(); });
}

void IngestStream::ReadAcknowledgements() {
  v1::IngestResponse response;
  while (stream_->Read(&response)) {
    std::string origin;
    {
      absl::MutexLock lock(&mutex_);
      const auto sent = in_flight_.find(response.correlation_id());
      if (sent == in_flight_.end()) continue;
      bytes_in_flight_ -= sent->second.bytes;
      origin = std::move(sent->second.origin);
      in_flight_.erase(sent);
    }
    acknowledged_(origin, response);
  }
  absl::MutexLock lock(&mutex_);
  ended_ = true;
}

bool IngestStream::Send(const std::string& origin, v1::IngestRequest request) {
  request.set_correlation_id(next_id_++);
  const size_t bytes = request.ByteSizeLong();
  {
    const auto has_room = [this, bytes]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return ended_ || in_flight_.empty() ||
             (in_flight_.size() < kMaxInFlight &&
              bytes_in_flight_ + bytes <= kMaxBytesInFlight);
    };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&has_room));
    if (ended_) return false;
    in_flight_.emplace(request.correlation_id(), Sent{bytes, origin});
    bytes_in_flight_ += bytes;
  }
  return stream_->Write(request);
}

absl::Status IngestStream::Finish() {
  stream_->WritesDone();
  if (reader_.joinable()) reader_.join();
  return FromGrpc(stream_->Finish());
}

std::vector<std::string> IngestStream::unacknowledged() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> origins;
  for (const auto& [id, sent] : in_flight_) origins.push_back(sent.origin);
  return origins;
}

}  // namespace braid::services::cli
