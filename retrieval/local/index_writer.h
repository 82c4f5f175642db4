// Brings the two indexes of a collection to the state of the store.
#ifndef BRAID_RETRIEVAL_LOCAL_INDEX_WRITER_H_
#define BRAID_RETRIEVAL_LOCAL_INDEX_WRITER_H_

#include <array>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "retrieval/local/index_leg.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

// DATA_LOSS saying how two ascending lists of ids differ.
absl::Status CompareChunks(absl::Span<const ChunkId> store,
                           absl::Span<const ChunkId> index);

// Used by one thread. After an error the indexes may have lost what was not
// durable: call Open again.
class IndexWriter {
 public:
  // The indexes lie in `directory`/lexical and `directory`/dense.
  IndexWriter(const CollectionConfig& config, const std::string& directory,
              size_t seal_vectors, const IndexFactories& factories);

  absl::Status Open();

  // Applies everything up to `last`, the newest sequence of `snapshot`, to both
  // indexes and makes it visible. Each index goes on from its own sequence; one
  // that cannot (the log no longer reaches back, or it knows of writes that the
  // store does not) is rebuilt from the documents. CANCELLED when stopped.
  absl::Status CatchUp(const StoreSnapshot& snapshot, Sequence last,
                       const std::stop_token& stop);
  // Makes durable what each index has applied. Also after CatchUp was stopped,
  // but not after another error.
  absl::Status Commit();
  // True when an index has so much that is not durable that it is time.
  bool CommitDue() const;
  // Reads what is durable of both indexes again, and compares what is visible
  // with `store`, ascending: the chunks of the snapshot that CatchUp had last.
  // Tells `damaged` of each that is not right; returns their names.
  std::vector<std::string> Verify(
      absl::Span<const ChunkId> store,
      absl::FunctionRef<void(absl::string_view name, absl::Status what)>
          damaged) const;
  // Empties these indexes: the next CatchUp builds them anew.
  absl::Status Discard(absl::Span<const std::string> names);
  // What each index has been given of the log. Thread-safe.
  Sequence lexical_applied() const { return lexical_->applied(); }
  Sequence dense_applied() const { return dense_->applied(); }
  // Both indexes have everything up to here durably.
  Sequence committed() const;

  std::shared_ptr<const LexicalSnapshot> lexical_snapshot() const {
    return lexical_->index().snapshot();
  }
  std::shared_ptr<const DenseSnapshot> dense_snapshot() const {
    return dense_->index().snapshot();
  }

 private:
  absl::Status Replay(const StoreSnapshot& snapshot, Sequence last,
                      const std::stop_token& stop);
  absl::Status Apply(const StoreSnapshot& snapshot, const LogEntry& entry);
  absl::Status Rebuild(IndexLeg& leg, const StoreSnapshot& snapshot,
                       Sequence last, const std::stop_token& stop);

  const std::string collection_;
  std::unique_ptr<LexicalLeg> lexical_;
  std::unique_ptr<DenseLeg> dense_;
  std::array<IndexLeg*, 2> legs_;
  // Whether the indexes were compared with the store since Open.
  bool checked_ = false;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_INDEX_WRITER_H_
