#include "generation/engine/generator.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "generation/engine/admission.h"
#include "generation/engine/model.h"
#include "generation/text/chat_template.h"
#include "generation/text/detokenizer.h"
#include "generation/text/tokenizer.h"
#include "kernels/thread_pool.h"

namespace braid::generation {
namespace {

// Large enough for the matrix products to be efficient; cancellation is looked
// at between layers as well.
constexpr size_t kPrefillChunk = 256;
constexpr size_t kMaxWaiting = 16;
constexpr int kMaxThreads = 1024;

uint64_t PhysicalMemory() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? static_cast<uint64_t>(pages) * page : 0;
}

class ModelGenerator : public Generator {
 public:
  ModelGenerator(std::string name, std::unique_ptr<HybridModel> hybrid,
                 std::unique_ptr<model::Tokenizer> tokenizer,
                 std::unique_ptr<model::ChatTemplate> chat, int threads,
                 kernels::KvType kv)
      : name_(std::move(name)),
        hybrid_(std::move(hybrid)),
        tokenizer_(std::move(tokenizer)),
        chat_(std::move(chat)),
        kv_(kv),
        pool_(threads),
        admission_(kMaxWaiting) {
    workspace_.pool = &pool_;
  }

  const std::string& name() const override { return name_; }
  size_t max_context_tokens() const override {
    return hybrid_->spec().max_context_tokens;
  }
  absl::StatusOr<size_t> CountTokens(absl::string_view text) const override {
    return tokenizer_->Count(text);
  }
  absl::StatusOr<GenerationResult> Generate(const GenerationRequest& request,
                                            const TextSink& sink,
                                            std::stop_token stop) override;

 private:
  absl::StatusOr<std::vector<int32_t>> Encode(
      const GenerationRequest& request) const;
  // Fits the context and the memory?
  absl::Status CheckSize(size_t prompt_tokens, size_t max_tokens) const;
  absl::StatusOr<GenerationResult> Run(absl::Span<const int32_t> prompt,
                                       const GenerationRequest& request,
                                       const TextSink& sink,
                                       std::stop_token stop);

  const std::string name_;
  const std::unique_ptr<HybridModel> hybrid_;
  const std::unique_ptr<model::Tokenizer> tokenizer_;
  const std::unique_ptr<model::ChatTemplate> chat_;
  const kernels::KvType kv_;
  kernels::ThreadPool pool_;
  Admission admission_;
  model::Workspace workspace_;  // of the request that was admitted
};

absl::StatusOr<std::vector<int32_t>> ModelGenerator::Encode(
    const GenerationRequest& request) const {
  if (const auto* text = std::get_if<std::string>(&request.input)) {
    absl::StatusOr<model::TokenEncoding> encoding =
        tokenizer_->Encode(*text, model::EncodeOptions{});
    if (!encoding.ok()) return encoding.status();
    return std::move(encoding->ids);
  }
  std::vector<model::ChatMessage> messages;
  for (const ChatTurn& turn : std::get<std::vector<ChatTurn>>(request.input)) {
    messages.push_back({turn.role, turn.content});
  }
  return chat_->Encode(*tokenizer_, messages, model::ChatRenderOptions{});
}

absl::Status ModelGenerator::CheckSize(size_t prompt_tokens,
                                       size_t max_tokens) const {
  if (prompt_tokens == 0) {
    return absl::InvalidArgumentError("the prompt has no tokens");
  }
  const size_t context = max_context_tokens();
  if (prompt_tokens > context || max_tokens > context - prompt_tokens) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the prompt has ", prompt_tokens, " tokens and max_tokens is ",
        max_tokens, "; together at most ", context,
        " fit the model's context"));
  }
  const uint64_t bytes =
      hybrid_->state_bytes(kv_).For(prompt_tokens + max_tokens);
  const uint64_t memory = PhysicalMemory();
  if (memory > 0 && bytes > memory / 2) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the state of ", prompt_tokens + max_tokens, " tokens takes ", bytes,
        " bytes, more than half of this machine's memory"));
  }
  return absl::OkStatus();
}

absl::StatusOr<GenerationResult> ModelGenerator::Generate(
    const GenerationRequest& request, const TextSink& sink,
    std::stop_token stop) {
  absl::StatusOr<std::vector<int32_t>> prompt = Encode(request);
  if (!prompt.ok()) return prompt.status();
  if (absl::Status status = CheckSize(prompt->size(), request.max_tokens);
      !status.ok()) {
    return status;
  }
  GenerationResult nothing;
  nothing.prompt_tokens = prompt->size();
  switch (admission_.Enter(request.deadline, stop)) {
    case Admission::Outcome::kQueueFull:
      return absl::ResourceExhaustedError(absl::StrCat(
          "the generator is busy and ", kMaxWaiting, " requests wait already"));
    case Admission::Outcome::kCancelled:
      nothing.finish_reason = FinishReason::kCancelled;
      return nothing;
    case Admission::Outcome::kDeadline:
      nothing.finish_reason = FinishReason::kDeadline;
      return nothing;
    case Admission::Outcome::kAdmitted:
      break;
  }
  const auto leave = absl::MakeCleanup([this] { admission_.Leave(); });
  return Run(*prompt, request, sink, stop);
}

absl::StatusOr<GenerationResult> ModelGenerator::Run(
    absl::Span<const int32_t> prompt, const GenerationRequest& request,
    const TextSink& sink, std::stop_token stop) {
  GenerationResult result;
  result.prompt_tokens = prompt.size();
  // Why to stop now, if at all.
  const auto interrupted = [&] {
    if (stop.stop_requested()) {
      result.finish_reason = FinishReason::kCancelled;
      return true;
    }
    if (std::chrono::steady_clock::now() >= request.deadline) {
      result.finish_reason = FinishReason::kDeadline;
      return true;
    }
    return false;
  };
  ForwardOptions options;
  options.stop = interrupted;
  SequenceState state = hybrid_->NewState(kv_);
  std::vector<float> logits;
  for (size_t begin = 0; begin < prompt.size(); begin += kPrefillChunk) {
    const size_t count = std::min(kPrefillChunk, prompt.size() - begin);
    options.logits = begin + count == prompt.size() ? LogitsOf::kLastToken
                                                    : LogitsOf::kNothing;
    absl::Status status = hybrid_->Forward(
        prompt.subspan(begin, count), options, &state, &workspace_, &logits);
    if (absl::IsCancelled(status)) return result;
    if (!status.ok()) return status;
  }

  options.logits = LogitsOf::kLastToken;
  const std::vector<int32_t>& eos = hybrid_->spec().eos_ids;
  std::mt19937_64 rng(request.sampling.seed);
  model::Detokenizer detokenizer(tokenizer_.get());
  const auto send = [&](absl::StatusOr<std::string> text) -> absl::Status {
    if (!text.ok()) return text.status();
    if (text->empty() || sink(*text)) return absl::OkStatus();
    return absl::CancelledError("the receiver is gone");
  };
  absl::Status status;
  result.finish_reason = FinishReason::kLength;
  while (result.completion_tokens < request.max_tokens) {
    if (interrupted()) break;
    const int32_t token = SampleToken(logits, request.sampling, rng);
    ++result.completion_tokens;
    if (std::find(eos.begin(), eos.end(), token) != eos.end()) {
      result.finish_reason = FinishReason::kStop;
      break;
    }
    status = send(detokenizer.Add(token));
    if (!status.ok() || result.completion_tokens == request.max_tokens) break;
    status = hybrid_->Forward({token}, options, &state, &workspace_, &logits);
    if (!status.ok()) break;
  }
  if (status.ok()) status = send(detokenizer.Finish());
  if (absl::IsCancelled(status)) {
    // Either the layers were told to stop, which has set the reason, or the
    // receiver is gone.
    if (result.finish_reason != FinishReason::kDeadline) {
      result.finish_reason = FinishReason::kCancelled;
    }
    return result;
  }
  if (!status.ok()) return status;
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Generator>> Generator::Load(
    const std::string& directory, int threads, kernels::KvType kv,
    model::WeightType weights) {
  if (threads < 1 || threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads must be from 1 to ", kMaxThreads));
  }
  auto tokenizer =
      model::Tokenizer::FromFile(absl::StrCat(directory, "/tokenizer.json"));
  if (!tokenizer.ok()) return tokenizer.status();
  auto chat = model::ChatTemplate::FromDirectory(directory);
  if (!chat.ok()) return chat.status();
  auto hybrid = HybridModel::Load(directory, weights, threads);
  if (!hybrid.ok()) return hybrid.status();
  std::filesystem::path path(directory);
  if (!path.has_filename()) path = path.parent_path();
  return std::make_unique<ModelGenerator>(
      path.filename().string(), *std::move(hybrid), *std::move(tokenizer),
      *std::move(chat), threads, kv);
}

}  // namespace braid::generation
