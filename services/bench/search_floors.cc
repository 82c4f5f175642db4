#include "services/bench/search_floors.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>

#include <exception>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "retrieval/ingest/chunker.h"
#include "retrieval/lexical/lexical_index.h"
#include "services/eval/temporary_directory.h"

namespace braid::services {
namespace {

constexpr int kHnswM = 32;
constexpr int kHnswEfConstruction = 100;
constexpr int kHnswEfSearch = 128;

// What the collection holds.
struct Corpus {
  std::vector<retrieval::Passage> passages;
  std::vector<float> vectors;  // [passages.size(), dimension]
};

absl::StatusOr<Corpus> ReadCorpus(Runtime& runtime,
                                  const std::string& collection) {
  const auto snapshot = runtime.backend().store()->snapshot();
  Corpus corpus;
  absl::Status failed;
  const absl::Status visited = snapshot->ForEachDocument(
      collection, [&](const retrieval::DocumentInfo& document) {
        std::vector<retrieval::ChunkId> ids(document.chunk_count);
        std::iota(ids.begin(), ids.end(), document.first_chunk);
        auto passages = snapshot->GetPassages(collection, ids);
        if (!passages.ok()) {
          failed = passages.status();
          return false;
        }
        const auto vectors = snapshot->GetVectors(
            collection, document.first_chunk, document.chunk_count);
        if (!vectors.ok()) {
          failed = vectors.status();
          return false;
        }
        for (retrieval::Passage& passage : *passages) {
          corpus.passages.push_back(std::move(passage));
        }
        corpus.vectors.insert(corpus.vectors.end(), vectors->begin(),
                              vectors->end());
        return true;
      });
  if (!visited.ok()) return visited;
  if (!failed.ok()) return failed;
  return corpus;
}

// FAISS reports errors by exception: they end here.
template <typename Function>
absl::Status WithFaiss(Function function) {
  try {
    function();
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("FAISS: ", error.what()));
  }
}

class CopiedEngines : public SearchFloors {
 public:
  CopiedEngines(const retrieval::Encoder& encoder,
                std::vector<std::string> queries, size_t limit)
      : encoder_(encoder),
        dimension_(encoder.dimension()),
        queries_(std::move(queries)),
        limit_(limit),
        questions_(queries_.size() * dimension_),
        flat_(static_cast<int>(dimension_)),
        hnsw_(static_cast<int>(dimension_), kHnswM,
              faiss::METRIC_INNER_PRODUCT),
        scores_(limit),
        ids_(limit) {
    hnsw_.hnsw.efConstruction = kHnswEfConstruction;
    hnsw_.hnsw.efSearch = kHnswEfSearch;
  }

  absl::Status Embed() {
    for (size_t i = 0; i < queries_.size(); ++i) {
      if (absl::Status status = Run(RawEngine::kEmbed, i); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddTexts(const Corpus& corpus) {
    absl::StatusOr<TemporaryDirectory> directory = TemporaryDirectory::Create();
    if (!directory.ok()) return directory.status();
    directory_.emplace(*std::move(directory));
    auto index = retrieval::LexicalIndex::Open(directory_->path(), "en");
    if (!index.ok()) return index.status();
    lexical_ = *std::move(index);
    for (const retrieval::Passage& passage : corpus.passages) {
      const std::string title =
          retrieval::LexicalTitle(passage.title, passage.chunk.span);
      const absl::Status added =
          lexical_->Add({passage.chunk.id, title, passage.text});
      if (!added.ok()) return added;
    }
    if (absl::Status status = lexical_->Commit(1); !status.ok()) return status;
    snapshot_ = lexical_->snapshot();
    return absl::OkStatus();
  }

  absl::Status AddVectors(const Corpus& corpus) {
    return WithFaiss([&] {
      const auto rows = static_cast<faiss::idx_t>(corpus.passages.size());
      flat_.add(rows, corpus.vectors.data());
      hnsw_.add(rows, corpus.vectors.data());
    });
  }

  absl::Status Run(RawEngine engine, size_t index) override {
    switch (engine) {
      case RawEngine::kEmbed:
        return encoder_.Embed({queries_[index]},
                              questions_.data() + index * dimension_);
      case RawEngine::kTantivy:
        return snapshot_->Search(queries_[index], limit_, nullptr).status();
      case RawEngine::kFaissFlat:
        return Search(flat_, index);
      case RawEngine::kFaissHnsw:
        return Search(hnsw_, index);
    }
    return absl::InternalError("unknown engine");
  }

 private:
  absl::Status Search(const faiss::Index& index, size_t query) {
    return WithFaiss([&] {
      index.search(1, questions_.data() + query * dimension_,
                   static_cast<faiss::idx_t>(limit_), scores_.data(),
                   ids_.data());
    });
  }

  const retrieval::Encoder& encoder_;
  const size_t dimension_;
  const std::vector<std::string> queries_;
  const size_t limit_;
  std::vector<float> questions_;  // [queries_.size(), dimension_]
  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<retrieval::LexicalIndex> lexical_;
  std::shared_ptr<const retrieval::LexicalSnapshot> snapshot_;
  faiss::IndexFlatIP flat_;
  faiss::IndexHNSWFlat hnsw_;
  std::vector<float> scores_;
  std::vector<faiss::idx_t> ids_;
};

}  // namespace

const char* NameOf(RawEngine engine) {
  switch (engine) {
    case RawEngine::kEmbed:
      return "embed";
    case RawEngine::kTantivy:
      return "tantivy";
    case RawEngine::kFaissFlat:
      return "faiss_flat";
    case RawEngine::kFaissHnsw:
      return "faiss_hnsw";
  }
  return "unknown";
}

absl::StatusOr<std::unique_ptr<SearchFloors>> BuildSearchFloors(
    Runtime& runtime, const std::string& collection,
    std::vector<std::string> queries, size_t limit,
    const ProgressSink& progress, std::stop_token stop) {
  const absl::StatusOr<Corpus> corpus = ReadCorpus(runtime, collection);
  if (!corpus.ok()) return corpus.status();
  auto engines = std::make_unique<CopiedEngines>(runtime.encoder(),
                                                 std::move(queries), limit);
  const std::function<absl::Status()> steps[] = {
      [&] { return engines->Embed(); },
      [&] { return engines->AddTexts(*corpus); },
      [&] { return engines->AddVectors(*corpus); }};
  uint64_t done = 0;
  for (const auto& step : steps) {
    progress("Building floors", done++, std::size(steps));
    if (stop.stop_requested()) return absl::CancelledError("interrupted");
    if (absl::Status status = step(); !status.ok()) return status;
  }
  return engines;
}

}  // namespace braid::services
