#include "services/server/ingest_stream.h"

#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "braid/v1/document_service.pb.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "retrieval/steady_condition.h"
#include "services/server/convert.h"
#include "services/server/deadline.h"
#include "services/server/errors.h"
#include "services/server/services.h"
#include "services/server/validate.h"
#include "services/text.h"

namespace braid::services {
namespace {

using grpc::ByteBuffer;

const char* NameOf(v1::IngestResponse::Outcome outcome) {
  switch (outcome) {
    case v1::IngestResponse::OUTCOME_CREATED:
      return "created";
    case v1::IngestResponse::OUTCOME_REPLACED:
      return "replaced";
    case v1::IngestResponse::OUTCOME_UNCHANGED:
      return "unchanged";
    default:
      return "failed";
  }
}

// One stream. A thread of the pool reads it: it takes a message, hands it to
// the collection's pipeline (which blocks while the pipeline is full) and only
// then asks gRPC for the next one, so the client is slowed down to the speed of
// the pipeline. Pipeline threads acknowledge; they never block here, because at
// most Limits::max_unacknowledged_documents acknowledgements can be under way.
//
// Kept alive by gRPC (until OnDone), by the reader thread, and by documents in
// the pipeline.
class IngestStream final
    : public grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>,
      public std::enable_shared_from_this<IngestStream> {
 public:
  IngestStream(ServerCore* core, grpc::CallbackServerContext* context)
      : call_(std::make_unique<Call>(core, context, "DocumentService/Ingest",
                                     absl::InfiniteDuration())),
        context_(context),
        stop_(call_->stop()),
        limits_(core->limits),
        metrics_(core->metrics),
        runtime_(*core->runtime),
        wake_(std::in_place, stop_, Wake{this}) {}

  void Begin(ServerCore* core) {
    self_ = shared_from_this();
    if (!call_->admitted().ok()) {
      Finish(call_->End(call_->admitted()));
      return;
    }
    StartRead(&incoming_);
    std::shared_ptr<IngestStream> self = self_;
    if (!core->ingests.TryRun(
            [self](WorkPool::Slot slot) { self->Run(std::move(slot)); })) {
      Complete(
          Overloaded("too many ingest streams are open", limits_.retry_delay));
    }
  }

  void OnReadDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    (ok ? read_ready_ : read_closed_) = true;
    changed_.NotifyAll();
  }
  void OnWriteDone(bool ok) override;
  void OnCancel() override { call_->Cancel(); }
  void OnDone() override {
    // Documents in the pipeline may keep this object for a while: the call ends
    // here all the same.
    wake_.reset();
    call_->Close();
    call_.reset();
    self_.reset();
  }

 private:
  // Makes the reader look at its condition again.
  struct Wake {
    IngestStream* self;
    void operator()() const {
      absl::MutexLock lock(&self->mutex_);
      self->changed_.NotifyAll();
    }
  };

  void Run(WorkPool::Slot slot);
  absl::Status ReadAll();
  using Condition = bool (IngestStream::*)() const;
  bool WaitFor(Condition condition, absl::Duration timeout);
  absl::Status WaitForMessage();
  absl::Status WaitForAcknowledgements(Condition condition);
  void Take(ByteBuffer* buffer);
  absl::Status Submit(v1::IngestRequest* request);
  absl::Status UseCollection(const v1::IngestRequest& request);
  void Fail(const v1::IngestRequest& request, const absl::Status& status);
  void Acknowledge(const v1::IngestResponse& response);
  void Complete(const absl::Status& status);

  bool Stopped() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return write_failed_ || stop_.stop_requested();
  }
  bool CanTake() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return Stopped() || read_closed_ || read_ready_;
  }
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return Stopped() || unacknowledged_ < limits_.max_unacknowledged_documents;
  }
  bool AllAcknowledged() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return Stopped() || unacknowledged_ == 0;
  }

  std::unique_ptr<Call> call_;
  grpc::CallbackServerContext* const context_;  // gRPC's, until OnDone
  const std::stop_token stop_;
  const Limits& limits_;
  telemetry::Metrics& metrics_;
  Runtime& runtime_;
  std::shared_ptr<IngestStream> self_;

  // Of the reader thread.
  std::string collection_;
  std::shared_ptr<retrieval::IngestPipeline> pipeline_;

  std::shared_ptr<Operation> operation_;  // set before the first document
  ByteBuffer incoming_;  // gRPC's between StartRead and OnReadDone
  absl::Mutex mutex_;
  retrieval::SteadyCondition changed_;  // what the reader waits for
  bool read_ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_closed_ ABSL_GUARDED_BY(mutex_) = false;
  // Read, and not yet acknowledged on the wire.
  int unacknowledged_ ABSL_GUARDED_BY(mutex_) = 0;
  // The front is being written while `writing_`.
  std::deque<ByteBuffer> outgoing_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t written_ ABSL_GUARDED_BY(mutex_) = 0;
  bool write_failed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // nothing is written any more
  std::optional<grpc::Status> finish_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::stop_callback<Wake>> wake_;
};

void IngestStream::OnWriteDone(bool ok) {
  const ByteBuffer* next = nullptr;
  std::optional<grpc::Status> finish;
  {
    absl::MutexLock lock(&mutex_);
    outgoing_.pop_front();
    --unacknowledged_;
    ++written_;
    if (!ok) {
      write_failed_ = true;
      outgoing_.clear();
    }
    changed_.NotifyAll();
    if (!outgoing_.empty()) {
      next = &outgoing_.front();
    } else {
      writing_ = false;
      finish.swap(finish_);
    }
  }
  if (next != nullptr) {
    StartWrite(next);
  } else if (finish.has_value()) {
    Finish(*std::move(finish));
  }
}

void IngestStream::Run(WorkPool::Slot slot) {
  operation_ = call_->StartOperation(OperationKind::kIngest, /*collection=*/"");
  absl::Status status;
  try {
    status = ReadAll();
  } catch (const std::exception& error) {
    status = absl::InternalError(absl::StrCat("unexpected: ", error.what()));
  }
  pipeline_.reset();
  slot.Release();
  Complete(status);
}

bool IngestStream::WaitFor(Condition condition, absl::Duration timeout) {
  const auto holds = [this, condition] { return (this->*condition)(); };
  absl::MutexLock lock(&mutex_);
  return changed_.WaitUntil(&mutex_, After(timeout), holds);
}

absl::Status IngestStream::WaitForMessage() {
  while (!WaitFor(&IngestStream::CanTake, limits_.max_ingest_idle)) {
    // A client that waits for its acknowledgements is not idle.
    absl::MutexLock lock(&mutex_);
    if (unacknowledged_ == 0) {
      return WithReason(
          absl::DeadlineExceededError("the stream was idle for too long"),
          "STREAM_IDLE");
    }
  }
  return absl::OkStatus();
}

// The pipeline may take its time over a long document, but a client that does
// not read its acknowledgements does not hold a stream for ever.
absl::Status IngestStream::WaitForAcknowledgements(Condition condition) {
  while (true) {
    uint64_t written;
    {
      absl::MutexLock lock(&mutex_);
      written = written_;
      if (!writing_) ++written;  // nothing to be stalled yet
    }
    if (WaitFor(condition, limits_.max_write_stall)) return absl::OkStatus();
    absl::MutexLock lock(&mutex_);
    if (writing_ && written_ == written) break;
  }
  call_->Evict();
  context_->TryCancel();
  return absl::UnavailableError("acknowledgements are not read");
}

absl::Status IngestStream::ReadAll() {
  while (true) {
    absl::Status status = WaitForAcknowledgements(&IngestStream::HasRoom);
    if (status.ok()) status = WaitForMessage();
    if (!status.ok()) return status;
    ByteBuffer buffer;
    {
      absl::MutexLock lock(&mutex_);
      if (Stopped()) return absl::CancelledError("the stream was stopped");
      if (!read_ready_) break;
      read_ready_ = false;
      ++unacknowledged_;
      buffer.Swap(&incoming_);
    }
    Take(&buffer);
    StartRead(&incoming_);
  }
  absl::Status status = WaitForAcknowledgements(&IngestStream::AllAcknowledged);
  absl::MutexLock lock(&mutex_);
  if (status.ok() && Stopped()) {
    return absl::CancelledError("the stream was stopped");
  }
  return status;
}

void IngestStream::Take(ByteBuffer* buffer) {
  v1::IngestRequest request;
  const grpc::Status parsed =
      grpc::SerializationTraits<v1::IngestRequest>::Deserialize(buffer,
                                                                &request);
  buffer->Clear();  // the request has its own copy
  absl::Status status =
      parsed.ok() ? Submit(&request)
                  : WithReason(absl::InvalidArgumentError(
                                   "the message is not an IngestRequest, or "
                                   "holds text that is not UTF-8"),
                               "MALFORMED_MESSAGE");
  if (!status.ok()) Fail(request, status);
}

absl::Status IngestStream::Submit(v1::IngestRequest* request) {
  if (!request->collection().empty() || collection_.empty()) {
    absl::Status status = call_->Admit(*request);
    if (status.ok()) status = UseCollection(*request);
    if (!status.ok()) return status;
  }
  auto item = ParseInput(request, limits_);
  if (!item.ok()) return item.status();
  v1::IngestResponse response;
  response.set_correlation_id(request->correlation_id());
  response.set_document_id(request->has_source()
                               ? request->source().document_id()
                               : request->document().document_id());
  pipeline_->Submit(
      *std::move(item),
      [self = shared_from_this(), response = std::move(response)](
          retrieval::IngestOutcome outcome) mutable {
        if (outcome.status.ok()) {
          response.set_outcome(ToProto(outcome.result.outcome));
          response.set_version(outcome.result.version);
          response.set_sequence(outcome.result.sequence);
          response.set_chunk_count(outcome.result.chunk_count);
        } else {
          response.set_outcome(v1::IngestResponse::OUTCOME_FAILED);
          ToProto(WithReason(outcome.status, CodeName(outcome.status.code()),
                             {{"stage", outcome.stage}}),
                  response.mutable_error());
        }
        self->Acknowledge(response);
      });
  return absl::OkStatus();
}

// Makes the request's collection that of this and the following documents.
absl::Status IngestStream::UseCollection(const v1::IngestRequest& request) {
  auto collection =
      ParseCollection("collection", request.collection(), limits_);
  if (!collection.ok()) return collection.status();
  if (*collection == collection_) return absl::OkStatus();
  auto pipeline = runtime_.Pipeline(*collection);
  if (absl::IsNotFound(pipeline.status())) {
    // One without document access could not be changed any more.
    if (!request.readers().empty()) {
      return InvalidFields(
          {{"readers",
            "the collection is not there, and one that is made by writing to "
            "it has no document access: create it with document access"}});
    }
    retrieval::CollectionConfig config;
    config.id = *collection;
    absl::Status created = runtime_.backend().CreateCollection(config);
    // Another stream may have been faster.
    if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
    pipeline = runtime_.Pipeline(*collection);
  }
  if (!pipeline.ok()) return CollectionError(pipeline.status());
  const auto config = runtime_.backend().store()->GetCollection(*collection);
  if (!config.ok()) return CollectionError(config.status());
  pipeline_ = *std::move(pipeline);
  collection_ = *std::move(collection);
  operation_->SetCollection(collection_, config->document_access);
  return absl::OkStatus();
}

void IngestStream::Fail(const v1::IngestRequest& request,
                        const absl::Status& status) {
  v1::IngestResponse response;
  response.set_correlation_id(request.correlation_id());
  // The id may be what is wrong: it is echoed as far as it can be shown.
  response.set_document_id(ToPrintable(request.has_source()
                                           ? request.source().document_id()
                                           : request.document().document_id(),
                                       limits_.max_document_id_bytes));
  response.set_outcome(v1::IngestResponse::OUTCOME_FAILED);
  ToProto(status, response.mutable_error());
  Acknowledge(response);
}

void IngestStream::Acknowledge(const v1::IngestResponse& response) {
  const bool failed = response.outcome() == v1::IngestResponse::OUTCOME_FAILED;
  operation_->Add(failed ? 0 : 1, failed ? 1 : 0);
  metrics_.CountIngested(NameOf(response.outcome()));
  ByteBuffer buffer;
  bool own_buffer;
  const grpc::Status serialized =
      grpc::SerializationTraits<v1::IngestResponse>::Serialize(
          response, &buffer, &own_buffer);
  const ByteBuffer* write = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_ || write_failed_ || !serialized.ok()) {
      --unacknowledged_;
      changed_.NotifyAll();
      return;
    }
    outgoing_.push_back(std::move(buffer));
    if (!writing_) {
      writing_ = true;
      write = &outgoing_.front();
    }
  }
  if (write != nullptr) StartWrite(write);
}

void IngestStream::Complete(const absl::Status& status) {
  grpc::Status finish = call_->End(status, /*in_doubt=*/true);
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    if (writing_) {
      finish_ = std::move(finish);
      return;
    }
  }
  Finish(std::move(finish));
}

}  // namespace

grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>* StartIngest(
    ServerCore* core, grpc::CallbackServerContext* context) {
  const auto stream = std::make_shared<IngestStream>(core, context);
  stream->Begin(core);
  return stream.get();
}

}  // namespace braid::services
