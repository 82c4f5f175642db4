// An HTTP/1.1 listener, in which everything is bounded.
#ifndef BRAID_SERVICES_HTTP_SERVER_H_
#define BRAID_SERVICES_HTTP_SERVER_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/http/message.h"
#include "services/http/tls.h"

namespace braid::services::http {

// One request and its reply, which is sent whole (Send) or as a stream (Start,
// then Write as often as there is something, then End). Thread-safe; the calls
// of one reply must follow each other. A request whose exchange is dropped
// without a reply is answered with 500; a stream that is dropped is cut off, so
// that its reader does not take it for whole.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const Request& request() const = 0;

  virtual void Send(Reply reply) = 0;

  // `head.body` is ignored.
  virtual void Start(Reply head) = 0;
  // One at a time. `done` is called on a thread of the server: true when the
  // bytes are with the kernel and more may come, false when the client is gone
  // and there is nobody to write for.
  virtual void Write(std::string bytes, std::function<void(bool)> done) = 0;
  virtual void End() = 0;

  // `gone` is called at most once, on a thread of the server: when the client
  // goes away, or the server closes, before the reply has ended. At most one.
  virtual void OnGone(std::function<void()> gone) = 0;
};

// Called on a thread of the server, which it must not hold up for long. What it
// throws becomes a 500 that says nothing.
using Handler = std::function<void(std::shared_ptr<Exchange> exchange)>;

struct ServerOptions {
  std::string address;  // host:port; [host]:port for IPv6; port 0: any free one
  std::optional<TlsOptions> tls;  // none: plaintext
  int threads = 2;
  // Connections at once: beyond it the one that has been idle is closed, and
  // where none is, connections wait in the kernel.
  int max_connections = 0;
  size_t max_head_bytes = 0;  // request line and headers together
  // Of one body; 0: bodies are not read, and the connection is closed after
  // the reply.
  size_t max_body_bytes = 0;
  // Of all bodies that are held at a time.
  size_t max_total_body_bytes = 0;
  // For all of a request's head (and the TLS handshake before it), for all of
  // its body, and for the client to take what one write sends: a client that
  // sends or takes a byte now and then gains nothing.
  absl::Duration head_timeout;
  absl::Duration body_timeout;
  absl::Duration write_timeout;
  // An idle connection is kept for the next request for so long; 0: every
  // connection has one request.
  absl::Duration keep_alive;
  // Told of every reply and its status; `path` is "" for what never was a
  // request. On a thread of the server. May be null.
  std::function<void(const std::string& path, int status)> on_reply;
};

// What is no request is answered with 400, 408, 413, 431, 501 or 505 and never
// reaches the handler.
class Server {
 public:
  // Serves until it is destroyed. INVALID_ARGUMENT if the address is none or
  // the certificate cannot be used; UNAVAILABLE if it cannot be bound.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, Handler handler);
  // Cuts off what is being served and waits for the threads.
  virtual ~Server() = default;

  // The address in effect, with the port that was chosen for port 0.
  virtual const std::string& address() const = 0;

  // Accepts no more connections, closes those on which no request is being
  // served, and waits for the others, at most until `deadline`. OnGone of those
  // that are not done is called then.
  virtual void Drain(std::chrono::steady_clock::time_point deadline) = 0;
};

// Answers GET and HEAD of fixed paths by functions that return at once: `path`
// is compared as it is, a query is ignored. 404 and 405 for everything else.
struct Route {
  std::string path;
  std::function<Reply()> handler;
};
Handler ServeRoutes(std::vector<Route> routes);

}  // namespace braid::services::http

#endif  // BRAID_SERVICES_HTTP_SERVER_H_
