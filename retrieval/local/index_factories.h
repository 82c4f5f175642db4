// How a local backend opens its indexes: the real ones, or a test's.
#ifndef BRAID_RETRIEVAL_LOCAL_INDEX_FACTORIES_H_
#define BRAID_RETRIEVAL_LOCAL_INDEX_FACTORIES_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "retrieval/dense/dense_index.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/lexical/lexical_index.h"
#include "retrieval/local/local_backend.h"

namespace braid::retrieval {

// Called by the indexer threads, and called again for one directory only when
// the index opened before is gone.
struct IndexFactories {
  std::function<absl::StatusOr<std::unique_ptr<LexicalIndex>>(
      const std::string& directory, const std::string& language)>
      lexical;
  std::function<absl::StatusOr<std::unique_ptr<DenseIndex>>(
      const std::string& directory, const DenseIndexOptions& options)>
      dense;
};

// LocalBackend::Open with these indexes.
absl::StatusOr<std::unique_ptr<LocalBackend>> OpenLocalBackend(
    const LocalBackendOptions& options, const Encoder* encoder,
    const IndexFactories& factories);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_INDEX_FACTORIES_H_
