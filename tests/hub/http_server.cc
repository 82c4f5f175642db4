#include "tests/hub/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace braid::services::hub {
namespace {

void SendAll(int connection, const std::string& text) {
  size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t count =
        send(connection, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return;
    sent += static_cast<size_t>(count);
  }
}

HttpRequest Parse(const std::string& head) {
  HttpRequest request;
  std::istringstream lines(head);
  std::string line;
  std::getline(lines, line);
  std::istringstream(line).ignore(16, ' ') >> request.target;
  while (std::getline(lines, line)) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    request.headers[absl::AsciiStrToLower(line.substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
  return request;
}

}  // namespace

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  // The machine's proxy has no business with this one.
  setenv("no_proxy", "127.0.0.1,localhost", 1);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (listener_ < 0 || pipe(quit_) != 0 ||
      bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, 16) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) !=
          0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

HttpServer::~HttpServer() {
  (void)!write(quit_[1], "q", 1);
  thread_.join();
  for (const int fd : {listener_, quit_[0], quit_[1]}) close(fd);
}

std::string HttpServer::url() const {
  return absl::StrCat("http://127.0.0.1:", port_);
}

std::vector<HttpRequest> HttpServer::requests() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return requests_;
}

void HttpServer::Serve() {
  while (true) {
    pollfd events[2] = {{listener_, POLLIN, 0}, {quit_[0], POLLIN, 0}};
    if (poll(events, 2, -1) < 0 || events[1].revents != 0) return;
    const int connection = accept(listener_, nullptr, nullptr);
    if (connection < 0) continue;
    Answer(connection);
    close(connection);
  }
}

void HttpServer::Answer(int connection) {
  std::string head;
  char buffer[4096];
  while (head.find("\r\n\r\n") == std::string::npos) {
    pollfd events[2] = {{connection, POLLIN, 0}, {quit_[0], POLLIN, 0}};
    if (poll(events, 2, -1) < 0 || events[1].revents != 0) return;
    const ssize_t count = recv(connection, buffer, sizeof(buffer), 0);
    if (count <= 0) return;
    head.append(buffer, static_cast<size_t>(count));
  }
  const HttpRequest request = Parse(head);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    requests_.push_back(request);
  }
  const HttpReply reply = handler_(request);
  std::string text = absl::StrCat("HTTP/1.1 ", reply.status,
                                  " Whatever\r\nConnection: close\r\n");
  for (const std::string& header : reply.headers) {
    absl::StrAppend(&text, header, "\r\n");
  }
  absl::StrAppend(&text, "Content-Length: ", reply.body.size(), "\r\n\r\n");
  SendAll(connection, text + reply.body.substr(0, reply.drop_after.value_or(
                                                      reply.body.size())));
  if (reply.hang) {
    pollfd events[2] = {{connection, POLLIN, 0}, {quit_[0], POLLIN, 0}};
    poll(events, 2, -1);
  }
}

}  // namespace braid::services::hub
