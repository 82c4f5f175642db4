// Whatever a client sends to the HTTP listener, it is answered or cut off, and
// nothing is answered with success that no handler has seen.
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

using braid::services::http::Exchange;
using braid::services::http::Server;

std::atomic<int> calls = 0;

// Answers with the size of the body, in one piece or in two.
void Serve(const std::shared_ptr<Exchange>& exchange) {
  ++calls;
  const std::string body = std::to_string(exchange->request().body.size());
  if (exchange->request().query.empty()) {
    exchange->Send({.body = body});
    return;
  }
  exchange->Start({});
  exchange->Write(body, [exchange](bool more) {
    if (!more) return;
    exchange->Write("!", nullptr);
    exchange->End();
  });
}

int Start() {
  static const std::unique_ptr<Server> server =
      *Server::Start({.address = "127.0.0.1:0",
                      .tls = {},
                      .threads = 1,
                      .max_connections = 4,
                      .max_head_bytes = 16 << 10,
                      .max_body_bytes = 64 << 10,
                      .max_total_body_bytes = 64 << 10,
                      .head_timeout = absl::Seconds(2),
                      .body_timeout = absl::Seconds(2),
                      .write_timeout = absl::Seconds(10),
                      .keep_alive = absl::Seconds(2),
                      .on_reply = {}},
                     Serve);
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
  // One input may hold several requests. Each call has one reply, but the
  // client has closed its half, so the last ones may be cut off.
  int replies = 0;
  for (size_t at = 0;
       (at = reply.find("HTTP/1.1 200 OK\r\n", at)) != std::string::npos;
       ++at) {
    ++replies;
  }
  if (replies > calls - before) std::abort();
  return 0;
}
