#include "services/bench/search_floors.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>

#include <exception>
#include <functional>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "retrieval/ingest/chunker.h"
#include "retrieval/lexical/lexical_index.h"
#include "services/eval/temporary_directory.h"

namespace braid::services {
namespace {

constexpr int kHnswM = 32;
constexpr int kHnswEfConstruction = 100;
constexpr int kHnswEfSearch = 128;
constexpr size_t kWarmUpQueries = 20;

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

// Times `search` on query 0, 1, ... after a short warm-up.
absl::StatusOr<Json> Time(size_t queries,
                          const std::function<absl::Status(size_t)>& search) {
  for (size_t i = 0; i < std::min(queries, kWarmUpQueries); ++i) {
    if (absl::Status status = search(i); !status.ok()) return status;
  }
  std::vector<double> times;
  for (size_t i = 0; i < queries; ++i) {
    const absl::Time start = absl::Now();
    if (absl::Status status = search(i); !status.ok()) return status;
    times.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
  }
  return ToJson(ComputePercentiles(std::move(times)));
}

absl::StatusOr<Json> TimeTantivy(const Corpus& corpus,
                                 const std::vector<std::string>& queries,
                                 size_t limit) {
  const absl::StatusOr<TemporaryDirectory> directory =
      TemporaryDirectory::Create();
  if (!directory.ok()) return directory.status();
  auto index = retrieval::LexicalIndex::Open(directory->path(), "en");
  if (!index.ok()) return index.status();
  for (const retrieval::Passage& passage : corpus.passages) {
    const std::string title =
        retrieval::LexicalTitle(passage.title, passage.chunk.span);
    const absl::Status added =
        (*index)->Add({passage.chunk.id, title, passage.text});
    if (!added.ok()) return added;
  }
  const absl::Status committed = (*index)->Commit(1);
  if (!committed.ok()) return committed;
  const auto snapshot = (*index)->snapshot();
  return Time(queries.size(), [&](size_t i) {
    return snapshot->Search(queries[i], limit, nullptr).status();
  });
}

// FAISS reports errors by exception: they end here.
absl::StatusOr<Json> TimeFaiss(faiss::Index& index, const Corpus& corpus,
                               const std::vector<float>& questions,
                               size_t limit) {
  try {
    index.add(static_cast<faiss::idx_t>(corpus.passages.size()),
              corpus.vectors.data());
    const size_t dimension = static_cast<size_t>(index.d);
    std::vector<float> scores(limit);
    std::vector<faiss::idx_t> ids(limit);
    return Time(questions.size() / dimension, [&](size_t i) {
      index.search(1, questions.data() + i * dimension,
                   static_cast<faiss::idx_t>(limit), scores.data(), ids.data());
      return absl::OkStatus();
    });
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("FAISS: ", error.what()));
  }
}

}  // namespace

absl::StatusOr<Json> MeasureSearchFloors(
    Runtime& runtime, const std::string& collection,
    const std::vector<std::string>& queries, size_t limit,
    const ProgressSink& progress, std::stop_token stop) {
  const absl::StatusOr<Corpus> corpus = ReadCorpus(runtime, collection);
  if (!corpus.ok()) return corpus.status();
  const retrieval::Encoder& encoder = runtime.encoder();
  const size_t dimension = encoder.dimension();
  const int d = static_cast<int>(dimension);
  std::vector<float> questions(queries.size() * dimension);
  faiss::IndexFlatIP flat(d);
  faiss::IndexHNSWFlat hnsw(d, kHnswM, faiss::METRIC_INNER_PRODUCT);
  hnsw.hnsw.efConstruction = kHnswEfConstruction;
  hnsw.hnsw.efSearch = kHnswEfSearch;

  // `embed` comes before the FAISS floors: it fills in their questions.
  const std::pair<const char*, std::function<absl::StatusOr<Json>()>> steps[] =
      {{"embed",
        [&] {
          return Time(queries.size(), [&](size_t i) {
            return encoder.Embed({queries[i]},
                                 questions.data() + i * dimension);
          });
        }},
       {"tantivy", [&] { return TimeTantivy(*corpus, queries, limit); }},
       {"faiss_flat",
        [&] { return TimeFaiss(flat, *corpus, questions, limit); }},
       {"faiss_hnsw",
        [&] { return TimeFaiss(hnsw, *corpus, questions, limit); }}};
  Json floors = Json::object();
  uint64_t done = 0;
  for (const auto& [name, measure] : steps) {
    progress("Measuring floors", done++, std::size(steps));
    if (stop.stop_requested()) return absl::CancelledError("interrupted");
    absl::StatusOr<Json> measured = measure();
    if (!measured.ok()) return measured.status();
    floors[name] = *std::move(measured);
  }
  return floors;
}

}  // namespace braid::services
