// Scripts that let a shell complete the command line. Each is written whole
// from the tree of commands: it needs no call of the program while one types.
#ifndef BRAID_SERVICES_CLI_COMPLETION_H_
#define BRAID_SERVICES_CLI_COMPLETION_H_

#include <string>

#include "services/cli/command_tree.h"

namespace braid::services::cli {

// bash 4 or later: verbs, flags, choices, files and directories.
std::string BashCompletion(const CommandInfo& root);
// zsh with compinit: the same, with descriptions.
std::string ZshCompletion(const CommandInfo& root);
// fish 3 or later: the same, with descriptions.
std::string FishCompletion(const CommandInfo& root);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_COMPLETION_H_
