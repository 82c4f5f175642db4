#include "services/runtime.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fusion/rerank/cross_encoder.h"
#include "generation/answer/answerer_choice.h"
#include "generation/answer/extractive_answerer.h"
#include "generation/answer/generative_answerer.h"
#include "retrieval/encoder/bert_encoder.h"
#include "services/config/roles.h"
#include "services/sentence_similarity.h"

namespace braid::services {
namespace {

int Threads(const Config& config) {
  if (config.threads > 0) return config.threads;
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

absl::StatusOr<std::unique_ptr<retrieval::LocalBackend>> OpenBackend(
    const Config& config, const retrieval::Encoder* encoder) {
  if (config.data_directory.empty()) {
    return absl::InvalidArgumentError("data_directory is not set");
  }
  std::error_code error;
  std::filesystem::create_directories(config.data_directory, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat(
        "cannot create ", config.data_directory, ": ", error.message()));
  }
  retrieval::LocalBackendOptions options;
  options.directory = config.data_directory;
  options.store.block_cache_bytes = static_cast<size_t>(config.block_cache_mb)
                                    << 20;
  options.store.history_retention = config.history_retention;
  options.store.max_history_bytes = static_cast<uint64_t>(config.history_max_mb)
                                    << 20;
  options.search_threads = std::max(2, Threads(config));
  return retrieval::LocalBackend::Open(options, encoder);
}

// What `parts.encoder` searches with.
absl::Status AddRetrieval(const Config& config, Runtime::Parts* parts) {
  auto parser = retrieval::ParserPool::Create(ParserOptionsOf(config));
  if (!parser.ok()) return parser.status();
  parts->parser = *std::move(parser);
  auto backend = OpenBackend(config, parts->encoder.get());
  if (!backend.ok()) return backend.status();
  parts->backend = *std::move(backend);
  if (config.reranker_directory.empty()) return absl::OkStatus();
  auto reranker = fusion::CrossEncoder::Load(
      config.reranker_directory,
      {.threads = Threads(config),
       .weights = *model::ParseWeightType(config.reranker_weights)});
  if (!reranker.ok()) return reranker.status();
  parts->reranker = *std::move(reranker);
  return absl::OkStatus();
}

}  // namespace

retrieval::ParserPoolOptions ParserOptionsOf(const Config& config) {
  retrieval::ParserPoolOptions options;
  options.executable = config.parser_executable;
  options.max_workers = Threads(config);
  options.max_cpu_time = config.limits.max_parse_cpu_time;
  options.max_wall_time = config.limits.max_parse_time;
  options.max_memory_bytes = config.limits.max_parse_memory_bytes;
  return options;
}

absl::StatusOr<std::unique_ptr<Runtime>> Runtime::Create(
    const Config& config, const EncoderWrap& wrap) {
  const absl::StatusOr<Roles> roles = RolesOf(config);
  if (!roles.ok()) return roles.status();
  const bool generates = roles->generation && !config.model_directory.empty();
  const bool extracts = roles->generation && (roles->retrieval || !generates ||
                                              config.answerer == "extractive");
  Parts parts;
  if (roles->retrieval || extracts) {
    absl::StatusOr<std::string> directory = ResolveEncoderDirectory(config);
    if (!directory.ok()) return directory.status();
    auto encoder = retrieval::BertEncoder::Load(
        *directory, *model::ParseWeightType(config.encoder_weights),
        Threads(config));
    if (!encoder.ok()) return encoder.status();
    parts.encoder = *std::move(encoder);
    if (wrap) parts.encoder = wrap(std::move(parts.encoder));
  }
  if (roles->retrieval) {
    absl::Status status = AddRetrieval(config, &parts);
    if (!status.ok()) return status;
  }
  std::unique_ptr<generation::Answerer> extractive;
  std::unique_ptr<generation::Answerer> generative;
  if (extracts) {
    extractive = generation::MakeExtractiveAnswerer(
        MakeSentenceSimilarity(parts.encoder.get(), Threads(config)),
        generation::ExtractiveOptions());
  }
  if (generates) {
    auto generator =
        generation::Generator::Load(config.model_directory, Threads(config),
                                    *kernels::ParseKvType(config.kv_cache),
                                    *model::ParseWeightType(config.weights));
    if (!generator.ok()) return generator.status();
    parts.generator = *std::move(generator);
    generative = generation::MakeGenerativeAnswerer(parts.generator.get());
  }
  if (roles->generation) {
    parts.answerer = generation::MakeAnswererChoice(
        std::move(extractive), std::move(generative),
        generates && config.answerer == "generator"
            ? generation::AnswererKind::kGenerator
            : generation::AnswererKind::kExtractive);
  }
  return Assemble(config, std::move(parts));
}

std::unique_ptr<Runtime> Runtime::Assemble(const Config& config, Parts parts) {
  std::unique_ptr<Runtime> runtime(new Runtime());
  runtime->config_ = config;
  runtime->start_time_ = std::chrono::steady_clock::now();
  runtime->encoder_ = std::move(parts.encoder);
  runtime->backend_ = std::move(parts.backend);
  runtime->parser_ = std::move(parts.parser);
  runtime->generator_ = std::move(parts.generator);
  runtime->answerer_ = std::move(parts.answerer);
  runtime->reranker_ = std::move(parts.reranker);
  return runtime;
}

Runtime::~Runtime() { Shutdown(); }

absl::StatusOr<std::shared_ptr<retrieval::IngestPipeline>> Runtime::Pipeline(
    const std::string& collection) {
  const auto config = backend_->store()->GetCollection(collection);
  if (!config.ok()) return config.status();
  if (config->encoder != encoder_->fingerprint()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "collection ", collection, " holds vectors of the encoder `",
        config->encoder, "`, and this server runs `", encoder_->fingerprint(),
        "`: set encoder_directory and encoder_weights to what it was filled "
        "with, or fill another collection"));
  }
  std::vector<std::shared_ptr<retrieval::IngestPipeline>> idle;
  absl::MutexLock lock(&mutex_);
  if (closed_) return absl::UnavailableError("the runtime is shut down");
  std::shared_ptr<retrieval::IngestPipeline>& pipeline = pipelines_[collection];
  if (pipeline == nullptr) {
    auto created = retrieval::IngestPipeline::Create(
        backend_->store(), encoder_.get(), parser_.get(), collection,
        retrieval::IngestLimits(), Threads(config_));
    if (!created.ok()) {
      pipelines_.erase(collection);
      return created.status();
    }
    pipeline = *std::move(created);
  }
  // Held here, so it does not count as idle. `idle` dies after the lock.
  std::shared_ptr<retrieval::IngestPipeline> held = pipeline;
  idle = TakeIdle();
  return held;
}

std::vector<std::shared_ptr<retrieval::IngestPipeline>> Runtime::TakeIdle() {
  std::vector<std::shared_ptr<retrieval::IngestPipeline>> taken;
  int idle = 0;
  for (auto it = pipelines_.begin(); it != pipelines_.end();) {
    const auto current = it++;
    if (current->second.use_count() > 1) continue;
    if (++idle <= config_.limits.max_idle_pipelines) continue;
    taken.push_back(std::move(current->second));
    pipelines_.erase(current);
  }
  return taken;
}

void Runtime::DropPipeline(const std::string& collection) {
  std::shared_ptr<retrieval::IngestPipeline> dropped;
  absl::MutexLock lock(&mutex_);
  const auto found = pipelines_.find(collection);
  if (found == pipelines_.end()) return;
  dropped = std::move(found->second);
  pipelines_.erase(found);
}

void Runtime::Shutdown() {
  absl::flat_hash_map<std::string, std::shared_ptr<retrieval::IngestPipeline>>
      pipelines;
  {
    absl::MutexLock lock(&mutex_);
    if (closed_) return;
    closed_ = true;
    pipelines.swap(pipelines_);
  }
  for (auto& [name, pipeline] : pipelines) pipeline->Drain();
  pipelines.clear();
  if (backend_ != nullptr) backend_->Shutdown();
}

}  // namespace braid::services
