// The `braid` binary: server and command line.
#include <malloc.h>

#include "absl/synchronization/mutex.h"
#include "services/cli/cli.h"

int main(int argc, char** argv) {
  // By default glibc gives threads up to eight arenas per core, and each keeps
  // what was freed in it: half of the memory of an ingesting process.
  mallopt(M_ARENA_MAX, 2);
  // By default the size from which memory goes back to the system when it is
  // freed grows with what was freed: weights, graphs and batches would lie
  // between small blocks, and leave holes there.
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  // Debian builds Abseil, and so what gRPC locks, to look for deadlocks at
  // every lock: some percent of a busy server's time. Tests go on looking.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return braid::services::cli::RunCommandLine(argc, argv);
}
