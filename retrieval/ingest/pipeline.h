// From sources to durable documents: parse, chunk, embed, store.
#ifndef BRAID_RETRIEVAL_INGEST_PIPELINE_H_
#define BRAID_RETRIEVAL_INGEST_PIPELINE_H_

#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/ingest/parser.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

// A document given as text.
struct InlineDocument {
  std::string document_id;
  std::string title;
  std::string text;
  Metadata metadata;
};

struct IngestItem {
  std::variant<SourceFile, InlineDocument> input;
  std::string request_id;  // empty for none
  bool force = false;
};

// What became of one item.
struct IngestOutcome {
  absl::Status status;  // OK: durable
  std::string stage;    // where it failed: parse, chunk, embed, store
  WriteResult result;
};

struct IngestLimits {
  size_t max_source_bytes = 32 << 20;
  size_t max_text_bytes = 32 << 20;
  size_t max_document_id_bytes = 512;
  size_t max_chunks_per_document = 100000;
  size_t max_metadata_bytes = 64 << 10;
  // Items queued before Submit blocks.
  size_t max_queued_items = 64;
  size_t max_queued_bytes = 64 << 20;
};

// One collection's pipeline: worker threads parse, cut and embed (chunks of
// several documents are embedded together, sorted by length); a writer commits
// finished documents in synced batches. Unchanged sources are recognised by
// their hash before they are parsed. Thread-safe.
class IngestPipeline {
 public:
  virtual ~IngestPipeline() = default;

  // `store` and `encoder` must outlive the pipeline; the collection must exist.
  static absl::StatusOr<std::unique_ptr<IngestPipeline>> Create(
      Store* store, const Encoder* encoder, const std::string& collection,
      const IngestLimits& limits, int threads);

  // Queues an item; blocks while the queue is full (back-pressure). `done` is
  // called exactly once, on a pipeline thread, when the item is durable or has
  // failed. Items of one document id take effect in the order of Submit.
  virtual void Submit(IngestItem item,
                      std::function<void(IngestOutcome)> done) = 0;
  // Blocks until everything submitted so far is done.
  virtual void Drain() = 0;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_PIPELINE_H_
