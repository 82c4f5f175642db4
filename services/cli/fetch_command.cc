// `braid model fetch`.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/cli/commands.h"
#include "services/cli/render.h"
#include "services/cli/terminal.h"
#include "services/hub/fetch_model.h"

namespace braid::services::cli {
namespace {

constexpr uint64_t kMegabyte = 1'000'000;

struct FetchOptions {
  std::string repository;
  std::string revision = "main";
  std::string output;
};

// Where models lie unless the user says otherwise: the XDG base directory for
// data. "" if there is no home either.
std::string ModelsDirectory() {
  const char* data = std::getenv("XDG_DATA_HOME");
  // The specification has relative paths ignored.
  if (data != nullptr && *data == '/')
    return absl::StrCat(data, "/braid/models");
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return "";
  return absl::StrCat(home, "/.local/share/braid/models");
}

// One bar for what is checked, then one for what comes.
class FetchBar {
 public:
  void Update(const hub::FetchProgress& now) {
    if (!bar_.has_value() || now.stage != stage_) {
      const bool checking = now.stage == hub::FetchProgress::Stage::kChecking;
      bar_.emplace(checking ? "Checking what is there" : "Fetching", "MB", 0);
      stage_ = now.stage;
    }
    bar_->set_total(now.total_bytes / kMegabyte);
    bar_->Update(now.done_bytes / kMegabyte);
  }

 private:
  hub::FetchProgress::Stage stage_ = hub::FetchProgress::Stage::kChecking;
  std::optional<Progress> bar_;
};

void Print(const hub::FetchReport& report, const hub::FetchRequest& request,
           const Context& context) {
  if (context.options.json) {
    Json files = Json::array();
    for (const hub::FetchReport::File& file : report.files) {
      files.push_back(
          {{"name", file.name}, {"bytes", file.bytes}, {"kept", file.kept}});
    }
    PrintJsonLine({{"repository", request.repository},
                   {"revision", request.revision},
                   {"commit", report.commit},
                   {"directory", request.directory},
                   {"bytes", report.bytes},
                   {"received_bytes", report.received_bytes},
                   {"files", files}});
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const hub::FetchReport::File& file : report.files) {
    rows.push_back({PrintableText(file.name, false),
                    absl::StrFormat(
                        "%.1f MB", static_cast<double>(file.bytes) / kMegabyte),
                    file.kept ? "there already" : "fetched"});
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
  std::printf("%s at %s is in %s\n", request.repository.c_str(),
              report.commit.c_str(),
              PrintableText(request.directory, false).c_str());
}

ExitCode RunFetch(const FetchOptions& options, const Context& context) {
  absl::Status status = hub::CheckRepository(options.repository);
  if (status.ok()) status = hub::CheckRevision(options.revision);
  if (!status.ok()) return ReportError(status);
  hub::FetchRequest request;
  request.repository = options.repository;
  request.revision = options.revision;
  request.directory = options.output;
  if (request.directory.empty()) {
    const std::string models = ModelsDirectory();
    if (models.empty()) {
      return ReportError(absl::InvalidArgumentError(
          "neither XDG_DATA_HOME nor HOME is set: give --output DIR"));
    }
    request.directory = absl::StrCat(models, "/", options.repository);
  }
  absl::StatusOr<std::unique_ptr<hub::HubClient>> client =
      hub::HubClient::Create(hub::HubOptions::FromEnvironment());
  if (!client.ok()) return ReportError(client.status());

  absl::StatusOr<hub::FetchReport> report;
  {
    FetchBar bar;
    report = hub::FetchModel(
        request, client->get(),
        [&bar](const hub::FetchProgress& now) { bar.Update(now); },
        context.signals->token());
  }
  if (absl::IsCancelled(report.status())) {
    return ReportError(absl::CancelledError(
        "interrupted; run it again to go on where it stopped"));
  }
  if (!report.ok()) return ReportError(report.status());
  Print(*report, request, context);
  return kExitOk;
}

}  // namespace

void AddModelFetch(CLI::App* model, CommonOptions* common, Action* action) {
  CLI::App* verb = model->add_subcommand(
      "fetch",
      "Download a checkpoint from the Hugging Face hub, or go on with a "
      "download; HF_ENDPOINT and HF_TOKEN are respected");
  auto options = std::make_shared<FetchOptions>();
  verb->add_option("model", options->repository, "What the hub calls it")
      ->type_name("ORG/NAME")
      ->required();
  verb->add_option("--revision", options->revision,
                   "Branch, tag or commit (default: main)")
      ->type_name("REVISION");
  verb->add_option("--output", options->output,
                   "Directory (default: braid/models/ORG/NAME in "
                   "$XDG_DATA_HOME or ~/.local/share)")
      ->type_name("DIR");
  AddBasicFlags(verb, common);
  verb->callback([options, action] {
    *action = [options](const Context& context) {
      return RunFetch(*options, context);
    };
  });
}

}  // namespace braid::services::cli
