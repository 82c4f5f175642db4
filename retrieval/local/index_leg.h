// One of the two indexes as the indexer sees it: something that documents are
// added to and chunks deleted from, with the sequence it has applied.
#ifndef BRAID_RETRIEVAL_LOCAL_INDEX_LEG_H_
#define BRAID_RETRIEVAL_LOCAL_INDEX_LEG_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/dense/dense_index.h"
#include "retrieval/lexical/lexical_index.h"
#include "retrieval/local/index_factories.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

// What the lexical index gets as the title of a chunk: the document's title and
// the headings above the chunk, joined by spaces. A heading that only repeats
// the title does not count twice.
std::string IndexedTitle(const Passage& passage);

// Used by one thread at a time, but for applied(), which any may ask. Adding
// what is there and deleting what is not does no harm, so any part of the log
// may be applied again.
class IndexLeg {
 public:
  virtual ~IndexLeg() = default;

  // Opens the index, or creates it; closes it first if it is open.
  virtual absl::Status Open() = 0;
  // Removes the index from the disk and creates it anew, empty. Snapshots taken
  // before stay readable.
  absl::Status Reset();

  // Adds the chunks of a document that `snapshot` holds.
  virtual absl::Status Add(const StoreSnapshot& snapshot,
                           const DocumentInfo& document) = 0;
  virtual absl::Status Delete(ChunkId first, uint32_t count) = 0;
  // Makes what was done so far visible to new snapshots: all up to `sequence`.
  virtual absl::Status Publish(Sequence sequence) = 0;
  // Makes it durable too.
  virtual absl::Status Commit(Sequence sequence) = 0;
  // Whether so much is not durable that Commit should be called.
  virtual bool CommitDue() const = 0;
  // The sequence that is durable.
  virtual Sequence committed() const = 0;
  // Ids of the chunks that are visible, ascending.
  virtual absl::StatusOr<std::vector<ChunkId>> Chunks() const = 0;
  // Reads what is durable again; DATA_LOSS if it is damaged.
  virtual absl::Status Verify() const = 0;
  // "lexical" or "dense": as it is called in reports, and its directory.
  virtual absl::string_view name() const = 0;

  // All log entries up to here have been given to Add and Delete.
  Sequence applied() const { return applied_; }
  void set_applied(Sequence sequence) { applied_ = sequence; }
  // Half a rebuild belongs to no sequence and must not become durable.
  bool rebuilding() const { return rebuilding_; }
  void set_rebuilding(bool rebuilding) { rebuilding_ = rebuilding; }

 protected:
  explicit IndexLeg(std::string directory) : directory_(std::move(directory)) {}
  virtual void Close() = 0;

  const std::string directory_;
  std::atomic<Sequence> applied_ = 0;
  bool rebuilding_ = false;
};

class LexicalLeg : public IndexLeg {
 public:
  LexicalLeg(std::string directory, const CollectionConfig& config,
             const IndexFactories& factories);
  absl::Status Open() override;
  absl::Status Add(const StoreSnapshot& snapshot,
                   const DocumentInfo& document) override;
  absl::Status Delete(ChunkId first, uint32_t count) override;
  absl::Status Publish(Sequence sequence) override { return Commit(sequence); }
  absl::Status Commit(Sequence sequence) override;
  bool CommitDue() const override { return false; }
  Sequence committed() const override { return index_->committed_sequence(); }
  absl::StatusOr<std::vector<ChunkId>> Chunks() const override {
    return index_->snapshot()->Chunks();
  }
  absl::Status Verify() const override { return index_->Verify(); }
  absl::string_view name() const override { return "lexical"; }
  const LexicalIndex& index() const { return *index_; }

 protected:
  void Close() override { index_.reset(); }

 private:
  const CollectionConfig config_;
  const IndexFactories factories_;
  std::unique_ptr<LexicalIndex> index_;
};

class DenseLeg : public IndexLeg {
 public:
  DenseLeg(std::string directory, const CollectionConfig& config,
           size_t seal_vectors, const IndexFactories& factories);
  absl::Status Open() override;
  absl::Status Add(const StoreSnapshot& snapshot,
                   const DocumentInfo& document) override;
  absl::Status Delete(ChunkId first, uint32_t count) override;
  absl::Status Publish(Sequence sequence) override;
  absl::Status Commit(Sequence sequence) override;
  bool CommitDue() const override;
  Sequence committed() const override { return index_->committed_sequence(); }
  absl::StatusOr<std::vector<ChunkId>> Chunks() const override {
    return index_->snapshot()->Chunks();
  }
  absl::Status Verify() const override { return index_->Verify(); }
  absl::string_view name() const override { return "dense"; }
  const DenseIndex& index() const { return *index_; }

 protected:
  void Close() override { index_.reset(); }

 private:
  const CollectionConfig config_;
  const DenseIndexOptions options_;
  const IndexFactories factories_;
  std::unique_ptr<DenseIndex> index_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_INDEX_LEG_H_
