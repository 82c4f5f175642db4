// Exit codes of `braid`, and how errors of a server become them.
#ifndef BRAID_SERVICES_CLI_EXIT_CODE_H_
#define BRAID_SERVICES_CLI_EXIT_CODE_H_

#include "absl/status/status.h"

namespace grpc {
class Status;
}

namespace braid::services::cli {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,
  kExitUsage = 2,         // a flag or a request that is not valid
  kExitPartlyFailed = 3,  // some documents failed, the others are stored
  kExitUnreachable = 4,   // no server there, or a data directory in use
  kExitDenied = 5,        // not authenticated, or not permitted
  kExitInterrupted = 130,
};

ExitCode ExitCodeFor(const absl::Status& status);

// The same code and message; field violations and the reason from the error
// details are appended, one a line.
absl::Status FromGrpc(const grpc::Status& status);

// Prints `braid: CODE: message` on stderr and returns ExitCodeFor(status).
ExitCode ReportError(const absl::Status& status);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_EXIT_CODE_H_
