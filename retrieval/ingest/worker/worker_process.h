// One running parser worker.
#ifndef BRAID_RETRIEVAL_INGEST_WORKER_WORKER_PROCESS_H_
#define BRAID_RETRIEVAL_INGEST_WORKER_WORKER_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace braid::retrieval {

// How an exchange with a worker ended.
enum class ExchangeOutcome {
  kReply,      // there is a reply
  kCpuTime,    // it computed for too long
  kWallTime,   // it took too long
  kReplySize,  // it announced a reply over the limit
  kDied,       // it ended by itself: see ExitStatus, DescribeEnd
};

struct ExchangeLimits {
  absl::Duration cpu_time;
  absl::Duration wall_time;
  size_t reply_bytes = 0;
};

// Kills and reaps the process when destroyed. Not thread-safe.
class WorkerProcess {
 public:
  // Starts `executable` with a socket as its standard input, `memory_bytes` as
  // its argument and none of this process's environment but what loaders and
  // sanitizers read. UNAVAILABLE if it cannot be started.
  static absl::StatusOr<std::unique_ptr<WorkerProcess>> Start(
      const std::string& executable, size_t memory_bytes);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  // Sends a request and waits for the whole reply. After anything but kReply
  // the worker is of no more use: destroy it.
  ExchangeOutcome Exchange(absl::string_view request,
                           const ExchangeLimits& limits, std::string* reply);

  // Whether it still runs.
  bool alive();
  // After kDied: the status it exited with; nothing if it was killed.
  std::optional<int> ExitStatus();
  // After kDied: "killed by signal 11 (Segmentation fault)" or "exit status 1".
  std::string DescribeEnd();

 private:
  WorkerProcess(pid_t pid, int socket) : pid_(pid), socket_(socket) {}
  // Waits until it has ended, and kills it when `patience` is over.
  void Reap(absl::Duration patience);
  // Processor time it has used since its start; infinite if it is gone.
  absl::Duration CpuTime() const;

  const pid_t pid_;
  const int socket_;
  bool reaped_ = false;
  int wait_status_ = 0;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_WORKER_WORKER_PROCESS_H_
