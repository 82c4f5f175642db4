// What a process needs to answer: encoder, backend, answerer, assembled.
#ifndef BRAID_SERVICES_RUNTIME_H_
#define BRAID_SERVICES_RUNTIME_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fusion/reranker.h"
#include "generation/answer/answerer.h"
#include "generation/engine/generator.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/ingest/parser.h"
#include "retrieval/ingest/pipeline.h"
#include "retrieval/ingest/worker/parser_pool.h"
#include "retrieval/local/local_backend.h"
#include "services/config/config.h"

namespace braid::services {

// The parser workers as the configuration wants them.
retrieval::ParserPoolOptions ParserOptionsOf(const Config& config);

// Owns every module's objects, in the order in which they depend on each other.
// Thread-safe. `braid serve`, the in-process CLI and `braid eval` all run on
// one.
class Runtime {
 public:
  // What the configuration's roles need: for retrieval the encoder (and the
  // reranker, if there is one), the parser worker and the data directory; for
  // generation the model, or the encoder, which extracted answers need; where
  // both are there, a request may choose between the two.
  // `wrap` is given the encoder and gives back what is used in its place; for
  // measurements.
  using EncoderWrap = std::function<std::unique_ptr<retrieval::Encoder>(
      std::unique_ptr<retrieval::Encoder>)>;
  static absl::StatusOr<std::unique_ptr<Runtime>> Create(
      const Config& config, const EncoderWrap& wrap = nullptr);
  // From objects made elsewhere. All roles need `encoder`, `backend` and
  // `answerer`, and `parser` where a pipeline will be asked for; the others may
  // be null.
  struct Parts {
    std::unique_ptr<retrieval::Encoder> encoder;
    std::unique_ptr<retrieval::LocalBackend> backend;
    std::unique_ptr<retrieval::SourceParser> parser;
    std::unique_ptr<generation::Generator> generator;
    std::unique_ptr<generation::Answerer> answerer;
    std::unique_ptr<fusion::Reranker> reranker;
  };
  static std::unique_ptr<Runtime> Assemble(const Config& config, Parts parts);
  ~Runtime();

  const Config& config() const { return config_; }
  // With the role retrieval only.
  bool has_backend() const { return backend_ != nullptr; }
  const retrieval::Encoder& encoder() const { return *encoder_; }
  retrieval::LocalBackend& backend() { return *backend_; }
  // With the role generation only.
  bool has_answerer() const { return answerer_ != nullptr; }
  generation::Answerer& answerer() { return *answerer_; }
  generation::Generator* generator() { return generator_.get(); }  // or null
  const fusion::Reranker* reranker() const {
    return reranker_.get();
  }  // or null
  std::chrono::steady_clock::time_point start_time() const {
    return start_time_;
  }

  // The pipeline of a collection that exists, created on first use. Pipelines
  // have threads, so of those that nobody holds only
  // Limits::max_idle_pipelines are kept. FAILED_PRECONDITION if the
  // collection's vectors are of another encoder; UNAVAILABLE after Shutdown.
  absl::StatusOr<std::shared_ptr<retrieval::IngestPipeline>> Pipeline(
      const std::string& collection);
  // Forgets the pipeline of a deleted collection.
  void DropPipeline(const std::string& collection);

  // Drains the pipelines and makes the indexes durable. Called by the
  // destructor too.
  void Shutdown();

 private:
  Runtime() = default;
  // Takes what is idle and too much out of `pipelines_`, for the caller to
  // destroy without the lock: a pipeline's end waits for its threads.
  std::vector<std::shared_ptr<retrieval::IngestPipeline>> TakeIdle()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Config config_;
  std::chrono::steady_clock::time_point start_time_;
  std::unique_ptr<retrieval::Encoder> encoder_;
  std::unique_ptr<retrieval::LocalBackend> backend_;
  std::unique_ptr<retrieval::SourceParser> parser_;
  std::unique_ptr<generation::Generator> generator_;
  std::unique_ptr<generation::Answerer> answerer_;
  std::unique_ptr<fusion::Reranker> reranker_;
  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<std::string, std::shared_ptr<retrieval::IngestPipeline>>
      pipelines_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_RUNTIME_H_
