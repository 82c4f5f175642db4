#include "services/http/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace braid::services::http {
namespace {

constexpr char kEndOfHead[] = "\r\n\r\n";
// Of what a client still sends after its reply, so much is waited for.
constexpr absl::Duration kLinger = absl::Milliseconds(500);
constexpr size_t kMaxLingerBytes = 256 << 10;

// False once the deadline has passed, or for an error of poll itself.
bool WaitFor(int socket, short events, absl::Time deadline) {
  while (true) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    pollfd wait = {socket, events, 0};
    // Rounded up: the last wait must not spin.
    const int ms = static_cast<int>(
        std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 60 * 1000));
    const int ready = poll(&wait, 1, ms);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

}  // namespace

absl::StatusOr<std::string> ReadHead(int socket, size_t max_bytes,
                                     absl::Time deadline) {
  std::string head;
  char buffer[4096];
  while (head.size() <= max_bytes) {
    if (!WaitFor(socket, POLLIN, deadline)) {
      return absl::DeadlineExceededError("the request did not arrive in time");
    }
    const ssize_t count = recv(socket, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) return absl::AbortedError("the client is gone");
    // The end may lie across two packets.
    const size_t look = head.size() < 3 ? 0 : head.size() - 3;
    head.append(buffer, static_cast<size_t>(count));
    const size_t end = head.find(kEndOfHead, look);
    if (end == std::string::npos) continue;
    head.resize(end + sizeof(kEndOfHead) - 1);
    if (head.size() > max_bytes) break;
    return head;
  }
  return absl::ResourceExhaustedError("the request's head is too long");
}

std::string WithoutRange(absl::string_view head) {
  std::string kept;
  kept.reserve(head.size());
  while (!head.empty()) {
    const size_t end = head.find('\n');
    const absl::string_view line =
        head.substr(0, end == absl::string_view::npos ? end : end + 1);
    head.remove_prefix(line.size());
    if (!absl::StartsWithIgnoreCase(line, "range:"))
      absl::StrAppend(&kept, line);
  }
  return kept;
}

bool SendAll(int socket, absl::string_view bytes, absl::Time deadline) {
  while (!bytes.empty()) {
    if (!WaitFor(socket, POLLOUT, deadline)) return false;
    const ssize_t count =
        send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

void Close(int socket) {
  shutdown(socket, SHUT_WR);
  const absl::Time deadline = absl::Now() + kLinger;
  char buffer[4096];
  for (size_t taken = 0; taken < kMaxLingerBytes;) {
    if (!WaitFor(socket, POLLIN, deadline)) break;
    const ssize_t count = recv(socket, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) break;
    taken += static_cast<size_t>(count);
  }
  close(socket);
}

}  // namespace braid::services::http
