#include "services/cli/signals.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "services/cli/exit_code.h"

namespace braid::services::cli {
namespace {

sigset_t WatchedSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

SignalWatcher::SignalWatcher() {
  const sigset_t set = WatchedSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::jthread([this](std::stop_token quit) { Watch(quit); });
}

SignalWatcher::~SignalWatcher() = default;

void SignalWatcher::Watch(std::stop_token quit) {
  const sigset_t set = WatchedSignals();
  // Wakes up now and then to see whether the watcher is being destroyed.
  const timespec tick = {.tv_sec = 0, .tv_nsec = 50'000'000};
  while (!quit.stop_requested()) {
    const int signal = sigtimedwait(&set, nullptr, &tick);
    if (signal < 0) continue;
    if (signal == SIGINT && stop_.stop_requested()) _exit(kExitInterrupted);
    {
      absl::MutexLock lock(&mutex_);
      signalled_ = true;
    }
    stop_.request_stop();
  }
}

void SignalWatcher::Wait() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&signalled_));
}

}  // namespace braid::services::cli
