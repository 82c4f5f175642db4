// `braid doctor`: what is there, and is it whole.
#include <braid/v1/admin_service.grpc.pb.h>
#include <braid/v1/collection_service.grpc.pb.h>
#include <grpc/health/v1/health.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "retrieval/local/verify.h"
#include "services/cli/commands.h"
#include "services/cli/connection.h"
#include "services/cli/passages.h"
#include "services/cli/terminal.h"
#include "services/server/convert.h"

namespace braid::services::cli {
namespace {

// Where --timeout says nothing: everything is read once.
constexpr std::chrono::hours kVerifyTimeout{24};

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
  (*report)["answerer"] = info.answerer();
  (*report)["reranker"] = info.reranker();
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

std::string Text(const Json& value) {
  return PrintableText(
      value.is_string() ? value.get<std::string>() : value.dump(), false);
}

// The same fields for a server and for a directory.
Json CheckToJson(const v1::VerifyResponse& check) {
  Json damage = Json::array();
  for (const v1::Damage& entry : check.store().damage()) {
    damage.push_back({{"collection", entry.collection()},
                      {"document", entry.document()},
                      {"description", entry.description()}});
  }
  Json indexes = Json::array();
  for (const v1::IndexCheck& index : check.collections()) {
    indexes.push_back({{"collection", index.collection()},
                       {"store_chunks", index.store_chunks()},
                       {"bm25_chunks", index.bm25_chunks()},
                       {"dense_chunks", index.dense_chunks()},
                       {"sequence", index.sequence()},
                       {"damage", StringsToJson(index.damage())},
                       {"repaired", StringsToJson(index.repaired())}});
  }
  return {{"whole", check.whole()},
          {"files", check.store().files()},
          {"documents", check.store().documents()},
          {"chunks", check.store().chunks()},
          {"damage_count", check.store().damage_count()},
          {"damage", damage},
          {"indexes", indexes}};
}

void PrintCheck(const Json& check) {
  for (const Json& entry : check["damage"]) {
    std::string of = Text(entry["collection"]);
    if (!entry["document"].get<std::string>().empty()) {
      absl::StrAppend(&of, "/", Text(entry["document"]));
    }
    std::printf("damaged: %s%s%s\n", of.c_str(), of.empty() ? "" : ": ",
                Text(entry["description"]).c_str());
  }
  if (!check["damage"].empty()) {
    std::printf(
        "%s documents can be read whole; `braid restore` brings a "
        "backup back\n",
        check["documents"].dump().c_str());
  }
  for (const Json& index : check["indexes"]) {
    for (const Json& damage : index["damage"]) {
      std::printf("damaged: %s: %s\n", Text(index["collection"]).c_str(),
                  Text(damage).c_str());
    }
    for (const Json& name : index["repaired"]) {
      std::printf("built anew from the store: %s: %s\n",
                  Text(index["collection"]).c_str(), Text(name).c_str());
    }
  }
  std::printf("verified: %s files, %s documents, %s chunks: %s\n\n",
              check["files"].dump().c_str(), check["documents"].dump().c_str(),
              check["chunks"].dump().c_str(),
              check["whole"].get<bool>() ? "whole" : "DAMAGED");
}

// Reads a directory before anything opens it, which would build what is damaged
// anew without a word. Nothing where there is no store yet.
absl::StatusOr<std::optional<Json>> VerifyDirectory(const std::string& data,
                                                    bool repair,
                                                    const Context& context) {
  const auto report =
      retrieval::VerifyData(data, repair, context.signals->token());
  if (absl::IsNotFound(report.status())) return std::optional<Json>();
  if (!report.ok()) return report.status();
  v1::VerifyResponse check;
  ToProto(*report, &check);
  return std::optional<Json>(CheckToJson(check));
}

absl::StatusOr<Json> VerifyServer(const Context& context,
                                  v1::AdminService::Stub& admin, bool repair) {
  v1::VerifyRequest request;
  request.set_repair(repair);
  v1::VerifyResponse response;
  Call call(context);
  if (context.options.timeout_seconds <= 0) {
    call->set_deadline(std::chrono::system_clock::now() + kVerifyTimeout);
  }
  const absl::Status status =
      FromGrpc(admin.Verify(call.get(), request, &response));
  if (!status.ok()) return status;
  return CheckToJson(response);
}

// Free bytes where the data lies; null when that is another machine's business.
Json DiskFreeBytes(const Connection& connection) {
  if (!connection.in_process()) return nullptr;
  std::error_code error;
  const auto space = std::filesystem::space(connection.target(), error);
  if (error) return nullptr;
  return space.available;
}

void PrintReport(const Json& report) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : report.items()) {
    if (name == "collections" || name == "verify" || value.is_null()) continue;
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

struct DoctorOptions {
  bool health = false;
  bool verify = false;
  bool no_repair = false;
};

// For probes: one cheap call, which needs no right to anything.
ExitCode RunHealth(const Context& context) {
  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connection::Open(context);
  if (!connection.ok()) return ReportError(connection.status());
  Json report = {{"ok", false}, {"target", (*connection)->target()}};
  const absl::Status status = CheckHealth(context, **connection, &report);
  if (!status.ok()) return ReportError(status);
  report["ok"] = report["health"] == "SERVING";
  if (context.options.json) {
    PrintJsonLine(report);
  } else {
    std::printf("%s\n", Text(report["health"]).c_str());
  }
  return report["ok"].get<bool>() ? kExitOk : kExitFailure;
}

ExitCode RunDoctor(const DoctorOptions& options, const Context& context) {
  if (options.health) return RunHealth(context);
  std::optional<Json> check;
  if (options.verify && !context.options.data.empty()) {
    absl::StatusOr<std::optional<Json>> checked =
        VerifyDirectory(context.options.data, !options.no_repair, context);
    if (!checked.ok()) return ReportError(checked.status());
    check = *std::move(checked);
    if (check.has_value() && !(*check)["whole"].get<bool>()) {
      // A directory that is not whole is not opened: that would change it.
      if (context.options.json) {
        PrintJsonLine({{"ok", false},
                       {"target", context.options.data},
                       {"verify", *check}});
      } else {
        PrintCheck(*check);
      }
      return kExitFailure;
    }
  }
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
  if (status.ok() && options.verify && !check.has_value()) {
    absl::StatusOr<Json> checked =
        VerifyServer(context, *admin, !options.no_repair);
    status = checked.status();
    if (checked.ok()) check = *std::move(checked);
  }
  if (!status.ok()) return ReportError(status);
  if (check.has_value()) {
    report["verify"] = *check;
    consistent = consistent && (*check)["whole"].get<bool>();
  }
  report["disk_free_bytes"] = DiskFreeBytes(**connection);
  report["ok"] = consistent && report["health"] == "SERVING";
  if (context.options.json) {
    PrintJsonLine(report);
  } else {
    if (check.has_value()) PrintCheck(*check);
    PrintReport(report);
  }
  return !options.verify || report["ok"].get<bool>() ? kExitOk : kExitFailure;
}

}  // namespace

void AddDoctor(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "doctor",
      "Check the server, its encoder and the consistency of store "
      "and indexes");
  auto options = std::make_shared<DoctorOptions>();
  CLI::Option* verify = verb->add_flag(
      "--verify", options->verify,
      "Read everything and compare it with its checksums: store, indexes, and "
      "these with each other. Builds damaged indexes anew from the store; "
      "exits "
      "with 1 when something is not as it must be");
  verb->add_flag("--no-repair", options->no_repair,
                 "Only say what is damaged, and change nothing")
      ->needs(verify);
  verb->add_flag("--health", options->health,
                 "Only ask whether it serves: exits with 1 when it does not")
      ->excludes(verify);
  AddConnectionFlags(verb, common);
  verb->callback([options, action] {
    *action = [options](const Context& context) {
      return RunDoctor(*options, context);
    };
  });
}

}  // namespace braid::services::cli
