#include "services/cli/cli.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "services/cli/commands.h"

namespace braid::services::cli {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 ok, 1 failure, 2 usage, 3 partly failed, 4 unreachable, "
    "5 denied, 130 interrupted.\n"
    "Flags win over BRAID_* variables, and these over the file of --config.";

}  // namespace

int RunCommandLine(int argc, const char* const* argv) {
  CLI::App app("Braid: hybrid retrieval and cited answers in one binary.",
               "braid");
  app.set_version_flag("--version", std::string("braid ") + BRAID_VERSION);
  app.require_subcommand(1);
  app.footer(kExitCodes);
  CommonOptions common;
  Action action;
  AddServe(app, &common, &action);
  AddIngest(app, &common, &action);
  AddSearch(app, &common, &action);
  AddAsk(app, &common, &action);
  AddCollections(app, &common, &action);
  AddDocuments(app, &common, &action);
  AddOperations(app, &common, &action);
  AddEval(app, &common, &action);
  AddBench(app, &common, &action);
  AddModel(app, &common, &action);
  AddKeys(app, &common, &action);
  AddBackup(app, &common, &action);
  AddRestore(app, &common, &action);
  AddDoctor(app, &common, &action);
  AddCompletion(app, &action);
  AddMan(app, &action);
  // CLI11 reports through exceptions: they end here.
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are "errors" with exit code 0.
    return app.exit(error, std::cout, std::cerr) == 0 ? kExitOk : kExitUsage;
  }
  // Before any other thread, so that all of them leave the signals to it.
  SignalWatcher signals;
  return action(Context{common, &signals});
}

}  // namespace braid::services::cli
