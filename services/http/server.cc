#include "services/http/server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "services/http/connection.h"

namespace braid::services::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::seconds kReloadInterval{1};
// Where the process has no descriptor left for a connection, for example.
constexpr std::chrono::milliseconds kAcceptPause{50};

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

// Owned by the server and by its connections: an exchange that somebody still
// holds can always be answered, into nothing if need be.
class Listener final : public ConnectionHost,
                       public std::enable_shared_from_this<Listener> {
 public:
  Listener(const ServerOptions& options_in, Handler handler_in)
      : ConnectionHost(options_in, std::move(handler_in)),
        acceptor_(asio::make_strand(context_)),
        pause_(acceptor_.get_executor()),
        reload_(acceptor_.get_executor()) {}

  absl::StatusOr<int> Listen() {
    absl::StatusOr<HostPort> at = ParseAddress(options.address);
    if (!at.ok()) return at.status();
    if (options.tls.has_value()) {
      auto certificate = Certificate::Load(*options.tls);
      if (!certificate.ok()) return certificate.status();
      certificate_ = *std::move(certificate);
    }
    error_code error;
    tcp::resolver resolver(context_);
    const auto found = resolver.resolve(
        at->host, absl::StrCat(at->port),
        tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (!error) {
      const tcp::endpoint endpoint = found.begin()->endpoint();
      acceptor_.open(endpoint.protocol(), error);
      // Not SO_REUSEPORT: two servers on one port would share its requests
      // without a word.
      if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true));
      if (!error) acceptor_.bind(endpoint, error);
      if (!error)
        acceptor_.listen(asio::socket_base::max_listen_connections, error);
    }
    if (error) {
      return absl::UnavailableError(absl::StrCat(
          "cannot listen on ", options.address, ": ", error.message()));
    }
    const int port = acceptor_.local_endpoint().port();
    asio::post(acceptor_.get_executor(),
               [self = shared_from_this()] { self->Accept(); });
    if (certificate_ != nullptr) {
      asio::post(acceptor_.get_executor(),
                 [self = shared_from_this()] { self->WatchCertificate(); });
    }
    return port;
  }

  void Run() {
    while (true) {
      try {
        context_.run();
        return;
      } catch (const std::exception&) {
        // One connection's memory, for example: the others go on.
      }
    }
  }

  bool NeedsRoom() override { return waiting_; }

  void Remove(Connection* connection) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    connections_.erase(connection);
    changed_.notify_all();
    if (!waiting_.exchange(false)) return;
    asio::post(acceptor_.get_executor(),
               [self = shared_from_this()] { self->TakeNext(); });
  }

  void StopAccepting() {
    draining = true;
    asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
      error_code ignored;
      self->acceptor_.close(ignored);
      self->pause_.cancel(ignored);
      self->next_.reset();
    });
    for (const auto& connection : Connections()) {
      connection->CloseUnlessServing();
    }
  }
  void WaitUntilEmpty(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_until(lock, deadline,
                        [this] { return connections_.empty(); });
  }
  void CloseAll() {
    for (const auto& connection : Connections()) connection->Close();
  }
  // After it Run ends as soon as nothing is left to do.
  void Stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    StopAccepting();
    CloseAll();
    asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
      error_code ignored;
      self->reload_.cancel(ignored);
      self->work_.reset();
    });
  }

 private:
  std::vector<std::shared_ptr<Connection>> Connections() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::shared_ptr<Connection>> all;
    for (Connection* connection : connections_) {
      // Null for one whose last reference goes just now.
      if (auto held = connection->weak_from_this().lock()) {
        all.push_back(std::move(held));
      }
    }
    return all;
  }

  // On the acceptor's strand, like what follows it.
  void Accept() {
    if (!acceptor_.is_open() || draining) return;
    acceptor_.async_accept(asio::make_strand(context_),
                           [self = shared_from_this()](const error_code& error,
                                                       tcp::socket socket) {
                             if (error == asio::error::operation_aborted)
                               return;
                             if (error) return self->Pause();
                             self->next_ = std::move(socket);
                             if (self->HasRoom()) self->TakeNext();
                           });
  }

  // If there is none, Remove goes on with the connection.
  bool HasRoom() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (connections_.size() < static_cast<size_t>(options.max_connections)) {
      return true;
    }
    waiting_ = true;
    const auto idle =
        std::find_if(connections_.begin(), connections_.end(),
                     [](const Connection* one) { return one->idle(); });
    if (idle != connections_.end()) {
      if (const auto held = (*idle)->weak_from_this().lock()) {
        held->CloseIfIdle();
      }
    }
    return false;
  }

  void TakeNext() {
    if (!next_.has_value()) return;
    tcp::socket socket = *std::move(next_);
    next_.reset();
    Take(std::move(socket));
    Accept();
  }

  void Pause() {
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->Accept();
    });
  }

  void Take(tcp::socket socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const auto connection = MakeConnection(
        shared_from_this(), std::move(socket),
        certificate_ == nullptr ? nullptr : certificate_->context());
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopped_) return;
      connections_.insert(connection.get());
    }
    connection->Start();
  }

  // A wait that ended before Stop cancelled it may come after: without the look
  // at `draining`, it would wait again for ever.
  void WatchCertificate() {
    if (draining) return;
    certificate_->ReloadIfChanged();
    reload_.expires_after(kReloadInterval);
    reload_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->WatchCertificate();
    });
  }

  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_ =
      asio::make_work_guard(context_);
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  asio::steady_timer reload_;
  std::unique_ptr<Certificate> certificate_;  // null for plaintext
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<Connection*> connections_;  // under mutex_
  bool stopped_ = false;               // under mutex_
  // Accepted, and not served before another connection has closed.
  std::optional<tcp::socket> next_;
  std::atomic<bool> waiting_ = false;
};

class ServerImpl final : public Server {
 public:
  ServerImpl(const ServerOptions& options, Handler handler)
      : listener_(std::make_shared<Listener>(options, std::move(handler))) {}

  ~ServerImpl() override {
    if (threads_.empty()) return;
    listener_->Stop();
    for (std::thread& thread : threads_) thread.join();
  }

  absl::Status Listen() {
    const absl::StatusOr<int> port = listener_->Listen();
    if (!port.ok()) return port.status();
    const std::string& address = listener_->options.address;
    address_ = absl::StrCat(address.substr(0, address.rfind(':')), ":", *port);
    for (int i = 0; i < listener_->options.threads; ++i) {
      threads_.emplace_back([listener = listener_] { listener->Run(); });
    }
    return absl::OkStatus();
  }

  const std::string& address() const override { return address_; }

  void Drain(std::chrono::steady_clock::time_point deadline) override {
    listener_->StopAccepting();
    listener_->WaitUntilEmpty(deadline);
    listener_->CloseAll();
  }

 private:
  const std::shared_ptr<Listener> listener_;
  std::string address_;
  std::vector<std::thread> threads_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const ServerOptions& options, Handler handler) {
  auto server = std::make_unique<ServerImpl>(options, std::move(handler));
  absl::Status status = server->Listen();
  if (!status.ok()) return status;
  return server;
}

Handler ServeRoutes(std::vector<Route> routes) {
  return [routes = std::move(routes)](std::shared_ptr<Exchange> exchange) {
    const Request& request = exchange->request();
    const auto route = std::find_if(
        routes.begin(), routes.end(),
        [&](const Route& one) { return one.path == request.path; });
    if (route == routes.end()) {
      exchange->Send({.status = 404, .body = "no such path\n"});
    } else if (request.method != "GET" && request.method != "HEAD") {
      exchange->Send({.status = 405,
                      .headers = {{"Allow", "GET, HEAD"}},
                      .body = "GET only\n"});
    } else {
      exchange->Send(route->handler());
    }
  };
}

}  // namespace braid::services::http
