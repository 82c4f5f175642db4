// SIGINT and SIGTERM as ordinary callbacks on an ordinary thread.
#ifndef BRAID_SERVICES_CLI_SIGNALS_H_
#define BRAID_SERVICES_CLI_SIGNALS_H_

#include <functional>
#include <stop_token>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace braid::services::cli {

// Handles both signals for the whole process, whichever thread they reach. The
// first one requests a stop; a second SIGINT ends the process at once with exit
// code 130, for what cannot be stopped. One at a time.
class SignalWatcher {
 public:
  SignalWatcher();
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

  // Stop is requested by the first signal.
  std::stop_token token() const { return stop_.get_token(); }
  bool stopped() const { return stop_.stop_requested(); }
  // Blocks until the first signal.
  void Wait();

 private:
  void Watch(std::stop_token quit);

  std::stop_source stop_;
  absl::Mutex mutex_;
  bool signalled_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_SIGNALS_H_
