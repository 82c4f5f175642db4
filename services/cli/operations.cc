// `braid operations list|get|watch|cancel`.
#include <braid/v1/operation_service.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/cli/commands.h"
#include "services/cli/connection.h"
#include "services/cli/render.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

using Stub = v1::OperationService::Stub;

struct OperationOptions {
  std::string id;
  std::string kind;
  std::string state;
  std::string collection;
  int limit = 0;  // 0: all
};

// `delete_documents` -> KIND_DELETE_DOCUMENTS. The flag allows nothing else.
template <typename Enum, typename ParseName>
Enum FromFlag(absl::string_view prefix, const std::string& flag,
              ParseName parse) {
  Enum value{};
  if (!flag.empty()) {
    parse(absl::StrCat(prefix, absl::AsciiStrToUpper(flag)), &value);
  }
  return value;
}

std::string OperationName(const std::string& id) {
  return absl::StartsWith(id, "operations/") ? id
                                             : absl::StrCat("operations/", id);
}

std::string ProgressText(const Json& progress) {
  std::string text = progress["done"].dump();
  if (!progress["total"].is_null()) {
    absl::StrAppend(&text, " of ", progress["total"].dump());
  }
  absl::StrAppend(&text, " ", progress["unit"].get<std::string>());
  if (progress["failed"] != 0) {
    absl::StrAppend(&text, ", ", progress["failed"].dump(), " failed");
  }
  return text;
}

void PrintOperations(const std::vector<Json>& operations) {
  std::vector<std::vector<std::string>> rows = {
      {"operation", "kind", "state", "started", "progress", "collection"}};
  for (const Json& operation : operations) {
    std::string state = operation["state"];
    if (state == "running" && operation["cancel_requested"].get<bool>()) {
      state = "stopping";
    }
    rows.push_back(
        {operation["name"], operation["kind"], state, operation["start_time"],
         ProgressText(operation["progress"]), operation["collection"]});
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
  for (const Json& operation : operations) {
    if (operation["error"].is_null()) continue;
    const std::string message = operation["error"]["message"];
    std::printf("%s: %s\n", operation["name"].get<std::string>().c_str(),
                PrintableText(message, false).c_str());
  }
}

void PrintOne(const v1::Operation& operation, const Context& context) {
  if (context.options.json) {
    PrintJsonLine(ToJson(operation));
  } else {
    PrintOperations({ToJson(operation)});
  }
}

absl::Status List(const OperationOptions& options, const Context& context,
                  Stub& stub) {
  v1::ListOperationsRequest request;
  request.set_page_size(1000);
  request.set_kind(FromFlag<v1::Operation::Kind>("KIND_", options.kind,
                                                 v1::Operation::Kind_Parse));
  request.set_state(FromFlag<v1::Operation::State>("STATE_", options.state,
                                                   v1::Operation::State_Parse));
  if (!options.collection.empty()) {
    request.set_collection(CollectionName(options.collection));
  }
  const auto full = [&](size_t count) {
    return options.limit > 0 && count >= static_cast<size_t>(options.limit);
  };
  std::vector<Json> operations;
  do {
    v1::ListOperationsResponse response;
    Call call(context);
    const absl::Status status =
        FromGrpc(stub.ListOperations(call.get(), request, &response));
    if (!status.ok()) return status;
    for (const v1::Operation& operation : response.operations()) {
      if (full(operations.size())) break;
      operations.push_back(ToJson(operation));
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty() && !full(operations.size()));
  if (!context.options.json) {
    PrintOperations(operations);
    return absl::OkStatus();
  }
  for (const Json& operation : operations) PrintJsonLine(operation);
  PrintJsonLine({{"count", operations.size()}});
  return absl::OkStatus();
}

absl::Status Get(const OperationOptions& options, const Context& context,
                 Stub& stub) {
  v1::GetOperationRequest request;
  request.set_name(OperationName(options.id));
  v1::GetOperationResponse response;
  Call call(context);
  const absl::Status status =
      FromGrpc(stub.GetOperation(call.get(), request, &response));
  if (status.ok()) PrintOne(response.operation(), context);
  return status;
}

// With --json every change is a line; otherwise progress is shown on stderr.
absl::Status Watch(const OperationOptions& options, const Context& context,
                   Stub& stub) {
  v1::WatchOperationRequest request;
  request.set_name(OperationName(options.id));
  Call call(context);
  const auto stream = stub.WatchOperation(call.get(), request);
  std::unique_ptr<Progress> progress;
  v1::WatchOperationResponse response;
  while (stream->Read(&response)) {
    const v1::OperationProgress& now = response.operation().progress();
    if (context.options.json) {
      PrintJsonLine(ToJson(response.operation()));
    } else {
      if (progress == nullptr) {
        progress = std::make_unique<Progress>(request.name(), now.unit(), 0);
      }
      progress->set_total(now.total());
      progress->Update(now.done());
    }
  }
  progress.reset();
  const absl::Status status = FromGrpc(stream->Finish());
  if (!status.ok()) return status;
  if (!context.options.json) PrintOne(response.operation(), context);
  if (response.operation().state() == v1::Operation::STATE_SUCCEEDED) {
    return status;
  }
  // How it ended is what the caller waits for.
  return absl::AbortedError(absl::StrCat(
      "the operation ended with ", response.operation().error().message()));
}

absl::Status Cancel(const OperationOptions& options, const Context& context,
                    Stub& stub) {
  v1::CancelOperationRequest request;
  request.set_name(OperationName(options.id));
  v1::CancelOperationResponse response;
  Call call(context);
  const absl::Status status =
      FromGrpc(stub.CancelOperation(call.get(), request, &response));
  if (status.ok()) PrintOne(response.operation(), context);
  return status;
}

using Verb = absl::Status (*)(const OperationOptions&, const Context&, Stub&);

void Register(CLI::App* verb, std::shared_ptr<OperationOptions> options,
              CommonOptions* common, Action* action, Verb run) {
  AddServerFlags(verb, common);
  verb->callback([options, action, run] {
    *action = [options, run](const Context& context) -> ExitCode {
      absl::StatusOr<std::unique_ptr<Connection>> connection =
          Connection::Open(context);
      if (!connection.ok()) return ReportError(connection.status());
      const auto stub = v1::OperationService::NewStub((*connection)->channel());
      const absl::Status status = run(*options, context, *stub);
      return status.ok() ? kExitOk : ReportError(status);
    };
  });
}

}  // namespace

void AddOperations(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "operations", "Look at a server's long-running calls, and stop them");
  verb->require_subcommand(1);
  auto options = std::make_shared<OperationOptions>();

  CLI::App* list = verb->add_subcommand(
      "list", "List the operations that run and the last that have ended");
  list->add_option("--kind", options->kind, "Only of this kind")
      ->check(CLI::IsMember({"ingest", "delete_documents", "verify", "backup"}))
      ->type_name("KIND");
  list->add_option("--state", options->state, "Only in this state")
      ->check(CLI::IsMember({"running", "succeeded", "failed", "cancelled"}))
      ->type_name("STATE");
  list->add_option("--collection", options->collection,
                   "Only of this collection");
  list->add_option("--limit", options->limit, "At most so many (default: all)")
      ->check(CLI::PositiveNumber);
  Register(list, options, common, action, List);

  const auto add = [&](const char* name, const char* help, Verb run) {
    CLI::App* one = verb->add_subcommand(name, help);
    one->add_option("operation", options->id, "Operation, as `list` names it")
        ->required();
    Register(one, options, common, action, run);
  };
  add("get", "Show one operation", Get);
  add("watch",
      "Follow an operation to its end; exits with 1 unless it succeeds", Watch);
  add("cancel", "Ask an operation to stop; what it has done stays done",
      Cancel);
}

}  // namespace braid::services::cli
