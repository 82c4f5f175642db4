// From sources to durable documents: parse, chunk, embed, store.
#ifndef BRAID_RETRIEVAL_INGEST_PIPELINE_H_
#define BRAID_RETRIEVAL_INGEST_PIPELINE_H_

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

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
  // DocumentWrite's, normalized (viewer.h).
  std::vector<std::string> readers;
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

// One collection's pipeline: `threads` workers parse and cut, one thread keeps
// the encoder busy (chunks of several documents are embedded together: the
// encoder uses all cores itself), and a writer commits finished documents in
// synced batches. Sources that have not changed are recognised by their hash
// before they are parsed; a request_id seen before is answered from the store.
// What goes wrong with a document is its own error and stops no other. Memory
// is bounded by the queue limits and the size of `threads` documents.
// Thread-safe.
class IngestPipeline {
 public:
  // Finishes the items that have been started; those still queued are done with
  // CANCELLED.
  virtual ~IngestPipeline() = default;

  // `store`, `encoder` and `parser` must outlive the pipeline; the collection
  // must exist.
  static absl::StatusOr<std::unique_ptr<IngestPipeline>> Create(
      Store* store, const Encoder* encoder, SourceParser* parser,
      const std::string& collection, const IngestLimits& limits, int threads);

  // Queues an item; blocks while the queue is full (back-pressure). `done` is
  // called exactly once, on a pipeline thread, when the item is durable or has
  // failed; it must be quick and must not call Submit or Drain. Items of one
  // document id take effect in the order of Submit.
  virtual void Submit(IngestItem item,
                      std::function<void(IngestOutcome)> done) = 0;
  // Blocks until everything submitted so far is done.
  virtual void Drain() = 0;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_PIPELINE_H_
