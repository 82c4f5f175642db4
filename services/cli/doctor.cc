// `braid doctor`: what is there, and is it whole.
#include <braid/v1/admin_service.grpc.pb.h>
#include <braid/v1/collection_service.grpc.pb.h>
#include <grpc/health/v1/health.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/cli/commands.h"
#include "services/cli/connection.h"
#include "services/cli/passages.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

absl::Status CheckHealth(const Context& context, const Connection& connection,
                         Json* report) {
  const auto stub = grpc::health::v1::Health::NewStub(connection.channel());
  grpc::health::v1::HealthCheckResponse response;
  Call call(context);
  const absl::Status status = FromGrpc(stub->Check(
      call.get(), grpc::health::v1::HealthCheckRequest(), &response));
  if (!status.ok()) return status;
  (*report)["health"] =
      grpc::health::v1::HealthCheckResponse::ServingStatus_Name(
          response.status());
  return status;
}

absl::Status CheckServer(const Context& context, v1::AdminService::Stub& admin,
                         Json* report) {
  v1::GetServerInfoResponse info;
  Call call(context);
  const absl::Status status = FromGrpc(
      admin.GetServerInfo(call.get(), v1::GetServerInfoRequest(), &info));
  if (!status.ok()) return status;
  (*report)["version"] = info.version();
  (*report)["encoder"] = info.encoder();
  (*report)["kernel_target"] = info.kernel_target();
  (*report)["gpus"] = StringsToJson(info.gpus());
  (*report)["model"] = info.model();
  (*report)["uptime_seconds"] = info.uptime_seconds();
  (*report)["resident_bytes"] = info.resident_bytes();
  return status;
}

absl::Status CheckCollection(const Context& context,
                             v1::AdminService::Stub& admin,
                             const v1::Collection& collection, Json* report) {
  v1::CheckConsistencyRequest request;
  request.set_collection(collection.name());
  v1::CheckConsistencyResponse response;
  Call call(context);
  const absl::Status status =
      FromGrpc(admin.CheckConsistency(call.get(), request, &response));
  if (!status.ok()) return status;
  *report = {{"name", collection.name()},
             {"documents", collection.document_count()},
             {"consistent", response.consistent()},
             {"store_chunks", response.store_chunks()},
             {"bm25_chunks", response.bm25_chunks()},
             {"dense_chunks", response.dense_chunks()},
             {"sequence", response.sequence()},
             {"last_sequence", collection.last_sequence()},
             {"visible_sequence", collection.visible_sequence()},
             {"differences", StringsToJson(response.differences())}};
  return status;
}

absl::Status CheckCollections(const Context& context,
                              const Connection& connection,
                              v1::AdminService::Stub& admin, Json* report,
                              bool* consistent) {
  const auto stub = v1::CollectionService::NewStub(connection.channel());
  (*report)["collections"] = Json::array();
  v1::ListCollectionsRequest request;
  do {
    v1::ListCollectionsResponse response;
    Call call(context);
    absl::Status status =
        FromGrpc(stub->ListCollections(call.get(), request, &response));
    if (!status.ok()) return status;
    for (const v1::Collection& collection : response.collections()) {
      Json entry;
      status = CheckCollection(context, admin, collection, &entry);
      if (!status.ok()) return status;
      *consistent = *consistent && entry["consistent"].get<bool>();
      (*report)["collections"].push_back(entry);
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

// Free bytes where the data lies; null when that is another machine's business.
Json DiskFreeBytes(const Connection& connection) {
  if (!connection.in_process()) return nullptr;
  std::error_code error;
  const auto space = std::filesystem::space(connection.target(), error);
  if (error) return nullptr;
  return space.available;
}

std::string Text(const Json& value) {
  return PrintableText(
      value.is_string() ? value.get<std::string>() : value.dump(), false);
}

void PrintReport(const Json& report) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : report.items()) {
    if (name == "collections" || value.is_null()) continue;
    rows.push_back({name, Text(value)});
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
  if (report["collections"].empty()) return;
  std::vector<std::vector<std::string>> collections = {
      {"\ncollection", "documents", "store", "bm25", "dense", "consistent"}};
  for (const Json& entry : report["collections"]) {
    collections.push_back({Text(entry["name"]), Text(entry["documents"]),
                           Text(entry["store_chunks"]),
                           Text(entry["bm25_chunks"]),
                           Text(entry["dense_chunks"]),
                           entry["consistent"].get<bool>() ? "yes" : "NO"});
  }
  std::fputs(FormatTable(collections).c_str(), stdout);
  for (const Json& entry : report["collections"]) {
    for (const Json& difference : entry["differences"]) {
      std::printf("%s: %s\n", Text(entry["name"]).c_str(),
                  Text(difference).c_str());
    }
  }
}

ExitCode RunDoctor(bool verify, const Context& context) {
  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connection::Open(context);
  if (!connection.ok()) return ReportError(connection.status());

  Json report = {{"ok", false}, {"target", (*connection)->target()}};
  bool consistent = true;
  const auto admin = v1::AdminService::NewStub((*connection)->channel());
  absl::Status status = CheckHealth(context, **connection, &report);
  if (status.ok()) status = CheckServer(context, *admin, &report);
  if (status.ok()) {
    status =
        CheckCollections(context, **connection, *admin, &report, &consistent);
  }
  if (!status.ok()) return ReportError(status);
  report["disk_free_bytes"] = DiskFreeBytes(**connection);
  report["ok"] = consistent && report["health"] == "SERVING";
  if (context.options.json) {
    PrintJsonLine(report);
  } else {
    PrintReport(report);
  }
  return !verify || report["ok"].get<bool>() ? kExitOk : kExitFailure;
}

}  // namespace

void AddDoctor(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "doctor",
      "Check the server, its encoder and the consistency of store "
      "and indexes");
  auto verify = std::make_shared<bool>(false);
  verb->add_flag("--verify", *verify,
                 "Exit with 1 when something is not as it must be");
  AddConnectionFlags(verb, common);
  verb->callback([verify, action] {
    *action = [verify](const Context& context) {
      return RunDoctor(*verify, context);
    };
  });
}

}  // namespace braid::services::cli
