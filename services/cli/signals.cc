#include "services/cli/signals.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "services/cli/exit_code.h"

namespace braid::services::cli {
namespace {

// What a handler may do is write a byte: the watcher's thread does the rest.
// A blocked signal with sigwait would not do: OpenBLAS starts threads before
// main, and a signal that reaches one of them would end the process.
int signal_pipe[2] = {-1, -1};

void OnSignal(int signal) {
  const int saved_errno = errno;
  const char byte = static_cast<char>(signal);
  (void)!write(signal_pipe[1], &byte, 1);
  errno = saved_errno;
}

}  // namespace

SignalWatcher::SignalWatcher() {
  if (signal_pipe[0] < 0 && pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) == 0) {
    struct sigaction action = {};
    action.sa_handler = OnSignal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
  }
  thread_ = std::jthread([this](std::stop_token quit) { Watch(quit); });
}

SignalWatcher::~SignalWatcher() = default;

void SignalWatcher::Watch(std::stop_token quit) {
  // Wakes up now and then to see whether the watcher is being destroyed.
  constexpr int kTickMs = 50;
  while (!quit.stop_requested()) {
    pollfd readable = {signal_pipe[0], POLLIN, 0};
    if (poll(&readable, 1, kTickMs) <= 0) continue;
    char signal = 0;
    if (read(signal_pipe[0], &signal, 1) != 1) continue;
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
