// The dense index: one growing flat segment and sealed ones.
#ifndef BRAID_RETRIEVAL_DENSE_SEGMENTED_INDEX_H_
#define BRAID_RETRIEVAL_DENSE_SEGMENTED_INDEX_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "retrieval/dense/dense_index.h"
#include "retrieval/dense/flat_segment.h"
#include "retrieval/dense/hnsw_segment.h"
#include "retrieval/dense/manifest.h"
#include "retrieval/dense/snapshot.h"

namespace braid::retrieval {

// New vectors go to the tail. A full tail becomes a sealed flat segment in a
// file and a new tail begins: however much is added between two publications,
// the memory holds about a tail of it. The background thread rebuilds sealed
// segments into HNSW ones (see maintenance.h) and puts the result in their
// place. A delete marks a row.
class SegmentedIndex : public DenseIndex {
 public:
  SegmentedIndex(std::string directory, const DenseIndexOptions& options);
  ~SegmentedIndex() override;

  // Takes over what the directory holds. Called once, before anything else.
  // DATA_LOSS or NOT_FOUND if that is damaged or of another dimension: the
  // object is of no use then.
  absl::Status Load();

  absl::Status Add(absl::Span<const ChunkId> chunks,
                   absl::Span<const float> vectors) override;
  absl::Status Delete(ChunkId chunk) override;
  void Publish() override;
  absl::Status Commit(Sequence sequence) override;
  size_t uncommitted() const override;
  Sequence committed_sequence() const override;
  std::shared_ptr<const DenseSnapshot> snapshot() const override;
  absl::Status Verify() const override;
  void WaitUntilSettled() const override;

 private:
  // A segment with its deletes, as the writer and as readers know them.
  struct Entry {
    uint64_t number = 0;  // names the segment while the process runs
    // All rows of a sealed segment; those of the tail are in builder_.
    std::shared_ptr<const Segment> segment;
    DeadRows dead;  // unpublished deletes included
    // The rows and deletes that readers see. Null: none yet. A segment that was
    // published as a tail and sealed since is seen with the rows it had then.
    std::shared_ptr<const Segment> published;
    std::shared_ptr<const DeadRows> published_dead;
    bool dead_changed = false;  // `dead` is ahead of `published_dead`
    bool excluded = false;      // see SealedState
    // The file that holds the first `file_rows` rows; 0 for none. That of an
    // HNSW segment is written when the segment is built.
    uint64_t file = 0;
    EnvelopeSeal seal;
    size_t file_rows = 0;
  };
  // A live row.
  struct Location {
    Entry* entry;
    size_t row;
  };
  // A rebuild: the entries it reads, as they were published when it began.
  struct Rebuild {
    struct Source {
      uint64_t number = 0;
      std::shared_ptr<const Segment> segment;
      std::shared_ptr<const DeadRows> dead;
    };
    struct Origin {
      uint32_t source = 0;
      uint32_t row = 0;
    };
    std::vector<Source> sources;
    std::vector<Origin> origins;  // of the rows of the result
    uint64_t file = 0;            // of the result
  };

  // All with mutex_ held, unless said otherwise.
  Entry NewEntry();
  Entry* Find(uint64_t number);
  void Append(ChunkId chunk, const float* vector);
  std::optional<Location> Locate(ChunkId chunk);
  // False if there is no such chunk.
  bool MarkDead(ChunkId chunk);
  // Whether the tail has the rows for a segment, most of them not deleted.
  bool TailIsFull() const;
  // Makes the tail a sealed segment, and moves it to a file if that succeeds.
  void SealTail();
  // Most of the tail is deleted: carries the rest over to a new one.
  void CompactTail();
  void StartTail();
  void PublishEntries();
  // Makes a snapshot of what is published.
  void PublishSnapshot();
  // Writes the file of an entry that lacks one with these rows.
  absl::Status SaveEntry(Entry& entry, const Segment& rows);
  // Saves a sealed entry and reads it out of its file from now on.
  absl::Status MoveToFile(Entry& entry);

  std::vector<size_t> Plan() const;
  bool Settled() const;
  void StartWorker();
  void Work();  // the thread; takes mutex_
  Rebuild Begin(const std::vector<size_t>& positions);
  // Without mutex_.
  absl::StatusOr<HnswSegment::Built> Build(Rebuild& rebuild) const;
  void Install(const Rebuild& rebuild, HnswSegment::Built result);

  // Constant after construction.
  const std::string directory_;
  const DenseIndexOptions options_;

  // Held for the whole of a write and of a commit, briefly by the worker, never
  // by a search. Of std and not of Abseil, as ThreadSanitizer sees only locks
  // that it intercepts or that are compiled with it. Guards what follows.
  mutable std::mutex mutex_;
  // Signalled when there may be work, when the worker has done some, and to
  // stop.
  mutable std::condition_variable changed_;
  std::vector<Entry> sealed_;
  Entry tail_;
  FlatBuilder builder_;                               // rows of tail_
  absl::flat_hash_map<ChunkId, uint32_t> tail_rows_;  // live rows of builder_
  uint64_t next_number_ = 1;
  Manifest committed_;
  uint64_t next_file_ = 1;
  uint64_t building_file_ = 0;  // of a running rebuild; 0 for none
  size_t uncommitted_ = 0;
  bool working_ = false;
  std::atomic<bool> stop_ = false;  // also read by a build, without the lock
  std::thread worker_;

  mutable std::mutex snapshot_mutex_;                  // taken last
  std::shared_ptr<const SegmentedSnapshot> snapshot_;  // by snapshot_mutex_
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_SEGMENTED_INDEX_H_
