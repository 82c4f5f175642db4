// `braid completion` and `braid man`: what the command line says of itself.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "services/cli/command_tree.h"
#include "services/cli/commands.h"
#include "services/cli/completion.h"
#include "services/cli/manual.h"

namespace braid::services::cli {
namespace {

ExitCode Print(const std::string& text) {
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
      std::fflush(stdout) == 0;
  return written ? kExitOk : kExitFailure;
}

}  // namespace

void AddCompletion(CLI::App& app, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "completion", "Print a script that lets a shell complete this program");
  auto shell = std::make_shared<std::string>();
  verb->add_option("shell", *shell,
                   "bash: source it, or install it in "
                   "share/bash-completion/completions; zsh: as _braid in "
                   "$fpath; fish: in share/fish/vendor_completions.d")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  verb->callback([&app, shell, action] {
    *action = [&app, shell](const Context&) {
      const CommandInfo root = DescribeCommands(app);
      if (*shell == "bash") return Print(BashCompletion(root));
      if (*shell == "zsh") return Print(ZshCompletion(root));
      return Print(FishCompletion(root));
    };
  });
}

void AddMan(CLI::App& app, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "man", "Print the manual page: `braid man | man -l -`");
  verb->callback([&app, action] {
    *action = [&app](const Context&) {
      return Print(ManualPage(DescribeCommands(app), BRAID_VERSION));
    };
  });
}

}  // namespace braid::services::cli
