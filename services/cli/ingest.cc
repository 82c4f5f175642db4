// `braid ingest`: files, directories, globs and standard input.
#include <braid/v1/collection_service.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/cli/chunking_flags.h"
#include "services/cli/commands.h"
#include "services/cli/connection.h"
#include "services/cli/file_watch.h"
#include "services/cli/ingest_outcomes.h"
#include "services/cli/ingest_sources.h"
#include "services/cli/ingest_stream.h"
#include "services/cli/render.h"
#include "services/cli/stored_documents.h"

namespace braid::services::cli {
namespace {

// --wait gives up when indexing has failed for so long.
constexpr std::chrono::seconds kIndexingMayFail(10);

struct IngestOptions {
  std::vector<std::string> paths;
  std::string collection = "default";
  ChunkingFlags chunking;
  std::vector<std::string> metadata;
  std::vector<std::string> readers;
  std::string stdin_name = "stdin.txt";
  std::string report;
  bool force = false;
  bool wait = false;
  bool sync = false;
  bool watch = false;
  bool dry_run = false;
  double watch_interval_seconds = 1.0;
};

// Creates the collection as the flags say; if it is there, they must agree with
// it, for a collection keeps the way of cutting it was created with.
absl::Status PrepareCollection(const IngestOptions& options,
                               const Context& context,
                               v1::CollectionService::Stub& stub) {
  if (!options.chunking.given()) return absl::OkStatus();
  const std::string name = CollectionName(options.collection);
  const v1::CreateCollectionRequest create =
      options.chunking.ToRequest(name.substr(name.find('/') + 1));
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
      " was created with another chunking or language, or without document "
      "access: leave the flags out, or use another collection"));
}

// One run of the verb, once its arguments are understood.
class Ingestion {
 public:
  Ingestion(const IngestOptions& options, const Context& context,
            const SourceOptions& source, const Connection& connection,
            IngestOutcomes* outcomes)
      : options_(options),
        context_(context),
        source_(source),
        outcomes_(*outcomes),
        documents_(v1::DocumentService::NewStub(connection.channel())),
        collections_(v1::CollectionService::NewStub(connection.channel())) {}

  // Writes what `sources` hold. What cannot be read or stored is an outcome of
  // its own; an error is that of the stream.
  absl::Status Send(const IngestSources& sources);
  // Says what Send and, with --sync, DeleteOthers would do.
  absl::Status Foresee(const IngestSources& sources);
  // Deletes the documents of the collection whose files are gone.
  absl::Status DeleteOthers(const IngestSources& sources);
  // Sends what changes, until a signal comes.
  absl::Status Watch(FileWatch* watch);
  // Blocks until searches see all that was stored.
  absl::Status WaitUntilVisible();

 private:
  absl::StatusOr<std::vector<std::string>> FindOthers(
      const IngestSources& sources);
  absl::Status Delete(const std::vector<std::string>& ids);
  // Adds what the flags say of every document.
  void Complete(v1::IngestRequest* request) const;
  bool stopped() const { return context_.signals->stopped(); }

  const IngestOptions& options_;
  const Context& context_;
  const SourceOptions& source_;
  IngestOutcomes& outcomes_;
  const std::unique_ptr<v1::DocumentService::Stub> documents_;
  const std::unique_ptr<v1::CollectionService::Stub> collections_;
};

void Ingestion::Complete(v1::IngestRequest* request) const {
  request->set_force(options_.force);
  request->mutable_readers()->Assign(options_.readers.begin(),
                                     options_.readers.end());
}

absl::Status Ingestion::Send(const IngestSources& sources) {
  grpc::ClientContext call;
  IngestStream stream(
      documents_.get(), &call,
      [this](const std::string& origin, const v1::IngestResponse& response) {
        outcomes_.Acknowledge(origin, response);
      });
  bool first = true;
  sources.ForEach(source_, [&](const std::string& origin,
                               absl::StatusOr<v1::IngestRequest> request) {
    if (stopped()) return false;
    if (!request.ok()) {
      outcomes_.FailToRead(origin, request.status());
      return true;
    }
    // The server keeps the collection of the first request.
    if (first) request->set_collection(CollectionName(options_.collection));
    first = false;
    Complete(&*request);
    return stream.Send(origin, *std::move(request));
  });
  const absl::Status status = stream.Finish();
  for (const std::string& origin : stream.unacknowledged()) {
    outcomes_.Unanswered(origin, status);
  }
  return status;
}

absl::Status Ingestion::Foresee(const IngestSources& sources) {
  const auto stored =
      StoredDocuments::List(options_.collection, context_, *documents_);
  if (!stored.ok()) return stored.status();
  sources.ForEach(source_, [&](const std::string& origin,
                               absl::StatusOr<v1::IngestRequest> request) {
    if (stopped()) return false;
    if (!request.ok()) {
      outcomes_.FailToRead(origin, request.status());
      return true;
    }
    Complete(&*request);
    outcomes_.Foresee(origin,
                      request->has_source() ? request->source().document_id()
                                            : request->document().document_id(),
                      stored->Foresee(*request));
    return true;
  });
  if (!options_.sync || stopped()) return absl::OkStatus();
  const auto others = FindOthers(sources);
  if (!others.ok()) return others.status();
  for (const std::string& id : *others) outcomes_.Delete(id, 0);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Ingestion::FindOthers(
    const IngestSources& sources) {
  if (!sources.errors().empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("--sync deletes nothing while ", sources.errors()[0].path,
                     " cannot be read"));
  }
  if (sources.files().empty()) {
    return absl::FailedPreconditionError(
        "--sync found no files at all: delete the collection if that is meant");
  }
  std::set<std::string> ids;
  for (const retrieval::FoundFile& file : sources.files()) {
    ids.insert(file.path == retrieval::kStdinPath ? options_.stdin_name
                                                  : file.document_id);
  }
  const auto stored =
      StoredDocuments::List(options_.collection, context_, *documents_);
  if (!stored.ok()) return stored.status();
  return stored->FilesBut(ids);
}

absl::Status Ingestion::DeleteOthers(const IngestSources& sources) {
  const auto others = FindOthers(sources);
  return others.ok() ? Delete(*others) : others.status();
}

absl::Status Ingestion::Delete(const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    if (stopped()) break;
    v1::DeleteDocumentRequest request;
    request.set_name(DocumentName(options_.collection, id));
    request.set_allow_missing(true);
    v1::DeleteDocumentResponse response;
    Call call(context_);
    const absl::Status status =
        FromGrpc(documents_->DeleteDocument(call.get(), request, &response));
    if (!status.ok()) return status;
    if (response.sequence() != 0) outcomes_.Delete(id, response.sequence());
  }
  return absl::OkStatus();
}

absl::Status Ingestion::Watch(FileWatch* watch) {
  const absl::Duration interval =
      absl::Seconds(options_.watch_interval_seconds);
  std::mutex mutex;
  std::condition_variable_any never;
  std::vector<std::string> to_delete;
  while (true) {
    std::unique_lock<std::mutex> lock(mutex);
    never.wait_for(lock, context_.signals->token(),
                   absl::ToChronoMilliseconds(interval), [] { return false; });
    if (stopped()) return absl::OkStatus();
    const FileWatch::Changes changes = watch->Look();
    absl::Status status;
    if (!changes.changed.empty()) {
      IngestSources sources(options_.paths);
      sources.KeepOnly(changes.changed);
      status = Send(sources);
    }
    if (options_.sync) {
      to_delete.insert(to_delete.end(), changes.disappeared.begin(),
                       changes.disappeared.end());
    }
    std::erase_if(to_delete,
                  [&](const std::string& id) { return watch->Has(id); });
    if (status.ok() && !to_delete.empty()) {
      status = Delete(to_delete);
      if (status.ok()) to_delete.clear();
    }
    if (status.ok()) continue;
    // The server may be back in a moment: what was not stored stays to be done.
    // Writing a document again that was stored already changes nothing.
    watch->Forget(changes.changed);
    if (!absl::IsUnavailable(status)) return status;
    ReportError(status);
  }
}

absl::Status Ingestion::WaitUntilVisible() {
  const uint64_t sequence = outcomes_.counts().last_sequence;
  using Clock = std::chrono::steady_clock;
  Clock::time_point worked = Clock::now();
  v1::GetCollectionRequest request;
  request.set_name(CollectionName(options_.collection));
  while (sequence > 0) {
    v1::GetCollectionResponse response;
    Call call(context_);
    const absl::Status status =
        FromGrpc(collections_->GetCollection(call.get(), request, &response));
    if (!status.ok()) return status;
    if (response.collection().visible_sequence() >= sequence) return status;
    if (stopped()) return absl::CancelledError("interrupted");
    // It may pass, as a merge that needs room for a moment does.
    const std::string& error = response.collection().index_error();
    if (error.empty()) {
      worked = Clock::now();
    } else if (Clock::now() - worked >= kIndexingMayFail) {
      return absl::FailedPreconditionError(absl::StrCat(
          "all is stored, but indexing fails, and goes on trying: ", error));
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  return absl::OkStatus();
}

void PrintSummary(const IngestOptions& options, const Context& context,
                  const IngestCounts& counts, bool interrupted,
                  absl::Duration elapsed) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  const double rate =
      seconds > 0 ? static_cast<double>(counts.stored()) / seconds : 0;
  if (context.options.json) {
    PrintJsonLine({{"collection", CollectionName(options.collection)},
                   {"dry_run", options.dry_run},
                   {"created", counts.created},
                   {"replaced", counts.replaced},
                   {"unchanged", counts.unchanged},
                   {"deleted", counts.deleted},
                   {"failed", counts.failed},
                   {"unacknowledged", counts.unanswered},
                   {"chunks", counts.chunks},
                   {"last_sequence", counts.last_sequence},
                   {"elapsed_seconds", seconds},
                   {"documents_per_second", rate},
                   {"interrupted", interrupted}});
    return;
  }
  std::printf(
      "%s%llu created, %llu replaced, %llu unchanged, %llu deleted, %llu "
      "failed; %llu chunks; %.2f s, %.1f documents/s\n",
      options.dry_run ? "It would be: " : "",
      static_cast<unsigned long long>(counts.created),
      static_cast<unsigned long long>(counts.replaced),
      static_cast<unsigned long long>(counts.unchanged),
      static_cast<unsigned long long>(counts.deleted),
      static_cast<unsigned long long>(counts.failed),
      static_cast<unsigned long long>(counts.chunks), seconds, rate);
  if (counts.unanswered > 0) {
    std::fprintf(stderr, "braid: %llu documents were sent but not answered\n",
                 static_cast<unsigned long long>(counts.unanswered));
  }
}

ExitCode RunIngest(const IngestOptions& options, const Context& context) {
  SourceOptions source;
  source.stdin_name = options.stdin_name;
  absl::StatusOr<google::protobuf::Struct> metadata =
      ParseMetadata("--metadata", options.metadata);
  if (!metadata.ok()) return ReportError(metadata.status());
  source.metadata = *std::move(metadata);
  auto outcomes = IngestOutcomes::Create(context.options.json, options.report);
  if (!outcomes.ok()) return ReportError(outcomes.status());
  // Looks before anything is read: what changes from now on is noticed.
  std::optional<FileWatch> watch;
  if (options.watch) watch.emplace(options.paths);
  const IngestSources sources(options.paths);
  if (sources.one_document_per_file()) {
    (*outcomes)->Expect(sources.file_count());
  }

  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connection::Open(context);
  if (!connection.ok()) return ReportError(connection.status());
  if (!options.dry_run) {
    const auto collections =
        v1::CollectionService::NewStub((*connection)->channel());
    const absl::Status prepared =
        PrepareCollection(options, context, *collections);
    if (!prepared.ok()) return ReportError(prepared);
  }

  const absl::Time start = absl::Now();
  Ingestion ingestion(options, context, source, **connection, outcomes->get());
  absl::Status status =
      options.dry_run ? ingestion.Foresee(sources) : ingestion.Send(sources);
  const auto go_on = [&] { return status.ok() && !context.signals->stopped(); };
  if (go_on() && options.sync && !options.dry_run) {
    status = ingestion.DeleteOthers(sources);
  }
  if (go_on() && options.wait) status = ingestion.WaitUntilVisible();
  const bool interrupted = context.signals->stopped();
  if (go_on() && watch.has_value()) status = ingestion.Watch(&*watch);
  (*outcomes)->Finish();
  const IngestCounts counts = (*outcomes)->counts();
  PrintSummary(options, context, counts, interrupted, absl::Now() - start);
  if (interrupted) return kExitInterrupted;
  if (!status.ok()) return ReportError(status);
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
      ->type_name("PATH")
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
  verb->add_option("--reader", options->readers,
                   "Who may read the documents, in a collection made with "
                   "--document-access: key:NAME, jwt:SUBJECT, "
                   "certificate:NAME, group:NAME, anonymous, or * for whoever "
                   "may read the collection; may be given several times. "
                   "Without it only those who may write to the collection "
                   "see them")
      ->type_name("NAME")
      ->allow_extra_args(false);
  verb->add_option("--stdin-name", options->stdin_name,
                   "File name that standard input goes by; ending in .jsonl, "
                   "every line is a document")
      ->capture_default_str();
  verb->add_flag("--force", options->force,
                 "Write documents again even if they are unchanged");
  verb->add_flag(
      "--wait", options->wait,
      "Return when searches see everything that was stored; fail when "
      "indexing has failed for 10 seconds");
  verb->add_option("--report", options->report,
                   "Write a JSON line for every document to this file: path, "
                   "outcome, and the stage and error of those that failed")
      ->type_name("FILE");
  CLI::Option* dry_run =
      verb->add_flag("--dry-run", options->dry_run,
                     "Only say what would be created, replaced and deleted");
  verb->add_flag("--sync", options->sync,
                 "Delete the collection's documents whose files are none of "
                 "the paths any more (rows of JSONL files stay)");
  verb->add_flag("--watch", options->watch,
                 "Go on ingesting what changes, until interrupted; with --sync "
                 "also delete what disappears")
      ->excludes(dry_run);
  verb->add_option("--watch-interval", options->watch_interval_seconds,
                   "Seconds between two looks at the files")
      ->check(CLI::Range(0.01, 86400.0))
      ->capture_default_str();
  AddConnectionFlags(verb, common);
  verb->callback([options, action] {
    *action = [options](const Context& context) {
      return RunIngest(*options, context);
    };
  });
}

}  // namespace braid::services::cli
