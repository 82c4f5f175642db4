// `braid serve`: the server until SIGTERM or SIGINT.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "services/cli/commands.h"
#include "services/cli/render.h"
#include "services/config/roles.h"
#include "services/runtime.h"
#include "services/server/server.h"

namespace braid::services::cli {
namespace {

ExitCode RunServe(const Context& context) {
  absl::StatusOr<Config> config = LoadSettings(context.options);
  if (!config.ok()) return ReportError(config.status());
  const absl::StatusOr<Roles> roles = RolesOf(*config);
  if (!roles.ok()) return ReportError(roles.status());
  if (roles->retrieval && config->data_directory.empty()) {
    return ReportError(absl::InvalidArgumentError(
        "no data directory: give --data DIR, BRAID_DATA_DIRECTORY or "
        "`data_directory` in the configuration file"));
  }
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create(*config);
  if (!runtime.ok()) return ReportError(runtime.status());
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(runtime->get(), config->address);
  if (!server.ok()) return ReportError(server.status());

  const std::string& address = (*server)->address();
  if (context.options.json) {
    Json ready = {{"address", address}, {"pid", getpid()}};
    if (const std::string& metrics = (*server)->metrics_address();
        !metrics.empty()) {
      ready["metrics_address"] = metrics;
    }
    if (const std::string& http = (*server)->http_address(); !http.empty()) {
      ready["http_address"] = http;
    }
    PrintJsonLine(ready);
  } else {
    std::printf("braid serves on %s\n", address.c_str());
    std::fflush(stdout);
  }
  context.signals->Wait();
  (*server)->Shutdown(config->limits.shutdown_grace);
  server->reset();
  (*runtime)->Shutdown();
  return kExitOk;
}

}  // namespace

void AddServe(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb =
      app.add_subcommand("serve", "Serve the API until SIGTERM or SIGINT");
  AddBasicFlags(verb, common);
  verb->add_option("--address", common->address,
                   "HOST:PORT (port 0: any free one) or unix:PATH")
      ->type_name("ADDRESS");
  verb->add_option("--roles", common->roles,
                   "What this process does: retrieval, generation, gateway, "
                   "with commas between; all by default")
      ->type_name("ROLES");
  verb->add_option("--data", common->data, "Data directory; created if absent")
      ->type_name("DIR");
  verb->add_option("--model", common->model,
                   "Hugging Face causal model that answers; without one, "
                   "answers are extracted")
      ->type_name("DIR");
  AddEngineFlags(verb, common);
  verb->callback([action] { *action = RunServe; });
}

}  // namespace braid::services::cli
