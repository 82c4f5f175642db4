// The command line as data: what shell completions and the manual are written
// from, so that they say what the parser takes.
#ifndef BRAID_SERVICES_CLI_COMMAND_TREE_H_
#define BRAID_SERVICES_CLI_COMMAND_TREE_H_

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace braid::services::cli {

struct OptionInfo {
  std::vector<std::string> flags;  // `-h`, `--help`; empty of a positional
  std::string name;                // of a positional
  std::string value;  // what it takes, such as `FILE` or `N`; empty of a switch
  std::vector<std::string> choices;  // the values allowed; empty for others
  std::string range;                 // of a number, such as `INT in [1 - 100]`
  std::string default_value;         // empty if the help names none
  std::string description;
  bool required = false;
  bool repeated = false;  // takes more than one value
};

struct CommandInfo {
  std::string name;
  std::string path;  // `braid documents get`
  std::string description;
  std::string footer;  // empty where it is that of the command above
  std::vector<OptionInfo> options;
  std::vector<OptionInfo> positionals;
  std::vector<CommandInfo> commands;
};

// Describes `app`, which must have a name, and all its subcommands.
CommandInfo DescribeCommands(const CLI::App& app);

// `root` and everything below it, each command before its subcommands. The
// pointers are into `root`.
std::vector<const CommandInfo*> AllCommands(const CommandInfo& root);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_COMMAND_TREE_H_
