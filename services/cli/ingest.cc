// `braid ingest`: files, directories, globs and standard input.
#include <braid/v1/collection_service.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "services/cli/chunking_flags.h"
#include "services/cli/commands.h"
#include "services/cli/connection.h"
#include "services/cli/ingest_sources.h"
#include "services/cli/ingest_stream.h"
#include "services/cli/render.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

struct IngestOptions {
  std::vector<std::string> paths;
  std::string collection = "default";
  ChunkingFlags chunking;
  std::vector<std::string> metadata;
  std::string stdin_name = "stdin.txt";
  bool force = false;
  bool wait = false;
};

struct Counts {
  uint64_t created = 0;
  uint64_t replaced = 0;
  uint64_t unchanged = 0;
  uint64_t failed = 0;
  uint64_t chunks = 0;
  uint64_t last_sequence = 0;

  uint64_t stored() const { return created + replaced + unchanged; }
};

// Counts outcomes and reports each: as a JSON line, or failures on stderr.
// Thread-safe: the stream's reader and the sending thread both report.
class Outcomes {
 public:
  Outcomes(bool json, uint64_t expected)
      : json_(json), progress_("Ingesting", "documents", expected) {}

  void Acknowledge(const v1::IngestResponse& response) {
    absl::MutexLock lock(&mutex_);
    switch (response.outcome()) {
      case v1::IngestResponse::OUTCOME_CREATED:
        ++counts_.created;
        break;
      case v1::IngestResponse::OUTCOME_REPLACED:
        ++counts_.replaced;
        break;
      case v1::IngestResponse::OUTCOME_UNCHANGED:
        ++counts_.unchanged;
        break;
      default:
        FailLocked(response.document_id(),
                   FromGrpc(grpc::Status(
                       static_cast<grpc::StatusCode>(response.error().code()),
                       response.error().message(),
                       response.error().SerializeAsString())));
        return;
    }
    if (response.outcome() != v1::IngestResponse::OUTCOME_UNCHANGED) {
      counts_.chunks += response.chunk_count();
    }
    counts_.last_sequence =
        std::max<uint64_t>(counts_.last_sequence, response.sequence());
    if (json_) {
      PrintJsonLine({{"document_id", response.document_id()},
                     {"outcome", EnumSuffix(v1::IngestResponse::Outcome_Name(
                                                response.outcome()),
                                            "OUTCOME_")},
                     {"version", response.version()},
                     {"sequence", response.sequence()},
                     {"chunks", response.chunk_count()}});
    }
    progress_.Update(counts_.stored() + counts_.failed);
  }

  void Fail(const std::string& origin, const absl::Status& error) {
    absl::MutexLock lock(&mutex_);
    FailLocked(origin, error);
  }

  Counts counts() const {
    absl::MutexLock lock(&mutex_);
    return counts_;
  }
  void Finish() {
    absl::MutexLock lock(&mutex_);
    progress_.Finish();
  }

 private:
  void FailLocked(const std::string& origin, const absl::Status& error)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++counts_.failed;
    const std::string code = absl::StatusCodeToString(error.code());
    if (json_) {
      PrintJsonLine(
          {{"document_id", origin},
           {"outcome", "failed"},
           {"error",
            {{"code", code}, {"message", std::string(error.message())}}}});
    } else {
      progress_.Clear();
      std::fprintf(stderr, "braid: %s: %s: %s\n",
                   PrintableText(origin, false).c_str(), code.c_str(),
                   PrintableText(error.message(), true).c_str());
    }
    progress_.Update(counts_.stored() + counts_.failed);
  }

  const bool json_;
  mutable absl::Mutex mutex_;
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  Progress progress_ ABSL_GUARDED_BY(mutex_);
};

// Creates the collection as the flags say; if it is there, they must agree with
// it, for a collection keeps the way of cutting it was created with.
absl::Status PrepareCollection(const IngestOptions& options,
                               const Context& context,
                               v1::CollectionService::Stub& stub) {
  if (!options.chunking.given()) return absl::OkStatus();
  v1::CreateCollectionRequest create;
  const std::string name = CollectionName(options.collection);
  create.set_collection_id(name.substr(name.find('/') + 1));
  create.set_language(options.chunking.language);
  *create.mutable_chunking() = options.chunking.ToProto();
  v1::CreateCollectionResponse created;
  Call create_call(context);
  const absl::Status status =
      FromGrpc(stub.CreateCollection(create_call.get(), create, &created));
  if (!absl::IsAlreadyExists(status)) return status;
  v1::GetCollectionRequest get;
  get.set_name(name);
  v1::GetCollectionResponse there;
  Call get_call(context);
  const absl::Status got =
      FromGrpc(stub.GetCollection(get_call.get(), get, &there));
  if (!got.ok() || options.chunking.Matches(there.collection())) return got;
  return absl::FailedPreconditionError(absl::StrCat(
      name,
      " was created with another chunking or language: leave the flags "
      "out, or use another collection"));
}

// Blocks until searches see `sequence`.
absl::Status WaitUntilVisible(const std::string& collection, uint64_t sequence,
                              const Context& context,
                              v1::CollectionService::Stub& stub) {
  v1::GetCollectionRequest request;
  request.set_name(CollectionName(collection));
  for (;;) {
    v1::GetCollectionResponse response;
    Call call(context);
    const absl::Status status =
        FromGrpc(stub.GetCollection(call.get(), request, &response));
    if (!status.ok()) return status;
    if (response.collection().visible_sequence() >= sequence) return status;
    if (context.signals->stopped()) return absl::CancelledError("interrupted");
    absl::SleepFor(absl::Milliseconds(20));
  }
}

struct RunResult {
  absl::Status status;  // of the stream, or of waiting
  uint64_t unacknowledged = 0;
  absl::Duration elapsed;
};

RunResult SendAll(const IngestOptions& options, const Context& context,
                  const IngestSources& sources, const SourceOptions& source,
                  const Connection& connection, Outcomes* outcomes) {
  const absl::Time start = absl::Now();
  const auto documents = v1::DocumentService::NewStub(connection.channel());
  grpc::ClientContext call;
  IngestStream stream(documents.get(), &call,
                      [outcomes](const v1::IngestResponse& response) {
                        outcomes->Acknowledge(response);
                      });
  bool first = true;
  sources.ForEach(source, [&](const std::string& origin,
                              absl::StatusOr<v1::IngestRequest> request) {
    if (context.signals->stopped()) return false;
    if (!request.ok()) {
      outcomes->Fail(origin, request.status());
      return true;
    }
    // The server keeps the collection of the first request.
    if (first) request->set_collection(CollectionName(options.collection));
    first = false;
    request->set_force(options.force);
    return stream.Send(*std::move(request));
  });
  RunResult result;
  result.status = stream.Finish();
  result.unacknowledged = stream.unacknowledged();
  if (result.status.ok() && options.wait && !context.signals->stopped()) {
    const auto collections =
        v1::CollectionService::NewStub(connection.channel());
    const uint64_t sequence = outcomes->counts().last_sequence;
    if (sequence > 0) {
      result.status =
          WaitUntilVisible(options.collection, sequence, context, *collections);
    }
  }
  result.elapsed = absl::Now() - start;
  return result;
}

void PrintSummary(const IngestOptions& options, const Context& context,
                  const Counts& counts, const RunResult& result) {
  const double seconds = absl::ToDoubleSeconds(result.elapsed);
  const double rate =
      seconds > 0 ? static_cast<double>(counts.stored()) / seconds : 0;
  if (context.options.json) {
    PrintJsonLine({{"collection", CollectionName(options.collection)},
                   {"created", counts.created},
                   {"replaced", counts.replaced},
                   {"unchanged", counts.unchanged},
                   {"failed", counts.failed},
                   {"unacknowledged", result.unacknowledged},
                   {"chunks", counts.chunks},
                   {"last_sequence", counts.last_sequence},
                   {"elapsed_seconds", seconds},
                   {"documents_per_second", rate},
                   {"interrupted", context.signals->stopped()}});
    return;
  }
  std::printf(
      "%llu created, %llu replaced, %llu unchanged, %llu failed; %llu chunks; "
      "%.2f s, %.1f documents/s\n",
      static_cast<unsigned long long>(counts.created),
      static_cast<unsigned long long>(counts.replaced),
      static_cast<unsigned long long>(counts.unchanged),
      static_cast<unsigned long long>(counts.failed),
      static_cast<unsigned long long>(counts.chunks), seconds, rate);
  if (result.unacknowledged > 0) {
    std::fprintf(stderr, "braid: %llu documents were sent but not answered\n",
                 static_cast<unsigned long long>(result.unacknowledged));
  }
}

ExitCode RunIngest(const IngestOptions& options, const Context& context) {
  SourceOptions source;
  source.stdin_name = options.stdin_name;
  absl::StatusOr<google::protobuf::Struct> metadata =
      ParseMetadata(options.metadata);
  if (!metadata.ok()) return ReportError(metadata.status());
  source.metadata = *std::move(metadata);
  const IngestSources sources(options.paths);

  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connection::Open(context);
  if (!connection.ok()) return ReportError(connection.status());
  const auto collections =
      v1::CollectionService::NewStub((*connection)->channel());
  const absl::Status prepared =
      PrepareCollection(options, context, *collections);
  if (!prepared.ok()) return ReportError(prepared);

  Outcomes outcomes(context.options.json,
                    sources.one_document_per_file() ? sources.file_count() : 0);
  const RunResult result =
      SendAll(options, context, sources, source, **connection, &outcomes);
  outcomes.Finish();
  const Counts counts = outcomes.counts();
  PrintSummary(options, context, counts, result);
  if (context.signals->stopped()) return kExitInterrupted;
  if (!result.status.ok()) return ReportError(result.status);
  if (counts.failed == 0) return kExitOk;
  return counts.stored() > 0 ? kExitPartlyFailed : kExitFailure;
}

}  // namespace

void AddIngest(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "ingest",
      "Store and index documents: PDF, Word, HTML, Markdown, mail, books, "
      "sheets, text; JSON lines with one document a line");
  auto options = std::make_shared<IngestOptions>();
  verb->add_option("paths", options->paths,
                   "Files, directories, globs, or - for standard input")
      ->required();
  verb->add_option("--collection", options->collection,
                   "Collection; created if it is not there")
      ->capture_default_str();
  options->chunking.Add(verb);
  verb->add_option("--metadata", options->metadata,
                   "Metadata added to every document: KEY=VALUE; may be given "
                   "several times")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  verb->add_option("--stdin-name", options->stdin_name,
                   "File name that standard input goes by; ending in .jsonl, "
                   "every line is a document")
      ->capture_default_str();
  verb->add_flag("--force", options->force,
                 "Write documents again even if they are unchanged");
  verb->add_flag("--wait", options->wait,
                 "Return when searches see everything that was stored");
  AddConnectionFlags(verb, common);
  verb->callback([options, action] {
    *action = [options](const Context& context) {
      return RunIngest(*options, context);
    };
  });
}

}  // namespace braid::services::cli
