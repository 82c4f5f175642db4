#include "services/eval/index_corpus.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "services/eval/beir.h"

namespace braid::services {
namespace {

constexpr size_t kMaxErrors = 20;
constexpr std::chrono::minutes kVisibleDeadline(30);

// Outcomes arrive on the pipeline's threads.
class Tally {
 public:
  void Add(const std::string& row, const retrieval::IngestOutcome& outcome) {
    absl::MutexLock lock(&mutex_);
    ++done_;
    if (!outcome.status.ok()) {
      ++report_.failed;
      if (report_.errors.size() < kMaxErrors) {
        report_.errors.push_back(absl::StrCat(row, ": ", outcome.stage, ": ",
                                              outcome.status.ToString()));
      }
    } else if (outcome.result.outcome == retrieval::WriteOutcome::kUnchanged) {
      ++report_.unchanged;
    } else {
      ++report_.written;
      report_.chunks += outcome.result.chunk_count;
    }
  }
  uint64_t done() const {
    absl::MutexLock lock(&mutex_);
    return done_;
  }
  IndexReport report() const {
    absl::MutexLock lock(&mutex_);
    return report_;
  }

 private:
  mutable absl::Mutex mutex_;
  IndexReport report_ ABSL_GUARDED_BY(mutex_);
  uint64_t done_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Deletes the documents that are not in `keep`; returns how many.
absl::StatusOr<uint64_t> RemoveOthers(
    retrieval::Store& store, const std::string& collection,
    const absl::flat_hash_set<std::string>& keep) {
  std::vector<std::string> stale;
  const absl::Status status = store.snapshot()->ForEachDocument(
      collection, [&](const retrieval::DocumentInfo& document) {
        if (!keep.contains(document.id)) stale.push_back(document.id);
        return true;
      });
  if (!status.ok()) return status;
  for (const std::string& id : stale) {
    const auto deleted = store.DeleteDocument(collection, id);
    if (!deleted.ok()) return deleted.status();
  }
  return stale.size();
}

}  // namespace

std::string EvalCollection(const std::string& directory) {
  std::filesystem::path path =
      std::filesystem::path(directory).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  std::string id = "eval-";
  for (const char c : path.filename().string()) {
    id.push_back(absl::ascii_isalnum(static_cast<unsigned char>(c))
                     ? absl::ascii_tolower(static_cast<unsigned char>(c))
                     : '-');
  }
  id.resize(std::min<size_t>(id.size(), 63));
  return id;
}

absl::Status EnsureWholeCollection(retrieval::LocalBackend& backend,
                                   const std::string& collection) {
  const auto existing = backend.store()->GetCollection(collection);
  if (existing.ok()) {
    if (existing->chunking.strategy == retrieval::ChunkingStrategy::kWhole) {
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(
        absl::StrCat("collection ", collection,
                     " cuts its documents: evaluation judges "
                     "whole rows"));
  }
  if (!absl::IsNotFound(existing.status())) return existing.status();
  retrieval::CollectionConfig config;
  config.id = collection;
  config.chunking.strategy = retrieval::ChunkingStrategy::kWhole;
  return backend.CreateCollection(std::move(config));
}

absl::StatusOr<IndexReport> IndexCorpus(retrieval::LocalBackend& backend,
                                        retrieval::IngestPipeline& pipeline,
                                        const std::string& collection,
                                        const std::string& corpus,
                                        const ProgressSink& progress,
                                        std::stop_token stop) {
  const absl::Time start = absl::Now();
  // The pipeline's callbacks may outlive this frame's happy path, so they
  // share.
  const auto tally = std::make_shared<Tally>();
  absl::flat_hash_set<std::string> ids;
  uint64_t rows = 0;
  absl::Status status =
      ForEachCorpusRow(corpus, [&](retrieval::InlineDocument row) {
        ++rows;
        ids.insert(row.document_id);
        retrieval::IngestItem item;
        const std::string id = row.document_id;
        item.input = std::move(row);
        pipeline.Submit(std::move(item),
                        [tally, id](const retrieval::IngestOutcome& outcome) {
                          tally->Add(id, outcome);
                        });
        progress("Indexing", tally->done(), 0);
        return !stop.stop_requested();
      });
  // What is still queued dies with the pipeline.
  if (stop.stop_requested()) return absl::CancelledError("interrupted");
  pipeline.Drain();
  if (!status.ok()) return status;

  IndexReport report = tally->report();
  report.rows = rows;
  report.durable = absl::Now() - start;
  const absl::StatusOr<uint64_t> removed =
      RemoveOthers(*backend.store(), collection, ids);
  if (!removed.ok()) return removed.status();
  report.removed = *removed;
  status = backend.WaitUntilCurrent(
      collection, std::chrono::steady_clock::now() + kVisibleDeadline);
  if (!status.ok()) return status;
  report.searchable = absl::Now() - start;
  return report;
}

absl::StatusOr<IndexReport> IndexDataset(Runtime& runtime,
                                         const std::string& collection,
                                         const std::string& corpus,
                                         const ProgressSink& progress,
                                         std::stop_token stop) {
  const absl::Status created =
      EnsureWholeCollection(runtime.backend(), collection);
  if (!created.ok()) return created;
  const auto pipeline = runtime.Pipeline(collection);
  if (!pipeline.ok()) return pipeline.status();
  return IndexCorpus(runtime.backend(), **pipeline, collection, corpus,
                     progress, std::move(stop));
}

}  // namespace braid::services
