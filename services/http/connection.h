// One connection of an HTTP listener.
#ifndef BRAID_SERVICES_HTTP_CONNECTION_H_
#define BRAID_SERVICES_HTTP_CONNECTION_H_

#include <openssl/ssl.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "services/http/server.h"

namespace braid::services::http {

// What the connections of one listener share. Thread-safe.
class ConnectionHost {
 public:
  ConnectionHost(const ServerOptions& options_in, Handler handler_in)
      : options(options_in), handler(std::move(handler_in)) {}
  virtual ~ConnectionHost() = default;

  const ServerOptions options;
  const Handler handler;
  std::atomic<bool> draining = false;  // no further request on any of them
  std::atomic<size_t> body_bytes_held = 0;

  // Whether a connection that is idle should close for another one.
  virtual bool NeedsRoom() = 0;
  // A connection has closed. Called once for each.
  virtual void Remove(class Connection* connection) = 0;
};

// Lives as long as it has something to do; its functions may be called by any
// thread.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  virtual ~Connection() = default;

  virtual void Start() = 0;
  // Cuts it off whatever it does.
  virtual void Close() = 0;
  // Closes it if it waits for the beginning of a request.
  virtual void CloseIfIdle() = 0;
  // Closes it unless a request of it is being served.
  virtual void CloseUnlessServing() = 0;
  // Whether it waits for the beginning of a request, now.
  virtual bool idle() const = 0;

  // For the exchange of the request that is being served. Work runs in the
  // order in which it is posted, and the rest is called by such work alone.
  virtual void Post(std::function<void()> work) = 0;
  // Which request is being served. An exchange that somebody keeps after its
  // reply has no say in the next one.
  virtual uint64_t request_number() const = 0;
  virtual void Send(Reply reply) = 0;
  virtual void StartStream(Reply head) = 0;
  virtual void WriteStream(std::string bytes,
                           std::function<void(bool)> done) = 0;
  virtual void EndStream() = 0;
  virtual void OnGone(std::function<void()> gone) = 0;
  // Nobody will answer any more.
  virtual void Abandon() = 0;
};

// What the handler gets of a connection.
std::shared_ptr<Exchange> MakeExchange(std::shared_ptr<Connection> connection,
                                       Request request);

// `tls` is null for plaintext. The socket's executor must be a strand.
std::shared_ptr<Connection> MakeConnection(std::shared_ptr<ConnectionHost> host,
                                           boost::asio::ip::tcp::socket socket,
                                           const std::shared_ptr<SSL_CTX>& tls);

}  // namespace braid::services::http

#endif  // BRAID_SERVICES_HTTP_CONNECTION_H_
