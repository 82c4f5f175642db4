// `braid collections list|create|get|delete`.
#include <braid/v1/collection_service.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "services/cli/chunking_flags.h"
#include "services/cli/commands.h"
#include "services/cli/connection.h"
#include "services/cli/render.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

using Stub = v1::CollectionService::Stub;

void PrintCollections(const Json& collections) {
  std::vector<std::vector<std::string>> rows = {
      {"name", "documents", "chunks", "chunking", "language", "access",
       "sequence", "visible"}};
  for (const Json& collection : collections) {
    rows.push_back(
        {collection["name"].get<std::string>(),
         collection["document_count"].dump(), collection["chunk_count"].dump(),
         collection["chunking"]["strategy"].get<std::string>(),
         collection["language"].get<std::string>(),
         collection["document_access"].get<bool>() ? "document" : "collection",
         collection["last_sequence"].dump(),
         collection["visible_sequence"].dump()});
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
}

absl::Status List(const Context& context, Stub& stub) {
  Json collections = Json::array();
  v1::ListCollectionsRequest request;
  do {
    v1::ListCollectionsResponse response;
    Call call(context);
    const absl::Status status =
        FromGrpc(stub.ListCollections(call.get(), request, &response));
    if (!status.ok()) return status;
    for (const v1::Collection& collection : response.collections()) {
      collections.push_back(ToJson(collection));
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  if (context.options.json) {
    PrintJsonLine({{"collections", collections}});
  } else {
    PrintCollections(collections);
  }
  return absl::OkStatus();
}

void PrintOne(const Context& context, const v1::Collection& collection) {
  if (context.options.json) {
    PrintJsonLine(ToJson(collection));
  } else {
    PrintCollections(Json::array({ToJson(collection)}));
  }
}

absl::Status Get(const std::string& id, const Context& context, Stub& stub) {
  v1::GetCollectionRequest request;
  request.set_name(CollectionName(id));
  v1::GetCollectionResponse response;
  Call call(context);
  const absl::Status status =
      FromGrpc(stub.GetCollection(call.get(), request, &response));
  if (status.ok()) PrintOne(context, response.collection());
  return status;
}

absl::Status Create(const std::string& id, const ChunkingFlags& flags,
                    const Context& context, Stub& stub) {
  const v1::CreateCollectionRequest request = flags.ToRequest(id);
  v1::CreateCollectionResponse response;
  Call call(context);
  const absl::Status status =
      FromGrpc(stub.CreateCollection(call.get(), request, &response));
  if (status.ok()) PrintOne(context, response.collection());
  return status;
}

absl::Status Delete(const std::string& id, const Context& context, Stub& stub) {
  v1::DeleteCollectionRequest request;
  request.set_name(CollectionName(id));
  v1::DeleteCollectionResponse response;
  Call call(context);
  const absl::Status status =
      FromGrpc(stub.DeleteCollection(call.get(), request, &response));
  if (!status.ok()) return status;
  if (context.options.json) {
    PrintJsonLine({{"deleted", request.name()}});
  } else {
    std::printf("Deleted %s\n", request.name().c_str());
  }
  return status;
}

using Operation = std::function<absl::Status(const Context&, Stub&)>;

Action OverStub(Operation operation) {
  return [operation](const Context& context) -> ExitCode {
    absl::StatusOr<std::unique_ptr<Connection>> connection =
        Connection::Open(context);
    if (!connection.ok()) return ReportError(connection.status());
    const auto stub = v1::CollectionService::NewStub((*connection)->channel());
    const absl::Status status = operation(context, *stub);
    return status.ok() ? kExitOk : ReportError(status);
  };
}

}  // namespace

void AddCollections(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand("collections", "Manage collections");
  verb->require_subcommand(1);
  auto id = std::make_shared<std::string>();
  auto flags = std::make_shared<ChunkingFlags>();

  CLI::App* list = verb->add_subcommand("list", "List the collections");
  AddConnectionFlags(list, common);
  list->callback([action] { *action = OverStub(List); });

  CLI::App* get = verb->add_subcommand("get", "Show one collection");
  get->add_option("collection", *id, "Collection")->required();
  AddConnectionFlags(get, common);
  get->callback([action, id] {
    *action = OverStub([id](const Context& context, Stub& stub) {
      return Get(*id, context, stub);
    });
  });

  CLI::App* create = verb->add_subcommand("create", "Create a collection");
  create->add_option("collection", *id, "a-z, 0-9 and -, at most 63 characters")
      ->required();
  flags->Add(create);
  AddConnectionFlags(create, common);
  create->callback([action, id, flags] {
    *action = OverStub([id, flags](const Context& context, Stub& stub) {
      return Create(*id, *flags, context, stub);
    });
  });

  CLI::App* remove = verb->add_subcommand(
      "delete", "Delete a collection, its documents and its indexes");
  remove->add_option("collection", *id, "Collection")->required();
  AddConnectionFlags(remove, common);
  remove->callback([action, id] {
    *action = OverStub([id](const Context& context, Stub& stub) {
      return Delete(*id, context, stub);
    });
  });
}

}  // namespace braid::services::cli
