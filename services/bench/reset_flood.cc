#include "services/bench/reset_flood.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

namespace braid::services {
namespace {

// RFC 9113, sections 3.4, 6.2, 6.4, 6.5.
constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kReset = 3;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kPing = 6;
constexpr uint8_t kAck = 1;
constexpr uint8_t kEndHeaders = 4;
constexpr uint32_t kCancel = 8;
constexpr uint32_t kLastStream = 0x7fffffff;
constexpr uint64_t kStreamsAtOnce = 100;

void AppendNumber(uint32_t value, int bytes, std::string* out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(value >> shift & 0xff));
  }
}

void AppendFrame(uint8_t type, uint8_t flags, uint32_t stream,
                 absl::string_view payload, std::string* out) {
  AppendNumber(static_cast<uint32_t>(payload.size()), 3, out);
  out->push_back(static_cast<char>(type));
  out->push_back(static_cast<char>(flags));
  AppendNumber(stream, 4, out);
  absl::StrAppend(out, payload);
}

// RFC 7541, section 6.2.2: literal without indexing, both parts plain. All are
// shorter than 127 bytes.
void AppendHeader(absl::string_view name, absl::string_view value,
                  std::string* out) {
  out->push_back(0);
  out->push_back(static_cast<char>(name.size()));
  absl::StrAppend(out, name);
  out->push_back(static_cast<char>(value.size()));
  absl::StrAppend(out, value);
}

class Connection {
 public:
  ~Connection() {
    if (socket_ >= 0) close(socket_);
  }
  bool Open(const sockaddr_in& address) {
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(socket_, reinterpret_cast<const sockaddr*>(&address),
                sizeof(address)) != 0) {
      return false;
    }
    std::string hello(kPreface);
    AppendFrame(kSettings, 0, 0, "", &hello);
    AppendFrame(kSettings, kAck, 0, "", &hello);
    return Send(hello);
  }

  // Takes what the server says meanwhile, and answers its pings: a server that
  // gets no answers closes the connection. False when it is closed.
  bool Send(absl::string_view bytes) {
    while (!bytes.empty() || !replies_.empty()) {
      pollfd wait = {.fd = socket_, .events = POLLIN | POLLOUT, .revents = 0};
      if (poll(&wait, 1, 10'000) <= 0) return false;
      if ((wait.revents & POLLIN) != 0 && !Receive()) return false;
      if ((wait.revents & POLLOUT) == 0) continue;
      // Between frames only.
      if (!replies_.empty() && at_boundary_) {
        if (!Write(&replies_)) return false;
        continue;
      }
      std::string rest(bytes);
      const size_t before = rest.size();
      if (!Write(&rest)) return false;
      bytes.remove_prefix(before - rest.size());
      at_boundary_ = bytes.empty();
      if (bytes.empty() && replies_.empty()) return true;
    }
    return true;
  }

 private:
  bool Write(std::string* bytes) const {
    const ssize_t count = send(socket_, bytes->data(), bytes->size(),
                               MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    bytes->erase(0, static_cast<size_t>(count));
    return true;
  }

  bool Receive() {
    char buffer[16 << 10];
    const ssize_t count = recv(socket_, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) return false;
    received_.append(buffer, static_cast<size_t>(count));
    size_t at = 0;
    while (received_.size() - at >= 9) {
      const auto byte = [&](size_t i) {
        return static_cast<uint8_t>(received_[at + i]);
      };
      const size_t length = static_cast<size_t>(byte(0)) << 16 |
                            static_cast<size_t>(byte(1)) << 8 | byte(2);
      if (received_.size() - at < 9 + length) break;
      if (byte(3) == kPing && (byte(4) & kAck) == 0) {
        AppendFrame(kPing, kAck, 0,
                    absl::string_view(received_).substr(at + 9, length),
                    &replies_);
      }
      at += 9 + length;
    }
    received_.erase(0, at);
    return true;
  }

  int socket_ = -1;
  bool at_boundary_ = true;
  std::string received_;
  std::string replies_;
};

}  // namespace

absl::StatusOr<FloodResult> FloodWithResets(const std::string& address,
                                            const std::string& path,
                                            double rate, absl::Duration length,
                                            const std::stop_token& stop) {
  const size_t colon = address.rfind(':');
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  int port = 0;
  if (colon == std::string::npos ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("not an IPv4 HOST:PORT: ", address));
  }
  to.sin_port = htons(static_cast<uint16_t>(port));

  std::string headers;
  AppendHeader(":method", "POST", &headers);
  AppendHeader(":scheme", "http", &headers);
  AppendHeader(":path", path, &headers);
  AppendHeader(":authority", address, &headers);
  AppendHeader("content-type", "application/grpc", &headers);
  AppendHeader("te", "trailers", &headers);
  std::string cancel;
  AppendNumber(kCancel, 4, &cancel);

  FloodResult result;
  const absl::Time start = absl::Now();
  while (absl::Now() - start < length && !stop.stop_requested()) {
    Connection connection;
    if (!connection.Open(to)) {
      return absl::UnavailableError(
          absl::StrCat("cannot connect to ", address));
    }
    ++result.connections;
    uint32_t stream = 1;
    while (absl::Now() - start < length && !stop.stop_requested()) {
      const double due = static_cast<double>(result.streams) / rate;
      absl::SleepFor(start + absl::Seconds(due) - absl::Now());
      if (stream > kLastStream - 2 * kStreamsAtOnce) break;
      std::string burst;
      for (uint64_t i = 0; i < kStreamsAtOnce; ++i, stream += 2) {
        AppendFrame(kHeaders, kEndHeaders, stream, headers, &burst);
        AppendFrame(kReset, 0, stream, cancel, &burst);
      }
      if (!connection.Send(burst)) break;
      result.streams += kStreamsAtOnce;
    }
  }
  result.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  return result;
}

}  // namespace braid::services
