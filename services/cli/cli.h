// The command line of `braid`.
#ifndef BRAID_SERVICES_CLI_CLI_H_
#define BRAID_SERVICES_CLI_CLI_H_

namespace braid::services::cli {

// Parses the arguments and runs the verb. Returns the exit code (see
// exit_code.h).
int RunCommandLine(int argc, const char* const* argv);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_CLI_H_
