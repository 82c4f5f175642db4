// A small HTTP server inside a test, as badly behaved as the test wants it.
#ifndef BRAID_TESTS_HUB_HTTP_SERVER_H_
#define BRAID_TESTS_HUB_HTTP_SERVER_H_

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace braid::services::hub {

struct HttpRequest {
  std::string target;                          // path and query
  std::map<std::string, std::string> headers;  // names in lower case
};

struct HttpReply {
  int status = 200;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
  // The connection breaks after so many bytes of the body.
  std::optional<size_t> drop_after;
  // Nothing more is sent after these bytes, but the connection stays open until
  // the client or the server ends.
  bool hang = false;
};

// Answers one request a connection, one connection at a time, on a thread of
// its own.
class HttpServer {
 public:
  using Handler = std::function<HttpReply(const HttpRequest&)>;

  explicit HttpServer(Handler handler);
  ~HttpServer();

  std::string url() const;  // http://127.0.0.1:PORT
  // What was asked for so far.
  std::vector<HttpRequest> requests() const;

 private:
  void Serve();
  void Answer(int connection);

  const Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  int quit_[2] = {-1, -1};
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::thread thread_;
};

}  // namespace braid::services::hub

#endif  // BRAID_TESTS_HUB_HTTP_SERVER_H_
