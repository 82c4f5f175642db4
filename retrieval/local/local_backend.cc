#include "retrieval/local/local_backend.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "retrieval/local/access_cache.h"
#include "retrieval/local/collection_indexer.h"
#include "retrieval/local/filter_cache.h"
#include "retrieval/local/index_factories.h"
#include "retrieval/local/search.h"
#include "retrieval/local/search_pool.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxDifferences = 100;

absl::Status RemoveDirectory(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot remove ", directory, ": ", error.message()));
  }
  return absl::OkStatus();
}

// A collection that is open.
struct Collection {
  CollectionConfig config;
  absl::Status usable;                         // why it cannot be searched
  std::unique_ptr<CollectionIndexer> indexer;  // null if not usable
  FilterCache filters;
  std::unique_ptr<AccessCache> access;  // null without document_access
};

// Names ids that one of two ascending lists has and the other has not.
void Compare(const std::vector<ChunkId>& store, const std::vector<ChunkId>& leg,
             absl::string_view name, std::vector<std::string>* differences) {
  const auto report = [&](const std::vector<ChunkId>& left,
                          const std::vector<ChunkId>& right,
                          absl::string_view what) {
    std::vector<ChunkId> only;
    std::set_difference(left.begin(), left.end(), right.begin(), right.end(),
                        std::back_inserter(only));
    for (const ChunkId id : only) {
      if (differences->size() == kMaxDifferences) return;
      differences->push_back(absl::StrCat("chunk ", id, " is ", what));
    }
  };
  report(store, leg, absl::StrCat("in the store but not in ", name));
  report(leg, store, absl::StrCat("in ", name, " but not in the store"));
}

class Backend : public LocalBackend {
 public:
  Backend(const LocalBackendOptions& options, const Encoder* encoder,
          const IndexFactories& factories, std::unique_ptr<Store> store)
      : options_(options),
        encoder_(encoder),
        factories_(factories),
        store_(std::move(store)),
        pool_(std::max(options.search_threads, 1)) {}

  ~Backend() override { Shutdown(); }

  // Starts the indexer of every collection; called once.
  absl::Status Start() {
    if (absl::Status status = Checkpoint::RemoveAll(options_.directory);
        !status.ok()) {
      return status;
    }
    const absl::StatusOr<std::vector<CollectionConfig>> configs =
        store_->ListCollections();
    if (!configs.ok()) return configs.status();
    // What a deletion that was cut short has left must not be taken for the
    // indexes of a new collection of the same name.
    std::set<std::string> names;
    for (const CollectionConfig& config : *configs) names.insert(config.id);
    std::error_code error;
    for (std::filesystem::directory_iterator entry(IndexRoot(), error), end;
         !error && entry != end; entry.increment(error)) {
      const std::filesystem::path path = entry->path();
      if (names.contains(path.filename().string())) continue;
      if (absl::Status status = RemoveDirectory(path.string()); !status.ok()) {
        return status;
      }
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const CollectionConfig& config : *configs) {
      collections_[config.id] = OpenCollection(config);
    }
    history_thread_ = std::jthread(
        [this](const std::stop_token& stop) { TrimHistory(stop); });
    return absl::OkStatus();
  }

  absl::Status CreateCollection(CollectionConfig config) override {
    config.encoder = encoder_->fingerprint();
    config.dimension = static_cast<uint32_t>(encoder_->dimension());
    if (absl::Status status = ValidateCollection(config); !status.ok()) {
      return status;
    }
    const std::lock_guard<std::mutex> changing(change_mutex_);
    if (shut_down()) return ShutDownError();
    const absl::Status known = store_->GetCollection(config.id).status();
    if (known.ok()) {
      return absl::AlreadyExistsError(
          absl::StrCat("collection \"", config.id, "\" is there already"));
    }
    if (!absl::IsNotFound(known)) return known;
    // One deleted in the store alone may still be open here.
    if (absl::Status status = Close(config.id); !status.ok()) return status;
    // Opening an index is the check of the language.
    const std::string directory = IndexDirectory(config.id) + "/lexical";
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) {
      return absl::UnavailableError(
          absl::StrCat("cannot create ", directory, ": ", error.message()));
    }
    if (absl::Status status =
            factories_.lexical(directory, config.language).status();
        !status.ok()) {
      (void)RemoveDirectory(IndexDirectory(config.id));
      return status;
    }
    if (absl::Status status = store_->CreateCollection(config); !status.ok()) {
      return status;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    collections_[config.id] = OpenCollection(config);
    return absl::OkStatus();
  }

  absl::Status DeleteCollection(const std::string& collection) override {
    const std::lock_guard<std::mutex> changing(change_mutex_);
    if (shut_down()) return ShutDownError();
    if (absl::Status status = store_->DeleteCollection(collection);
        !status.ok()) {
      return status;
    }
    return Close(collection);
  }

  absl::StatusOr<SearchResult> Search(const Query& query) override {
    const auto begin = std::chrono::steady_clock::now();
    if (!query.run_bm25 && !query.run_dense) {
      return absl::InvalidArgumentError("a search needs at least one leg");
    }
    const absl::StatusOr<std::shared_ptr<Collection>> collection =
        Find(query.collection);
    if (!collection.ok()) return collection.status();
    const bool restricted =
        (*collection)->access != nullptr && !query.viewer.sees_all();
    absl::StatusOr<std::shared_ptr<const CollectionView>> view =
        (*collection)
            ->indexer->WaitForView(query.wait_for_sequence, query.deadline,
                                   query.stop);
    // Why indexing fails may name what the viewer may not see.
    if (restricted && absl::IsDeadlineExceeded(view.status())) {
      return absl::DeadlineExceededError(absl::StrCat(
          "collection \"", query.collection, "\" has not made sequence ",
          query.wait_for_sequence, " visible in time"));
    }
    if (!view.ok()) return view.status();
    if (absl::Status status = CheckTime(query.deadline, query.stop);
        !status.ok()) {
      return status;
    }
    return SearchView(
        query, *std::move(view), *encoder_, begin, &(*collection)->filters,
        restricted ? (*collection)->access.get() : nullptr, &pool_);
  }

  absl::StatusOr<ConsistencyReport> CheckConsistency(
      const std::string& collection,
      std::chrono::steady_clock::time_point deadline,
      const std::stop_token& stop) override {
    const absl::StatusOr<std::shared_ptr<Collection>> found = Find(collection);
    if (!found.ok()) return found.status();
    const absl::StatusOr<std::shared_ptr<const CollectionView>> view =
        (*found)->indexer->WaitForView(0, deadline, stop);
    if (!view.ok()) return view.status();
    const absl::StatusOr<std::vector<ChunkId>> store =
        (*view)->store().ListChunks(collection);
    if (!store.ok()) return store.status();
    const absl::StatusOr<std::vector<ChunkId>> bm25 =
        (*view)->lexical()->Chunks();
    if (!bm25.ok()) return bm25.status();
    const std::vector<ChunkId> dense = (*view)->dense()->Chunks();
    ConsistencyReport report;
    report.sequence = (*view)->sequence();
    report.store_chunks = store->size();
    report.bm25_chunks = bm25->size();
    report.dense_chunks = dense.size();
    Compare(*store, *bm25, "the lexical index", &report.differences);
    Compare(*store, dense, "the dense index", &report.differences);
    return report;
  }

  absl::StatusOr<IndexState> DescribeIndexes(
      const std::string& collection) override {
    const absl::StatusOr<std::shared_ptr<Collection>> found = Find(collection);
    if (!found.ok()) return found.status();
    return (*found)->indexer->state();
  }

  absl::Status WaitUntilCurrent(
      const std::string& collection,
      std::chrono::steady_clock::time_point deadline) override {
    const absl::StatusOr<std::shared_ptr<Collection>> found = Find(collection);
    if (!found.ok()) return found.status();
    const absl::StatusOr<CollectionCounters> counters =
        store_->snapshot()->Counters(collection);
    if (!counters.ok()) return counters.status();
    return (*found)
        ->indexer
        ->WaitForView(counters->last_sequence, deadline, std::stop_token())
        .status();
  }

  absl::StatusOr<DataReport> Verify(
      bool repair, std::chrono::steady_clock::time_point deadline,
      const std::stop_token& stop, const VerifyWatcher& progress) override {
    DataReport report;
    absl::StatusOr<StoreReport> store = store_->Verify(stop, progress);
    if (!store.ok()) return store.status();
    report.store = *std::move(store);
    std::map<std::string, std::shared_ptr<Collection>> collections;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (shut_down_) return ShutDownError();
      collections = collections_;
    }
    for (const auto& [id, collection] : collections) {
      // One of another encoder is not indexed here.
      if (collection->indexer == nullptr) continue;
      absl::StatusOr<IndexReport> checked =
          collection->indexer->Verify(repair, deadline, stop);
      if (!checked.ok()) {
        // Deleted meanwhile.
        if (absl::IsNotFound(store_->GetCollection(id).status())) continue;
        return checked.status();
      }
      report.collections.push_back(*std::move(checked));
    }
    return report;
  }

  void SetIndexListener(IndexListener listener) override {
    const std::lock_guard<std::mutex> lock(listener_mutex_);
    listener_ = std::move(listener);
    if (listener_ == nullptr) return;
    for (const auto& [id, collection] : Collections()) {
      if (collection->indexer == nullptr) continue;
      const absl::Status error = collection->indexer->state().error;
      if (!error.ok()) listener_(id, error);
    }
  }

  IndexLag MeasureLag() override {
    const std::map<std::string, std::shared_ptr<Collection>> collections =
        Collections();
    const auto behind = [](Sequence newest, Sequence applied) {
      return newest - std::min(newest, applied);
    };
    IndexLag lag;
    lag.collections = collections.size();
    const std::shared_ptr<const StoreSnapshot> snapshot = store_->snapshot();
    for (const auto& [id, collection] : collections) {
      // One of another encoder is not indexed here.
      if (collection->indexer == nullptr) continue;
      const absl::StatusOr<CollectionCounters> counters =
          snapshot->Counters(id);
      if (!counters.ok()) continue;
      const Sequence newest = counters->last_sequence;
      const CollectionIndexer& indexer = *collection->indexer;
      lag.bm25 = std::max(lag.bm25, behind(newest, indexer.lexical_applied()));
      lag.dense = std::max(lag.dense, behind(newest, indexer.dense_applied()));
    }
    return lag;
  }

  absl::StatusOr<std::unique_ptr<Checkpoint>> CreateCheckpoint() override {
    if (shut_down()) return ShutDownError();
    return Checkpoint::Create(*store_, options_.directory);
  }

  Store* store() override { return store_.get(); }

  void Shutdown() override {
    const std::lock_guard<std::mutex> changing(change_mutex_);
    std::map<std::string, std::shared_ptr<Collection>> collections;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      shut_down_ = true;
      collections = collections_;
    }
    store_->CloseWaiters();
    if (history_thread_.joinable()) {
      history_thread_.request_stop();
      history_thread_.join();
    }
    for (const auto& [id, collection] : collections) {
      if (collection->indexer != nullptr) collection->indexer->Stop();
    }
  }

 private:
  // Until `stop`. What fails (a full disk) is tried again the next time.
  void TrimHistory(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock<std::mutex> lock(mutex);
    do {
      (void)store_->TrimHistory(stop);
      never.wait_for(lock, stop,
                     absl::ToChronoNanoseconds(options_.history_interval),
                     [] { return false; });
    } while (!stop.stop_requested());
  }

  std::map<std::string, std::shared_ptr<Collection>> Collections() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return collections_;
  }
  std::string IndexRoot() const { return options_.directory + "/indexes"; }
  std::string IndexDirectory(const std::string& collection) const {
    return absl::StrCat(IndexRoot(), "/", collection);
  }
  static absl::Status ShutDownError() {
    return absl::UnavailableError("the backend is shut down");
  }
  bool shut_down() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return shut_down_;
  }

  std::shared_ptr<Collection> OpenCollection(const CollectionConfig& config) {
    auto collection = std::make_shared<Collection>();
    collection->config = config;
    if (config.encoder != encoder_->fingerprint() ||
        config.dimension != encoder_->dimension()) {
      collection->usable = absl::FailedPreconditionError(absl::StrCat(
          "collection \"", config.id, "\" was made with the encoder ",
          config.encoder, " (dimension ", config.dimension,
          "); this service runs ", encoder_->fingerprint(), " (dimension ",
          encoder_->dimension(), ")"));
      return collection;
    }
    if (config.document_access) {
      collection->access = std::make_unique<AccessCache>(store_.get());
    }
    collection->indexer = std::make_unique<CollectionIndexer>(
        store_.get(), config, IndexDirectory(config.id),
        options_.index_interval, options_.seal_vectors, factories_,
        [this, id = config.id](const absl::Status& status) {
          const std::lock_guard<std::mutex> lock(listener_mutex_);
          if (listener_ != nullptr) listener_(id, status);
        });
    return collection;
  }

  // Stops the indexer of a collection that the store no longer has, and removes
  // its indexes. Under change_mutex_.
  absl::Status Close(const std::string& id) {
    std::shared_ptr<Collection> collection;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = collections_.find(id);
      if (found != collections_.end()) {
        collection = std::move(found->second);
        collections_.erase(found);
      }
    }
    // Searches that are under way keep the collection and their view.
    if (collection != nullptr && collection->indexer != nullptr) {
      collection->indexer->Stop();
    }
    return RemoveDirectory(IndexDirectory(id));
  }

  absl::StatusOr<std::shared_ptr<Collection>> Find(const std::string& id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (shut_down_) return ShutDownError();
    const auto found = collections_.find(id);
    if (found == collections_.end()) {
      return absl::NotFoundError(
          absl::StrCat("there is no collection \"", id, "\""));
    }
    if (!found->second->usable.ok()) return found->second->usable;
    return found->second;
  }

  const LocalBackendOptions options_;
  const Encoder* const encoder_;
  const IndexFactories factories_;
  const std::unique_ptr<Store> store_;

  // Taken before mutex_.
  std::mutex listener_mutex_;
  IndexListener listener_;
  // Held while collections come and go; taken before mutex_.
  std::mutex change_mutex_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Collection>> collections_;
  bool shut_down_ = false;
  // Last: their threads end before anything they use.
  SearchPool pool_;
  std::jthread history_thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LocalBackend>> OpenLocalBackend(
    const LocalBackendOptions& options, const Encoder* encoder,
    const IndexFactories& factories) {
  absl::StatusOr<std::unique_ptr<Store>> store =
      Store::Open(options.directory + "/store", options.store);
  if (!store.ok()) return store.status();
  auto backend =
      std::make_unique<Backend>(options, encoder, factories, *std::move(store));
  if (absl::Status status = backend->Start(); !status.ok()) return status;
  return backend;
}

absl::StatusOr<std::unique_ptr<LocalBackend>> LocalBackend::Open(
    const LocalBackendOptions& options, const Encoder* encoder) {
  return OpenLocalBackend(
      options, encoder,
      {.lexical = &LexicalIndex::Open, .dense = &DenseIndex::Open});
}

}  // namespace braid::retrieval
