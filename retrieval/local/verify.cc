#include "retrieval/local/verify.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "retrieval/dense/dense_index.h"
#include "retrieval/lexical/lexical_index.h"
#include "retrieval/local/index_factories.h"
#include "retrieval/local/index_writer.h"

namespace braid::retrieval {
namespace {

constexpr size_t kLogBatch = 4096;

// What an index at `sequence` holds.
struct ContentsAt {
  std::vector<ChunkId> required;  // ascending
  // Chunks of versions that are gone today: an index that is catching up does
  // not add them any more.
  std::set<ChunkId> optional;
};

// Follows the log back from today's chunks. DATA_LOSS if it does not reach back
// that far, or if the store has never been there.
absl::StatusOr<ContentsAt> ExpectAt(const StoreSnapshot& snapshot,
                                    const std::string& collection,
                                    Sequence last,
                                    const std::vector<ChunkId>& now,
                                    Sequence sequence) {
  if (sequence > last) {
    return absl::DataLossError(absl::StrCat(
        "has sequence ", sequence, ", and the store only ", last,
        ": either the store has lost writes or the index is another store's"));
  }
  ContentsAt contents;
  std::set<ChunkId> later;
  for (Sequence after = sequence; after < last;) {
    const absl::StatusOr<std::vector<LogEntry>> log =
        snapshot.ReadLog(collection, after, kLogBatch);
    if (absl::IsOutOfRange(log.status())) {
      return absl::DataLossError(absl::StrCat(
          sequence == 0 ? "is missing or empty"
                        : absl::StrCat("stands at sequence ", sequence),
          ", and the log no longer reaches back so far"));
    }
    if (!log.ok()) return log.status();
    if (log->empty()) break;
    for (const LogEntry& entry : *log) {
      for (uint32_t i = 0; i < entry.chunk_count; ++i) {
        later.insert(entry.first_chunk + i);
      }
      for (uint32_t i = 0; i < entry.removed_chunk_count; ++i) {
        contents.optional.insert(entry.removed_first_chunk + i);
      }
    }
    after = log->back().sequence;
  }
  for (const ChunkId id : now) {
    if (!later.contains(id)) contents.required.push_back(id);
  }
  return contents;
}

class CollectionVerifier {
 public:
  CollectionVerifier(const CollectionConfig& config, std::string directory,
                     const StoreSnapshot& snapshot)
      : config_(config),
        directory_(std::move(directory)),
        snapshot_(snapshot) {}

  absl::StatusOr<IndexReport> Run() {
    const absl::StatusOr<CollectionCounters> counters =
        snapshot_.Counters(config_.id);
    if (!counters.ok()) return counters.status();
    last_ = counters->last_sequence;
    absl::StatusOr<std::vector<ChunkId>> chunks =
        snapshot_.ListChunks(config_.id);
    if (!chunks.ok()) return chunks.status();
    chunks_ = *std::move(chunks);
    IndexReport report;
    report.collection = config_.id;
    report.sequence = last_;
    report.store_chunks = chunks_.size();
    for (const auto& [name, check] :
         {std::pair<absl::string_view, absl::StatusOr<uint64_t>>(
              "lexical", CheckLexical()),
          std::pair<absl::string_view, absl::StatusOr<uint64_t>>(
              "dense", CheckDense())}) {
      if (!check.ok()) {
        report.damage.push_back(
            absl::StrCat(name, ": ", check.status().message()));
        damaged_.emplace_back(name);
      } else if (name == "lexical") {
        report.bm25_chunks = *check;
      } else {
        report.dense_chunks = *check;
      }
    }
    return report;
  }

  // Builds anew what Run found damaged.
  absl::Status Repair(const std::stop_token& stop) {
    for (const std::string& name : damaged_) {
      std::error_code error;
      std::filesystem::remove_all(absl::StrCat(directory_, "/", name), error);
      if (error) {
        return absl::UnavailableError(absl::StrCat(
            "cannot remove ", directory_, "/", name, ": ", error.message()));
      }
    }
    IndexWriter writer(
        config_, directory_, DenseIndexOptions().seal_vectors,
        {.lexical = &LexicalIndex::Open, .dense = &DenseIndex::Open});
    absl::Status status = writer.Open();
    if (status.ok()) status = writer.CatchUp(snapshot_, last_, stop);
    if (status.ok()) status = writer.Commit();
    return status;
  }

  const std::vector<std::string>& damaged() const { return damaged_; }

 private:
  // Number of chunks, or what is wrong.
  absl::StatusOr<uint64_t> CheckLexical() const {
    auto contents = ReadLexicalIndex(directory_ + "/lexical", config_.language);
    if (absl::IsNotFound(contents.status())) contents = LexicalContents();
    if (!contents.ok()) return contents.status();
    return Compare(contents->sequence, contents->chunks);
  }

  absl::StatusOr<uint64_t> CheckDense() const {
    uint64_t different = 0;
    ChunkId example = 0;
    auto contents = ReadDenseIndex(
        directory_ + "/dense", config_.dimension,
        [&](ChunkId chunk, absl::Span<const float> vector) {
          const auto stored = snapshot_.GetVectors(config_.id, chunk, 1);
          // One that the store has not (any more) is a matter of the ids.
          if (!stored.ok() || stored->size() != vector.size()) return;
          if (std::memcmp(stored->data(), vector.data(),
                          vector.size() * sizeof(float)) != 0) {
            ++different;
            example = chunk;
          }
        });
    if (absl::IsNotFound(contents.status())) contents = DenseContents();
    if (!contents.ok()) return contents.status();
    if (different > 0) {
      return absl::DataLossError(
          absl::StrCat("has other vectors than the store for ", different,
                       " chunks, such as ", example));
    }
    return Compare(contents->sequence, contents->chunks);
  }

  absl::StatusOr<uint64_t> Compare(Sequence sequence,
                                   const std::vector<ChunkId>& chunks) const {
    const absl::StatusOr<ContentsAt> expected =
        ExpectAt(snapshot_, config_.id, last_, chunks_, sequence);
    if (!expected.ok()) return expected.status();
    std::vector<ChunkId> required = chunks;
    std::erase_if(required,
                  [&](ChunkId id) { return expected->optional.contains(id); });
    if (absl::Status status = CompareChunks(expected->required, required);
        !status.ok()) {
      return status;
    }
    return chunks.size();
  }

  const CollectionConfig config_;
  const std::string directory_;
  const StoreSnapshot& snapshot_;
  Sequence last_ = 0;
  std::vector<ChunkId> chunks_;
  std::vector<std::string> damaged_;
};

absl::Status CheckCollection(const CollectionConfig& config,
                             const std::string& directory,
                             const StoreSnapshot& snapshot, bool repair,
                             const std::stop_token& stop, DataReport* report) {
  CollectionVerifier verifier(config, directory, snapshot);
  absl::StatusOr<IndexReport> checked = verifier.Run();
  if (!checked.ok()) return checked.status();
  if (repair && !verifier.damaged().empty()) {
    if (absl::Status status = verifier.Repair(stop); !status.ok()) {
      if (absl::IsCancelled(status)) return status;
      checked->damage.push_back(
          absl::StrCat("cannot be built anew: ", status.message()));
    } else {
      CollectionVerifier again(config, directory, snapshot);
      absl::StatusOr<IndexReport> after = again.Run();
      if (!after.ok()) return after.status();
      if (after->damage.empty()) {
        after->damage = checked->damage;
        after->repaired = verifier.damaged();
      }
      checked = std::move(after);
    }
  }
  report->collections.push_back(*std::move(checked));
  return absl::OkStatus();
}

}  // namespace

bool DataReport::whole() const {
  return store_opened.ok() && store.whole() &&
         std::all_of(collections.begin(), collections.end(),
                     [](const IndexReport& report) { return report.whole(); });
}

absl::StatusOr<DataReport> VerifyData(const std::string& directory, bool repair,
                                      const std::stop_token& stop) {
  const std::string path = directory + "/store";
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    return absl::NotFoundError(absl::StrCat(directory, ": holds no store"));
  }
  DataReport report;
  StoreOptions options;
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(path, options);
  if (absl::IsUnavailable(store.status())) return store.status();
  if (!store.ok()) {
    report.store_opened = store.status();
    // What can still be read tells what can be saved.
    options.read_only = true;
    store = Store::Open(path, options);
    if (!store.ok()) return report;
  }
  absl::StatusOr<StoreReport> checked =
      (*store)->Verify(stop, /*progress=*/nullptr);
  if (!checked.ok()) return checked.status();
  report.store = *std::move(checked);
  // An index built from a damaged store would be no repair.
  if (!report.store_opened.ok() || !report.store.whole()) return report;

  const absl::StatusOr<std::vector<CollectionConfig>> configs =
      (*store)->ListCollections();
  if (!configs.ok()) return configs.status();
  const std::shared_ptr<const StoreSnapshot> snapshot = (*store)->snapshot();
  for (const CollectionConfig& config : *configs) {
    if (stop.stop_requested()) return absl::CancelledError("interrupted");
    if (absl::Status status = CheckCollection(
            config, absl::StrCat(directory, "/indexes/", config.id), *snapshot,
            repair, stop, &report);
        !status.ok()) {
      return status;
    }
  }
  return report;
}

}  // namespace braid::retrieval
