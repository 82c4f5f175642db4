// A small HTTP/1.1 listener: fixed paths, GET only, everything bounded.
#ifndef BRAID_SERVICES_HTTP_SERVER_H_
#define BRAID_SERVICES_HTTP_SERVER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace braid::services::http {

struct Reply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Answers GET and HEAD of exactly this path; a query is ignored. The handler is
// called by several threads at once.
struct Route {
  std::string path;
  std::function<Reply()> handler;
};

struct ServerOptions {
  std::string address;  // host:port; [host]:port for IPv6; port 0: any free one
  // Requests that are read and answered at once; as many more wait, and beyond
  // that connections wait in the kernel.
  int threads = 0;
  size_t max_head_bytes = 0;  // request line and header together
  // For all of the request's head, and for all of the reply: a client that
  // sends or takes a byte now and then gains nothing.
  absl::Duration read_timeout;
  absl::Duration write_timeout;
};

// One request a connection. What is not a request of one of the routes is
// answered with 400, 404, 405, 408 or 431 and never reaches a handler; bodies
// are not read. No TLS: for addresses that only operators reach.
class Server {
 public:
  // Serves until it is destroyed. INVALID_ARGUMENT if the address is none;
  // UNAVAILABLE if it cannot be bound.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, std::vector<Route> routes);
  // Cuts off what is being served, waits for handlers to return.
  virtual ~Server() = default;

  // The address in effect, with the port that was chosen for port 0.
  virtual const std::string& address() const = 0;
};

}  // namespace braid::services::http

#endif  // BRAID_SERVICES_HTTP_SERVER_H_
