#include "retrieval/ingest/worker/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "retrieval/ingest/worker/message.h"

extern char** environ;

namespace braid::retrieval {
namespace {

// Nothing secret: the worker reads what strangers wrote.
std::vector<char*> WorkerEnvironment() {
  std::vector<char*> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    for (const char* name : {"LD_LIBRARY_PATH=", "ASAN_OPTIONS=",
                             "UBSAN_OPTIONS=", "TSAN_OPTIONS="}) {
      if (absl::StartsWith(*entry, name)) kept.push_back(*entry);
    }
  }
  kept.push_back(nullptr);
  return kept;
}

// Milliseconds to wait, rounded up, so that the time is over after it.
int PollTimeout(absl::Duration remaining) {
  return static_cast<int>(absl::ToInt64Milliseconds(
      absl::Ceil(std::clamp(remaining, absl::ZeroDuration(), absl::Seconds(60)),
                 absl::Milliseconds(1))));
}

// Since some moment in the past, whatever happens to the wall clock.
absl::Duration MonotonicTime() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return absl::DurationFromTimespec(time);
}

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerProcess>> WorkerProcess::Start(
    const std::string& executable, size_t memory_bytes) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot make a socket: ", std::strerror(errno)));
  }
  fcntl(sockets[0], F_SETFL, O_NONBLOCK);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, sockets[1], 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  // The worker must be killable whatever this thread blocks or ignores, and not
  // by the Ctrl-C that this process handles.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  std::string path = executable;
  std::string memory = absl::StrCat(memory_bytes);
  char* arguments[] = {path.data(), memory.data(), nullptr};
  pid_t pid = 0;
  const int error = posix_spawn(&pid, path.c_str(), &actions, &attributes,
                                arguments, WorkerEnvironment().data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(sockets[1]);
  if (error != 0) {
    close(sockets[0]);
    return absl::UnavailableError(absl::StrCat(
        "cannot start the parser ", executable, ": ", std::strerror(error)));
  }
  return std::unique_ptr<WorkerProcess>(new WorkerProcess(pid, sockets[0]));
}

WorkerProcess::~WorkerProcess() {
  Reap(absl::ZeroDuration());
  close(socket_);
}

void WorkerProcess::Reap(absl::Duration patience) {
  const absl::Duration end = MonotonicTime() + patience;
  while (alive() && MonotonicTime() < end)
    absl::SleepFor(absl::Milliseconds(5));
  if (reaped_) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, &wait_status_, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
}

absl::Duration WorkerProcess::CpuTime() const {
  clockid_t clock;
  timespec time;
  if (clock_getcpuclockid(pid_, &clock) != 0 ||
      clock_gettime(clock, &time) != 0) {
    return absl::InfiniteDuration();
  }
  return absl::DurationFromTimespec(time);
}

ExchangeOutcome WorkerProcess::Exchange(absl::string_view request,
                                        const ExchangeLimits& limits,
                                        std::string* reply) {
  const absl::Duration cpu_end = CpuTime() + limits.cpu_time;
  const absl::Duration wall_end = MonotonicTime() + limits.wall_time;
  const std::string header = MessageHeader(request.size());
  absl::string_view unsent_header = header;
  std::string received_header;
  uint64_t reply_size = 0;
  reply->clear();
  while (true) {
    if (!request.empty()) {
      absl::string_view& piece =
          unsent_header.empty() ? request : unsent_header;
      const ssize_t sent =
          send(socket_, piece.data(), piece.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        piece.remove_prefix(sent);
        continue;
      }
      if (errno == EPIPE || errno == ECONNRESET) return ExchangeOutcome::kDied;
    } else {
      char buffer[1 << 16];
      const size_t wanted =
          received_header.size() < kMessageHeaderBytes
              ? kMessageHeaderBytes - received_header.size()
              : std::min<size_t>(sizeof(buffer), reply_size - reply->size());
      const ssize_t received = recv(socket_, buffer, wanted, 0);
      if (received == 0) return ExchangeOutcome::kDied;
      if (received > 0) {
        if (received_header.size() < kMessageHeaderBytes) {
          received_header.append(buffer, received);
          if (received_header.size() < kMessageHeaderBytes) continue;
          reply_size = MessageSize(received_header);
          if (reply_size > limits.reply_bytes) {
            return ExchangeOutcome::kReplySize;
          }
        } else {
          reply->append(buffer, received);
        }
        if (reply->size() == reply_size) return ExchangeOutcome::kReply;
        continue;
      }
      if (errno == ECONNRESET) return ExchangeOutcome::kDied;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      return ExchangeOutcome::kDied;
    }
    // It has one thread, so its processor time cannot be over before that much
    // real time is.
    const absl::Duration cpu_left = cpu_end - CpuTime();
    const absl::Duration wall_left = wall_end - MonotonicTime();
    pollfd ready = {socket_,
                    static_cast<short>(request.empty() ? POLLIN : POLLOUT), 0};
    const bool over =
        cpu_left <= absl::ZeroDuration() || wall_left <= absl::ZeroDuration();
    const int events =
        poll(&ready, 1, over ? 0 : PollTimeout(std::min(cpu_left, wall_left)));
    // Where it has just answered or died, that counts.
    if (over && events == 0) {
      return cpu_left <= absl::ZeroDuration() ? ExchangeOutcome::kCpuTime
                                              : ExchangeOutcome::kWallTime;
    }
  }
}

bool WorkerProcess::alive() {
  if (!reaped_) reaped_ = waitpid(pid_, &wait_status_, WNOHANG) == pid_;
  return !reaped_;
}

std::optional<int> WorkerProcess::ExitStatus() {
  // One that has closed its socket is about to end by itself.
  Reap(absl::Seconds(1));
  if (!WIFEXITED(wait_status_)) return std::nullopt;
  return WEXITSTATUS(wait_status_);
}

std::string WorkerProcess::DescribeEnd() {
  if (const std::optional<int> status = ExitStatus()) {
    return absl::StrCat("exit status ", *status);
  }
  const int signal = WTERMSIG(wait_status_);
  return absl::StrCat("killed by signal ", signal, " (", strsignal(signal),
                      ")");
}

}  // namespace braid::retrieval
