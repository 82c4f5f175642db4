#include "services/http/server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "services/http/connection.h"

namespace braid::services::http {
namespace {

// The library's own pool takes any number of connections.
class BoundedPool final : public httplib::TaskQueue {
 public:
  explicit BoundedPool(size_t threads) : max_waiting_(threads) {
    for (size_t i = 0; i < threads; ++i) {
      threads_.emplace_back([this] { Loop(); });
    }
  }

  // Called by the thread that accepts, which waits here when there is no room.
  void enqueue(std::function<void()> serve) override {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return waiting_.size() < max_waiting_; });
    waiting_.push_back(std::move(serve));
    changed_.notify_all();
  }

  void shutdown() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void Loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
      // What was accepted is closed by serving it, also at the end.
      if (waiting_.empty()) return;
      const std::function<void()> serve = std::move(waiting_.front());
      waiting_.pop_front();
      changed_.notify_all();
      lock.unlock();
      serve();
      lock.lock();
    }
  }

  const size_t max_waiting_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

// What the library reads is a head that has arrived whole.
class HeadStream final : public httplib::Stream {
 public:
  HeadStream(int socket, std::string head, absl::Time write_deadline)
      : socket_(socket),
        head_(std::move(head)),
        write_deadline_(write_deadline) {}

  bool is_readable() const override { return read_ < head_.size(); }
  bool is_writable() const override { return true; }
  ssize_t read(char* out, size_t size) override {
    const size_t count = std::min(size, head_.size() - read_);
    head_.copy(out, count, read_);
    read_ += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* data, size_t size) override {
    if (!SendAll(socket_, absl::string_view(data, size), write_deadline_)) {
      return -1;
    }
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return socket_; }

 private:
  const int socket_;
  const std::string head_;
  const absl::Time write_deadline_;
  size_t read_ = 0;
};

struct HostPort {
  std::string host;
  int port = 0;
};

absl::StatusOr<HostPort> ParseAddress(absl::string_view address) {
  const size_t colon = address.rfind(':');
  absl::string_view host = address.substr(0, colon);
  HostPort parsed;
  const bool numeric =
      colon != absl::string_view::npos &&
      absl::SimpleAtoi(address.substr(colon + 1), &parsed.port) &&
      parsed.port >= 0 && parsed.port <= 65535;
  const bool bracketed =
      absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  if (!numeric || host.empty() ||
      (!bracketed && host.find(':') != absl::string_view::npos)) {
    return absl::InvalidArgumentError(absl::StrCat("not HOST:PORT: ", address));
  }
  parsed.host = std::string(host);
  return parsed;
}

class ServerImpl final : public Server, private httplib::Server {
 public:
  ServerImpl(const ServerOptions& options, std::vector<Route> routes)
      : options_(options), routes_(std::move(routes)) {
    new_task_queue = [threads = options.threads] {
      return new BoundedPool(static_cast<size_t>(threads));
    };
    // Not SO_REUSEPORT, as the library would: two servers on one port would
    // share its requests without a word.
    set_socket_options([](socket_t socket) {
      const int on = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    });
    // Before the library's own routing, which works by regular expressions.
    set_pre_routing_handler(
        [this](const httplib::Request& request, httplib::Response& response) {
          Answer(request, &response);
          return HandlerResponse::Handled;
        });
  }

  ~ServerImpl() override {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      for (const int socket : open_) ::shutdown(socket, SHUT_RDWR);
    }
    // Before the loop has begun, the library would take no notice.
    while (!is_running()) std::this_thread::yield();
    stop();
    thread_.join();
  }

  absl::Status Listen() {
    absl::StatusOr<HostPort> at = ParseAddress(options_.address);
    if (!at.ok()) return at.status();
    if (at->port == 0) {
      at->port = bind_to_any_port(at->host);
    } else if (!bind_to_port(at->host, at->port)) {
      at->port = -1;
    }
    if (at->port < 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", options_.address));
    }
    address_ = absl::StrCat(
        options_.address.substr(0, options_.address.rfind(':')), ":", at->port);
    thread_ = std::thread([this] { listen_after_bind(); });
    return absl::OkStatus();
  }

  const std::string& address() const override { return address_; }

 private:
  void Answer(const httplib::Request& request,
              httplib::Response* response) const {
    const auto route = std::find_if(
        routes_.begin(), routes_.end(),
        [&](const Route& one) { return one.path == request.path; });
    Reply reply;
    if (route == routes_.end()) {
      reply = {.status = 404, .body = "no such path\n"};
    } else if (request.method != "GET" && request.method != "HEAD") {
      reply = {.status = 405, .body = "GET only\n"};
      response->set_header("Allow", "GET, HEAD");
    } else {
      try {
        reply = route->handler();
      } catch (const std::exception&) {
        // Nothing of it goes out: it may name files or hosts.
        reply = {.status = 500, .body = "internal error\n"};
      }
    }
    response->status = reply.status;
    response->set_content(std::move(reply.body), reply.content_type);
  }

  // Called by a thread of the pool for each connection.
  bool process_and_close_socket(socket_t socket) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) ::shutdown(socket, SHUT_RDWR);
      open_.insert(socket);
    }
    Serve(socket);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      open_.erase(socket);
    }
    Close(socket);
    return true;
  }

  void Serve(int socket) {
    absl::StatusOr<std::string> head = ReadHead(
        socket, options_.max_head_bytes, absl::Now() + options_.read_timeout);
    const absl::Time write_deadline = absl::Now() + options_.write_timeout;
    if (absl::IsAborted(head.status())) return;
    if (!head.ok()) {
      SendAll(socket,
              absl::StrCat("HTTP/1.1 ",
                           absl::IsDeadlineExceeded(head.status())
                               ? "408 Request Timeout"
                               : "431 Request Header Fields Too Large",
                           "\r\nConnection: close\r\nContent-Length: 0\r\n"
                           "\r\n"),
              write_deadline);
      return;
    }
    HeadStream stream(socket, WithoutRange(*head), write_deadline);
    bool closed = false;
    process_request(stream, /*close_connection=*/true, closed,
                    /*setup_request=*/nullptr);
  }

  const ServerOptions options_;
  const std::vector<Route> routes_;
  std::string address_;
  std::mutex mutex_;
  std::set<int> open_;     // under mutex_
  bool stopping_ = false;  // under mutex_
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const ServerOptions& options, std::vector<Route> routes) {
  auto server = std::make_unique<ServerImpl>(options, std::move(routes));
  absl::Status status = server->Listen();
  if (!status.ok()) return status;
  return server;
}

}  // namespace braid::services::http
