#include "retrieval/ingest/pipeline.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "retrieval/ingest/embed.h"
#include "retrieval/ingest/prepare.h"
#include "retrieval/steady_condition.h"

namespace braid::retrieval {
namespace {

// Enough chunks for the encoder to sort by length and fill its cores with.
constexpr size_t kBatchChunks = 128;
// How long a batch that is not full waits for more.
constexpr std::chrono::milliseconds kBatchWait(20);
// Chunks that wait to be embedded before the workers pause.
constexpr size_t kMaxWaitingChunks = 8 * kBatchChunks;
// Documents in one synced write.
constexpr size_t kMaxWriteDocuments = 256;

using Done = std::function<void(IngestOutcome)>;

// An item on its way through the stages.
struct Job {
  uint64_t serial = 0;  // order of Submit
  std::string id;
  size_t bytes = 0;
  IngestItem item;  // until it is prepared
  bool force = false;
  Done done;
  DocumentWrite write;
  size_t embedded = 0;  // chunks whose vectors are there
  absl::Status embed_status;
};
using JobPtr = std::unique_ptr<Job>;

size_t StoredBytes(const Job& job) {
  return job.write.text.size() + job.write.vectors.size() * sizeof(float);
}

class Pipeline : public IngestPipeline {
 public:
  Pipeline(Store* store, const Encoder* encoder, SourceParser* parser,
           CollectionConfig collection, const IngestLimits& limits, int threads)
      : store_(store),
        encoder_(encoder),
        parser_(parser),
        collection_(std::move(collection)),
        limits_(limits) {
    workers_running_ = threads;
    for (int i = 0; i < threads; ++i) {
      workers_.emplace_back([this] { Work(); });
    }
    embedder_ = std::thread([this] { EmbedAll(); });
    writer_ = std::thread([this] { WriteAll(); });
  }

  ~Pipeline() override {
    std::deque<JobPtr> dropped;
    {
      absl::MutexLock lock(&mu_);
      closed_ = true;
      dropped.swap(queue_);
      batch_changed_.NotifyAll();
      for (auto& [id, later] : active_) {
        std::move(later.begin(), later.end(), std::back_inserter(dropped));
        later.clear();
      }
    }
    for (JobPtr& job : dropped) {
      IngestOutcome outcome;
      outcome.status = absl::CancelledError(
          absl::StrCat(job->id, ": the pipeline was closed"));
      job->done(std::move(outcome));
    }
    for (std::thread& worker : workers_) worker.join();
    embedder_.join();
    writer_.join();
  }

  void Submit(IngestItem item, Done done) override {
    auto job = std::make_unique<Job>();
    job->id = DocumentIdOf(item);
    job->bytes = BytesOf(item);
    job->force = item.force;
    job->item = std::move(item);
    job->done = std::move(done);
    absl::MutexLock lock(&mu_);
    const size_t bytes = job->bytes;
    auto has_room = [this, bytes]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      // One item always goes in, however large.
      return queued_items_ == 0 ||
             (queued_items_ < limits_.max_queued_items &&
              queued_bytes_ + bytes <= limits_.max_queued_bytes);
    };
    mu_.Await(absl::Condition(&has_room));
    ++queued_items_;
    queued_bytes_ += bytes;
    job->serial = ++last_serial_;
    outstanding_.insert(job->serial);
    auto [active, inserted] = active_.try_emplace(job->id);
    if (inserted) {
      queue_.push_back(std::move(job));
    } else {
      // An earlier item of this document is under way.
      active->second.push_back(std::move(job));
    }
  }

  void Drain() override {
    absl::MutexLock lock(&mu_);
    const uint64_t last = last_serial_;
    auto drained = [this, last]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return outstanding_.empty() || *outstanding_.begin() > last;
    };
    mu_.Await(absl::Condition(&drained));
  }

 private:
  // Ends a job; the next one of its document may start.
  void Finish(JobPtr job, IngestOutcome outcome) {
    Done done = std::move(job->done);
    const std::string id = std::move(job->id);
    const uint64_t serial = job->serial;
    job.reset();
    done(std::move(outcome));
    absl::MutexLock lock(&mu_);
    outstanding_.erase(serial);
    auto active = active_.find(id);
    if (active->second.empty()) {
      active_.erase(active);
    } else {
      queue_.push_back(std::move(active->second.front()));
      active->second.pop_front();
    }
  }

  void Fail(JobPtr job, absl::string_view stage, absl::Status status) {
    IngestOutcome outcome;
    outcome.stage = std::string(stage);
    outcome.status = std::move(status);
    Finish(std::move(job), std::move(outcome));
  }

  // A worker: parses and cuts.
  void Work() {
    while (JobPtr job = NextJob()) {
      Prepared prepared = Prepare(std::move(job->item), *store_, *encoder_,
                                  collection_, limits_, *parser_);
      if (!prepared.error.ok()) {
        Fail(std::move(job), prepared.stage, std::move(prepared.error));
      } else if (prepared.result) {
        IngestOutcome outcome;
        outcome.result = *prepared.result;
        Finish(std::move(job), std::move(outcome));
      } else {
        job->write = std::move(prepared.write);
        PushPrepared(std::move(job));
      }
      absl::MutexLock lock(&mu_);
      --working_;
      batch_changed_.NotifyAll();
    }
    absl::MutexLock lock(&mu_);
    --workers_running_;
  }

  JobPtr NextJob() {
    absl::MutexLock lock(&mu_);
    auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return !queue_.empty() || closed_;
    };
    mu_.Await(absl::Condition(&ready));
    if (queue_.empty()) return nullptr;
    JobPtr job = std::move(queue_.front());
    queue_.pop_front();
    --queued_items_;
    queued_bytes_ -= job->bytes;
    ++working_;
    return job;
  }

  void PushPrepared(JobPtr job) {
    absl::MutexLock lock(&mu_);
    auto has_room = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return waiting_chunks_ < kMaxWaitingChunks &&
             waiting_bytes_ < limits_.max_queued_bytes;
    };
    mu_.Await(absl::Condition(&has_room));
    waiting_chunks_ += job->write.chunks.size();
    waiting_bytes_ += job->write.text.size();
    prepared_.push_back(std::move(job));
    batch_changed_.NotifyAll();
  }

  // The thread that keeps the encoder busy. Takes chunks in the order in which
  // documents were prepared; a long document fills many batches.
  void EmbedAll() {
    std::deque<JobPtr> jobs;  // all but the last of a batch end in it
    while (TakePrepared(&jobs)) {
      std::vector<EmbedSlice> slices;
      size_t batch = 0;
      for (const JobPtr& job : jobs) {
        if (batch == kBatchChunks) break;
        if (job->write.vectors.empty()) {
          job->write.vectors.resize(job->write.chunks.size() *
                                    encoder_->dimension());
        }
        EmbedSlice slice;
        slice.write = &job->write;
        slice.begin = job->embedded;
        slice.end = std::min(job->write.chunks.size(),
                             job->embedded + kBatchChunks - batch);
        batch += slice.end - slice.begin;
        slices.push_back(std::move(slice));
      }
      EmbedSlices(*encoder_, absl::MakeSpan(slices));
      {
        absl::MutexLock lock(&mu_);
        waiting_chunks_ -= batch;
      }
      for (size_t i = 0; i < slices.size(); ++i) {
        jobs[i]->embedded = slices[i].end;
        jobs[i]->embed_status = slices[i].status;
      }
      RetireEmbedded(&jobs);
    }
    absl::MutexLock lock(&mu_);
    embedder_done_ = true;
  }

  // Passes on jobs from the front that are complete or have failed.
  void RetireEmbedded(std::deque<JobPtr>* jobs) {
    while (!jobs->empty()) {
      Job& front = *jobs->front();
      const bool failed = !front.embed_status.ok();
      const size_t left = front.write.chunks.size() - front.embedded;
      if (!failed && left > 0) break;
      JobPtr job = std::move(jobs->front());
      jobs->pop_front();
      {
        absl::MutexLock lock(&mu_);
        waiting_chunks_ -= left;
        waiting_bytes_ -= job->write.text.size();
      }
      if (failed) {
        absl::Status status = job->embed_status;
        Fail(std::move(job), "embed", std::move(status));
      } else {
        PushFinished(std::move(job));
      }
    }
  }

  // Moves prepared jobs to `jobs` until a batch is full or nothing more comes
  // soon. False when all is done.
  bool TakePrepared(std::deque<JobPtr>* jobs) {
    size_t chunks = 0;
    for (const JobPtr& job : *jobs) {
      chunks += job->write.chunks.size() - job->embedded;
    }
    absl::MutexLock lock(&mu_);
    if (jobs->empty()) {
      auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
        return !prepared_.empty() || workers_running_ == 0;
      };
      mu_.Await(absl::Condition(&ready));
    }
    const auto deadline = std::chrono::steady_clock::now() + kBatchWait;
    while (chunks < kBatchChunks) {
      auto more = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
        return !prepared_.empty() || (working_ == 0 && queue_.empty());
      };
      if (!batch_changed_.WaitUntil(&mu_, deadline, more)) break;
      if (prepared_.empty()) break;
      chunks += prepared_.front()->write.chunks.size();
      jobs->push_back(std::move(prepared_.front()));
      prepared_.pop_front();
    }
    return !jobs->empty();
  }

  void PushFinished(JobPtr job) {
    absl::MutexLock lock(&mu_);
    auto has_room = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return finished_.empty() || finished_bytes_ < limits_.max_queued_bytes;
    };
    mu_.Await(absl::Condition(&has_room));
    finished_bytes_ += StoredBytes(*job);
    finished_.push_back(std::move(job));
  }

  // The writer: whatever is finished goes into one synced batch.
  void WriteAll() {
    while (true) {
      std::vector<JobPtr> jobs;
      {
        absl::MutexLock lock(&mu_);
        auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
          return !finished_.empty() || embedder_done_;
        };
        mu_.Await(absl::Condition(&ready));
        if (finished_.empty()) return;
        while (!finished_.empty() && jobs.size() < kMaxWriteDocuments) {
          finished_bytes_ -= StoredBytes(*finished_.front());
          jobs.push_back(std::move(finished_.front()));
          finished_.pop_front();
        }
      }
      const auto forced =
          std::stable_partition(jobs.begin(), jobs.end(),
                                [](const JobPtr& job) { return !job->force; });
      Write(absl::MakeSpan(jobs.data(), forced - jobs.begin()), false);
      Write(absl::MakeSpan(jobs.data() + (forced - jobs.begin()),
                           jobs.end() - forced),
            true);
    }
  }

  void Write(absl::Span<JobPtr> jobs, bool force) {
    if (jobs.empty()) return;
    std::vector<DocumentWrite> writes;
    for (JobPtr& job : jobs) writes.push_back(std::move(job->write));
    std::vector<absl::StatusOr<WriteResult>> results =
        store_->PutDocuments(collection_.id, writes, force);
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (i >= results.size()) {
        Fail(std::move(jobs[i]), "store",
             absl::InternalError("the store gave no result"));
      } else if (!results[i].ok()) {
        Fail(std::move(jobs[i]), "store",
             absl::Status(results[i].status().code(),
                          absl::StrCat(writes[i].id, ": ",
                                       results[i].status().message())));
      } else {
        IngestOutcome outcome;
        outcome.result = *results[i];
        Finish(std::move(jobs[i]), std::move(outcome));
      }
    }
  }

  Store* const store_;
  const Encoder* const encoder_;
  SourceParser* const parser_;
  const CollectionConfig collection_;
  const IngestLimits limits_;

  absl::Mutex mu_;
  SteadyCondition batch_changed_;  // what the embedder waits for with a batch
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t last_serial_ ABSL_GUARDED_BY(mu_) = 0;
  // Serials of items that are not done.
  std::set<uint64_t> outstanding_ ABSL_GUARDED_BY(mu_);
  // Documents that are under way, each with its later items in order.
  std::unordered_map<std::string, std::deque<JobPtr>> active_
      ABSL_GUARDED_BY(mu_);
  std::deque<JobPtr> queue_ ABSL_GUARDED_BY(mu_);  // ready for a worker
  size_t queued_items_ ABSL_GUARDED_BY(mu_) = 0;   // in queue_ or active_
  size_t queued_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  size_t working_ ABSL_GUARDED_BY(mu_) = 0;  // workers with a job
  size_t workers_running_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<JobPtr> prepared_ ABSL_GUARDED_BY(mu_);  // to be embedded
  size_t waiting_chunks_ ABSL_GUARDED_BY(mu_) = 0;    // not embedded yet
  size_t waiting_bytes_ ABSL_GUARDED_BY(mu_) = 0;     // of their texts
  bool embedder_done_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<JobPtr> finished_ ABSL_GUARDED_BY(mu_);  // to be written
  size_t finished_bytes_ ABSL_GUARDED_BY(mu_) = 0;

  std::vector<std::thread> workers_;
  std::thread embedder_;
  std::thread writer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<IngestPipeline>> IngestPipeline::Create(
    Store* store, const Encoder* encoder, SourceParser* parser,
    const std::string& collection, const IngestLimits& limits, int threads) {
  if (threads < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads: must be at least 1, is ", threads));
  }
  absl::StatusOr<CollectionConfig> config = store->GetCollection(collection);
  if (!config.ok()) return config.status();
  if (config->dimension != encoder->dimension() ||
      config->encoder != encoder->fingerprint()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "collection ", collection, " was made with encoder ", config->encoder,
        " (", config->dimension, " dimensions), not with ",
        encoder->fingerprint(), " (", encoder->dimension(), ")"));
  }
  return std::unique_ptr<IngestPipeline>(std::make_unique<Pipeline>(
      store, encoder, parser, *std::move(config), limits, threads));
}

}  // namespace braid::retrieval
