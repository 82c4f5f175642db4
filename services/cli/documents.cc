// `braid documents list|get|patch|delete`.
#include <braid/v1/document_service.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/cli/commands.h"
#include "services/cli/connection.h"
#include "services/cli/ingest_sources.h"
#include "services/cli/render.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

using Stub = v1::DocumentService::Stub;

struct DocumentOptions {
  std::string collection = "default";
  std::vector<std::string> ids;
  std::string filter;
  int limit = 0;         // 0: all
  uint64_t version = 0;  // 0: as it is
  uint64_t as_of = 0;    // 0: as it is
  bool chunks = false;
  bool allow_missing = false;
  bool dry_run = false;
  std::vector<std::string> set;  // KEY=VALUE
  std::vector<std::string> unset;
  std::vector<std::string> readers;
  bool no_readers = false;
};

// As `braid documents list` shows it: nothing where none are told.
std::string ReadersOf(const v1::Document& document) {
  if (document.readers().empty()) return "";
  return absl::StrCat(
      "  [", PrintableText(absl::StrJoin(document.readers(), ", "), false),
      "]");
}

absl::Status List(const DocumentOptions& options, const Context& context,
                  Stub& stub) {
  uint64_t count = 0;
  v1::ListDocumentsRequest request;
  request.set_parent(CollectionName(options.collection));
  request.set_filter(options.filter);
  request.set_as_of_sequence(options.as_of);
  request.set_page_size(1000);
  if (!context.options.json) std::printf("version  chunks  document\n");
  do {
    v1::ListDocumentsResponse response;
    Call call(context);
    const absl::Status status =
        FromGrpc(stub.ListDocuments(call.get(), request, &response));
    if (!status.ok()) return status;
    for (const v1::Document& document : response.documents()) {
      if (options.limit > 0 && count >= static_cast<uint64_t>(options.limit)) {
        break;
      }
      ++count;
      if (context.options.json) {
        PrintJsonLine(ToJson(document));
      } else {
        std::printf("%7llu  %6u  %s%s\n",
                    static_cast<unsigned long long>(document.version()),
                    document.chunk_count(),
                    PrintableText(document.document_id(), false).c_str(),
                    ReadersOf(document).c_str());
      }
    }
    request.set_page_token(response.next_page_token());
  } while (
      !request.page_token().empty() &&
      (options.limit == 0 || count < static_cast<uint64_t>(options.limit)));
  if (context.options.json) {
    PrintJsonLine({{"collection", request.parent()}, {"count", count}});
  }
  return absl::OkStatus();
}

absl::Status Get(const DocumentOptions& options, const Context& context,
                 Stub& stub) {
  v1::GetDocumentRequest request;
  request.set_name(DocumentName(options.collection, options.ids.front()));
  request.set_include_chunks(options.chunks);
  request.set_version(options.version);
  request.set_as_of_sequence(options.as_of);
  v1::GetDocumentResponse response;
  Call call(context);
  const absl::Status status =
      FromGrpc(stub.GetDocument(call.get(), request, &response));
  if (!status.ok()) return status;
  if (!context.options.json) {
    // The text alone: what citations count their bytes in.
    std::fwrite(response.document().text().data(), 1,
                response.document().text().size(), stdout);
    return status;
  }
  Json json = ToJson(response.document());
  json["text"] = response.document().text();
  if (options.chunks) {
    json["chunks"] = Json::array();
    for (const v1::Chunk& chunk : response.chunks()) {
      json["chunks"].push_back(ToJson(chunk));
    }
  }
  PrintJsonLine(json);
  return status;
}

// `--set` and `--unset` as the merge patch of PatchDocument.
absl::StatusOr<google::protobuf::Struct> ToPatch(
    const DocumentOptions& options) {
  auto patch = ParseMetadata("--set", options.set);
  if (!patch.ok()) return patch.status();
  for (const std::string& key : options.unset) {
    (*patch->mutable_fields())[key].set_null_value(
        google::protobuf::NULL_VALUE);
  }
  return patch;
}

absl::Status Patch(const DocumentOptions& options, const Context& context,
                   Stub& stub) {
  const auto patch = ToPatch(options);
  if (!patch.ok()) return patch.status();
  for (const std::string& id : options.ids) {
    v1::PatchDocumentRequest request;
    request.set_name(DocumentName(options.collection, id));
    *request.mutable_metadata() = *patch;
    if (options.no_readers || !options.readers.empty()) {
      request.mutable_readers()->mutable_names()->Assign(
          options.readers.begin(), options.readers.end());
    }
    v1::PatchDocumentResponse response;
    Call call(context);
    const absl::Status status =
        FromGrpc(stub.PatchDocument(call.get(), request, &response));
    if (!status.ok()) return status;
    if (context.options.json) {
      Json json = ToJson(response.document());
      json["patch_sequence"] = response.sequence();
      PrintJsonLine(json);
    } else {
      std::printf("Patched %s\n", PrintableText(request.name(), false).c_str());
    }
  }
  return absl::OkStatus();
}

absl::Status DeleteMatching(const DocumentOptions& options,
                            const Context& context, Stub& stub) {
  v1::DeleteDocumentsRequest request;
  request.set_parent(CollectionName(options.collection));
  request.set_filter(options.filter);
  request.set_validate_only(options.dry_run);
  uint64_t count = 0;
  uint64_t sequence = 0;
  do {
    v1::DeleteDocumentsResponse response;
    Call call(context);
    const absl::Status status =
        FromGrpc(stub.DeleteDocuments(call.get(), request, &response));
    if (!status.ok()) return status;
    count += response.deleted_count();
    sequence = std::max(sequence, response.sequence());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  if (context.options.json) {
    PrintJsonLine({{"collection", request.parent()},
                   {"dry_run", options.dry_run},
                   {"deleted", count},
                   {"sequence", sequence}});
  } else {
    std::printf("%s %llu documents of %s\n",
                options.dry_run ? "Would delete" : "Deleted",
                static_cast<unsigned long long>(count),
                PrintableText(request.parent(), false).c_str());
  }
  return absl::OkStatus();
}

absl::Status Delete(const DocumentOptions& options, const Context& context,
                    Stub& stub) {
  if (options.ids.empty() == options.filter.empty()) {
    return absl::InvalidArgumentError(
        "delete needs either document ids or --filter");
  }
  if (!options.filter.empty()) return DeleteMatching(options, context, stub);
  if (options.dry_run) {
    return absl::InvalidArgumentError("--dry-run goes with --filter");
  }
  for (const std::string& id : options.ids) {
    v1::DeleteDocumentRequest request;
    request.set_name(DocumentName(options.collection, id));
    request.set_allow_missing(options.allow_missing);
    v1::DeleteDocumentResponse response;
    Call call(context);
    const absl::Status status =
        FromGrpc(stub.DeleteDocument(call.get(), request, &response));
    if (!status.ok()) return status;
    if (context.options.json) {
      PrintJsonLine({{"name", request.name()},
                     {"deleted", response.sequence() != 0},
                     {"sequence", response.sequence()}});
    } else {
      std::printf("%s %s\n",
                  response.sequence() != 0 ? "Deleted" : "Was not there:",
                  PrintableText(request.name(), false).c_str());
    }
  }
  return absl::OkStatus();
}

using Operation = absl::Status (*)(const DocumentOptions&, const Context&,
                                   Stub&);

void Register(CLI::App* verb, std::shared_ptr<DocumentOptions> options,
              CommonOptions* common, Action* action, Operation operation) {
  verb->add_option("--collection", options->collection, "Collection")
      ->capture_default_str();
  AddConnectionFlags(verb, common);
  verb->callback([options, action, operation] {
    *action = [options, operation](const Context& context) -> ExitCode {
      absl::StatusOr<std::unique_ptr<Connection>> connection =
          Connection::Open(context);
      if (!connection.ok()) return ReportError(connection.status());
      const auto stub = v1::DocumentService::NewStub((*connection)->channel());
      const absl::Status status = operation(*options, context, *stub);
      return status.ok() ? kExitOk : ReportError(status);
    };
  });
}

}  // namespace

void AddDocuments(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand("documents", "Look at stored documents");
  verb->require_subcommand(1);
  auto options = std::make_shared<DocumentOptions>();

  CLI::App* list = verb->add_subcommand("list", "List documents by id");
  list->add_option("--filter", options->filter,
                   "AIP-160 filter over the metadata");
  list->add_option("--limit", options->limit, "At most so many (default: all)")
      ->check(CLI::PositiveNumber);
  const auto add_as_of = [&](CLI::App* one, const char* help) {
    return one->add_option("--as-of", options->as_of, help)
        ->type_name("SEQUENCE")
        ->check(CLI::PositiveNumber);
  };
  add_as_of(list, "The documents as they were after this write");
  Register(list, options, common, action, List);

  CLI::App* get = verb->add_subcommand(
      "get", "Print a document's stored text; everything with --json");
  get->add_option("document", options->ids, "Document id")
      ->required()
      ->expected(1);
  get->add_flag("--chunks", options->chunks, "With --json: its chunks too");
  CLI::Option* as_of =
      add_as_of(get, "The document as it was after this write");
  get->add_option("--version", options->version,
                  "This version of it, such as a citation names")
      ->type_name("VERSION")
      ->check(CLI::PositiveNumber)
      ->excludes(as_of);
  Register(get, options, common, action, Get);

  CLI::App* patch = verb->add_subcommand(
      "patch", "Change metadata or readers; text, chunks and version stay");
  patch->add_option("documents", options->ids, "Document ids")->required();
  patch
      ->add_option("--set", options->set,
                   "Field to set, as --metadata of `braid ingest` takes it: "
                   "given again it makes a list")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  patch->add_option("--unset", options->unset, "Field to remove")
      ->type_name("KEY")
      ->allow_extra_args(false);
  CLI::Option* readers =
      patch
          ->add_option("--reader", options->readers,
                       "Who may read it from now on, as --reader of `braid "
                       "ingest`, in place of those who may; may be given "
                       "several times")
          ->type_name("NAME")
          ->allow_extra_args(false);
  patch
      ->add_flag("--no-readers", options->no_readers,
                 "Only those who may write to the collection see it")
      ->excludes(readers);
  Register(patch, options, common, action, Patch);

  CLI::App* remove = verb->add_subcommand(
      "delete", "Delete documents, by id or by a filter over the metadata");
  remove->add_option("documents", options->ids, "Document ids");
  remove->add_option("--filter", options->filter,
                     "AIP-160 filter: delete all documents that match");
  remove->add_flag("--dry-run", options->dry_run,
                   "With --filter: only say how many");
  remove->add_flag("--allow-missing", options->allow_missing,
                   "Succeed for documents that are not there");
  Register(remove, options, common, action, Delete);
}

}  // namespace braid::services::cli
