// Whatever a client sends to the HTTP listener, it is answered or cut off, and
// a handler runs only for what is answered with its reply.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "services/http/server.h"

namespace {

using braid::services::http::Reply;
using braid::services::http::Server;

std::atomic<int> calls = 0;

int Start() {
  static const std::unique_ptr<Server> server =
      *Server::Start({.address = "127.0.0.1:0",
                      .threads = 1,
                      .max_head_bytes = 16 << 10,
                      .read_timeout = absl::Seconds(2),
                      .write_timeout = absl::Seconds(10)},
                     {{"/hello", [] {
                         ++calls;
                         return Reply{.body = "hello"};
                       }}});
  const std::string& address = server->address();
  int port = 0;
  if (!absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) {
    std::abort();
  }
  return port;
}

[[noreturn]] void Fail(const char* call) {
  std::perror(call);
  std::abort();
}

std::string Ask(int port, const uint8_t* data, size_t size) {
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  // From another address of this machine each time: closed connections keep
  // their ports for a minute.
  static uint32_t asked = 0;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + ++asked % (1 << 20));
  if (bind(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
      0) {
    Fail("bind");
  }
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // The fuzzer's alarm interrupts calls; a connect that was goes on by itself.
  if (connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
          0 &&
      errno != EINTR) {
    Fail("connect");
  }
  pollfd connected = {.fd = client, .events = POLLOUT, .revents = 0};
  while (poll(&connected, 1, /*timeout=*/-1) < 0 && errno == EINTR) {
  }
  while (send(client, data, size, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
  shutdown(client, SHUT_WR);
  std::string reply;
  char buffer[4096];
  ssize_t count;
  while ((count = recv(client, buffer, sizeof(buffer), 0)) > 0 ||
         (count < 0 && errno == EINTR)) {
    if (count > 0) reply.append(buffer, static_cast<size_t>(count));
  }
  close(client);
  return reply;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int port = Start();
  const int before = calls;
  const std::string reply = Ask(port, data, size);
  if (!reply.empty() && !absl::StartsWith(reply, "HTTP/1.1 ")) std::abort();
  const bool ok = absl::StrContains(reply, "HTTP/1.1 200 OK\r\n");
  if (ok != (calls == before + 1) || calls > before + 1) std::abort();
  return 0;
}
