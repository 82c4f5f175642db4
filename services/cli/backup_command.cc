// `braid backup` and `braid restore`.
#include <braid/v1/admin_service.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "services/backup/backup_directory.h"
#include "services/cli/commands.h"
#include "services/cli/connection.h"
#include "services/cli/render.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

// Where --timeout says nothing: the server's default is for answers.
constexpr std::chrono::hours kTimeout{24};

struct RestoreOptions {
  std::string backup;
  bool replace = false;
  bool check = false;
};

void Print(absl::string_view what, const std::string& directory,
           const backup::BackupManifest& manifest, const Context& context) {
  if (context.options.json) {
    PrintJsonLine({{"ok", true},
                   {"directory", directory},
                   {"files", manifest.files.size()},
                   {"bytes", manifest.TotalBytes()},
                   {"create_time",
                    absl::FormatTime(absl::RFC3339_sec, manifest.create_time,
                                     absl::UTCTimeZone())}});
  } else {
    std::printf("%s %s: %zu files, %llu bytes\n", std::string(what).c_str(),
                PrintableText(directory, false).c_str(), manifest.files.size(),
                static_cast<unsigned long long>(manifest.TotalBytes()));
  }
}

absl::StatusOr<backup::BackupManifest> Receive(v1::AdminService::Stub& admin,
                                               const std::string& directory,
                                               const Context& context) {
  auto writer = backup::BackupWriter::Create(directory);
  if (!writer.ok()) return writer.status();
  Call call(context);
  if (context.options.timeout_seconds <= 0) {
    call->set_deadline(std::chrono::system_clock::now() + kTimeout);
  }
  Progress progress("Backup", "bytes", 0);
  uint64_t received = 0;
  uint64_t files = 0;
  bool complete = false;
  absl::Status status;
  const auto stream = admin.Backup(call.get(), v1::BackupRequest());
  v1::BackupResponse part;
  while (status.ok() && stream->Read(&part)) {
    switch (part.part_case()) {
      case v1::BackupResponse::kFile:
        status = (*writer)->BeginFile(part.file().name(), part.file().bytes());
        break;
      case v1::BackupResponse::kData:
        received += part.data().size();
        progress.Update(received);
        status = (*writer)->Append(part.data());
        break;
      case v1::BackupResponse::kSha256:
        ++files;
        status = (*writer)->EndFile(part.sha256());
        break;
      case v1::BackupResponse::kSummary:
        complete = part.summary().files() == files &&
                   part.summary().bytes() == received;
        break;
      case v1::BackupResponse::PART_NOT_SET:
        break;
    }
  }
  progress.Finish();
  if (!status.ok()) {
    call->TryCancel();
    (void)stream->Finish();
    return status;
  }
  if (status = FromGrpc(stream->Finish()); !status.ok()) return status;
  if (!complete) return absl::DataLossError("the backup ended too early");
  return (*writer)->Finish();
}

ExitCode RunBackup(const std::string& directory, const Context& context) {
  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connection::Open(context);
  if (!connection.ok()) return ReportError(connection.status());
  const auto admin = v1::AdminService::NewStub((*connection)->channel());
  const auto manifest = Receive(*admin, directory, context);
  if (!manifest.ok()) return ReportError(manifest.status());
  Print("Wrote", directory, *manifest, context);
  return kExitOk;
}

ExitCode RunRestore(const RestoreOptions& options, const Context& context) {
  Progress progress(options.check ? "Check" : "Restore", "bytes", 0);
  uint64_t bytes = 0;
  const auto seen = [&](uint64_t read) {
    bytes += read;
    progress.Update(bytes);
  };
  absl::StatusOr<backup::BackupManifest> manifest;
  std::string directory = options.backup;
  if (options.check) {
    manifest =
        backup::VerifyBackup(options.backup, seen, context.signals->token());
  } else {
    if (context.options.data.empty()) {
      return ReportError(absl::InvalidArgumentError(
          "restore needs the data directory: --data DIR"));
    }
    directory = context.options.data;
    manifest = backup::RestoreBackup(options.backup, directory, options.replace,
                                     seen, context.signals->token());
  }
  progress.Finish();
  if (!manifest.ok()) return ReportError(manifest.status());
  Print(options.check ? "Whole:" : "Restored", directory, *manifest, context);
  return kExitOk;
}

}  // namespace

void AddBackup(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "backup",
      "Copy the store as of one moment to a new directory, while it is in use");
  auto directory = std::make_shared<std::string>();
  verb->add_option("directory", *directory,
                   "Directory to make, on this machine; it is there only when "
                   "the backup is complete")
      ->type_name("DIR")
      ->required();
  AddConnectionFlags(verb, common);
  verb->callback([directory, action] {
    *action = [directory](const Context& context) {
      return RunBackup(*directory, context);
    };
  });
}

void AddRestore(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb =
      app.add_subcommand("restore",
                         "Make a data directory from a backup, after comparing "
                         "every file with its "
                         "checksum; the indexes are built at the next start");
  auto options = std::make_shared<RestoreOptions>();
  verb->add_option("backup", options->backup, "Directory of `braid backup`")
      ->type_name("DIR")
      ->required();
  AddBasicFlags(verb, common);
  verb->add_option("--data", common->data,
                   "Data directory to make; no process may have it open")
      ->type_name("DIR");
  verb->add_flag("--replace", options->replace,
                 "Replace, and lose, the data that is there");
  verb->add_flag("--check", options->check,
                 "Only compare the backup with its checksums");
  verb->callback([options, action] {
    *action = [options](const Context& context) {
      return RunRestore(*options, context);
    };
  });
}

}  // namespace braid::services::cli
