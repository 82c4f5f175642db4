#include "retrieval/ingest/worker/parser_pool.h"

#include <unistd.h>

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "retrieval/ingest/worker/exit_status.h"
#include "retrieval/ingest/worker/message.h"

namespace braid::retrieval {
namespace {

absl::StatusOr<std::string> FindExecutable(const std::string& configured) {
  std::string path = configured;
  if (path.empty()) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    path = (self.parent_path() / "braid-parse").string();
  }
  if (access(path.c_str(), X_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat("no parser program at ", path,
                     " (the setting parser_executable names another place)"));
  }
  return path;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ParserPool>> ParserPool::Create(
    const ParserPoolOptions& options) {
  absl::StatusOr<std::string> executable = FindExecutable(options.executable);
  if (!executable.ok()) return executable.status();
  ParserPoolOptions found = options;
  found.executable = *std::move(executable);
  return std::unique_ptr<ParserPool>(new ParserPool(found));
}

absl::StatusOr<ParserPool::Worker> ParserPool::TakeWorker() {
  {
    absl::MutexLock lock(&mutex_);
    auto free = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return busy_ < options_.max_workers;
    };
    mutex_.Await(absl::Condition(&free));
    ++busy_;
    while (!idle_.empty()) {
      Worker worker = std::move(idle_.back());
      idle_.pop_back();
      if (worker.process->alive()) return worker;
    }
  }
  auto process =
      WorkerProcess::Start(options_.executable, options_.max_memory_bytes);
  if (!process.ok()) {
    absl::MutexLock lock(&mutex_);
    --busy_;
    return process.status();
  }
  Worker worker;
  worker.process = *std::move(process);
  return worker;
}

void ParserPool::GiveBack(Worker worker, bool usable) {
  if (++worker.documents >= options_.max_documents_per_worker) usable = false;
  // Its end is waited for before the next one may start.
  if (!usable) worker.process.reset();
  absl::MutexLock lock(&mutex_);
  --busy_;
  if (usable) idle_.push_back(std::move(worker));
}

absl::StatusOr<ParsedDocument> ParserPool::ParseWith(Worker* worker,
                                                     bool* usable,
                                                     const SourceFile& source) {
  const std::string& name = SourceName(source);
  ExchangeLimits limits;
  limits.cpu_time = options_.max_cpu_time;
  limits.wall_time = options_.max_wall_time;
  limits.reply_bytes = OutputLimit(source.content.size());
  std::string reply;
  *usable = false;
  switch (worker->process->Exchange(EncodeRequest(source), limits, &reply)) {
    case ExchangeOutcome::kReply:
      break;
    case ExchangeOutcome::kCpuTime:
      return absl::ResourceExhaustedError(absl::StrCat(
          name, ": reading it takes more than ",
          absl::FormatDuration(limits.cpu_time), " of processor time"));
    case ExchangeOutcome::kWallTime:
      return absl::ResourceExhaustedError(
          absl::StrCat(name, ": reading it takes more than ",
                       absl::FormatDuration(limits.wall_time)));
    case ExchangeOutcome::kReplySize:
      return OutputLimitError(name, source.content.size());
    case ExchangeOutcome::kDied: {
      const std::optional<int> status = worker->process->ExitStatus();
      if (status == kExitOutOfMemory) {
        return absl::ResourceExhaustedError(
            absl::StrCat(name, ": reading it needs more than ",
                         options_.max_memory_bytes >> 20, " MiB of memory"));
      }
      const std::string end = worker->process->DescribeEnd();
      if (status == kExitNoSandbox || status == kExitCannotLoad) {
        return absl::UnavailableError(absl::StrCat(
            name, ": the parser ", options_.executable, " does not run: ", end,
            " (its standard error says more)"));
      }
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": the parser ended on it: ", end));
    }
  }
  absl::StatusOr<ParsedDocument> parsed = absl::InternalError("");
  absl::Status status =
      DecodeReply(reply, name, source.content.size(), &parsed);
  if (!status.ok()) {
    return absl::InternalError(absl::StrCat(
        name, ": the parser's reply is not valid: ", status.message()));
  }
  *usable = true;
  if (!parsed.ok()) return parsed;
  AddSourceMetadata(source, &*parsed);
  return parsed;
}

absl::StatusOr<ParsedDocument> ParserPool::Parse(const SourceFile& source) {
  absl::StatusOr<Worker> worker = TakeWorker();
  if (!worker.ok()) return worker.status();
  bool usable = false;
  absl::StatusOr<ParsedDocument> parsed = ParseWith(&*worker, &usable, source);
  GiveBack(*std::move(worker), usable);
  return parsed;
}

}  // namespace braid::retrieval
