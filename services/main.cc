// The `braid` binary: server and command line.
#include "services/cli/cli.h"

int main(int argc, char** argv) {
  return braid::services::cli::RunCommandLine(argc, argv);
}
