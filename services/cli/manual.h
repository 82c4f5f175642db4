// The manual page, written from the command line itself.
#ifndef BRAID_SERVICES_CLI_MANUAL_H_
#define BRAID_SERVICES_CLI_MANUAL_H_

#include <string>

#include "absl/strings/string_view.h"
#include "services/cli/command_tree.h"

namespace braid::services::cli {

// A page of section 1 in troff with the `man` macros, for `man -l` or an
// installation in share/man/man1. It lists every command, and the keys of the
// configuration with their variables.
std::string ManualPage(const CommandInfo& root, absl::string_view version);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_MANUAL_H_
