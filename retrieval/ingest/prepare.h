// The part of ingestion that needs one document only: checks, parsing, cutting.
#ifndef BRAID_RETRIEVAL_INGEST_PREPARE_H_
#define BRAID_RETRIEVAL_INGEST_PREPARE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/ingest/parser.h"
#include "retrieval/ingest/pipeline.h"
#include "retrieval/store/store.h"
#include "retrieval/types.h"

namespace braid::retrieval {

// What Prepare made of an item. Exactly one holds: an error (with its stage),
// a result (nothing to do), or a write whose vectors are still to be filled.
struct Prepared {
  absl::Status error;
  std::string stage;
  std::optional<WriteResult> result;
  DocumentWrite write;
};

// The id of an item's document.
const std::string& DocumentIdOf(const IngestItem& item);
// Bytes that an item holds.
size_t BytesOf(const IngestItem& item);

// Takes the item apart (its content is moved from). Thread-safe.
Prepared Prepare(IngestItem item, const Store& store, const Encoder& encoder,
                 const CollectionConfig& collection, const IngestLimits& limits,
                 SourceParser& parser);

// SHA-256 in lower-case hex.
std::string Sha256Hex(absl::string_view bytes);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_PREPARE_H_
