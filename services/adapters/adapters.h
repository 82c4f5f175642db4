// What is served over HTTP: the API as JSON, OpenAI's, MCP, and the console.
#ifndef BRAID_SERVICES_ADAPTERS_ADAPTERS_H_
#define BRAID_SERVICES_ADAPTERS_ADAPTERS_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "services/http/server.h"

namespace braid::services::adapters {

struct AdapterOptions {
  http::ServerOptions listener;
  std::vector<std::string> services;  // full names: the API
  std::vector<std::string> hosts;     // see origin.h
  std::string version;                // of this program
  // Told of every reply: which of kSurfaces, and its status. May be null.
  std::function<void(absl::string_view surface, int status)> on_reply;
};

// What a request is counted as: `other` is what no adapter knows, and what is
// no request.
inline constexpr const char* kSurfaces[] = {"api", "openai", "mcp", "console",
                                            "other"};

// Every request becomes a call over `channel`, with the rights of the key or
// token that it brings and of nothing else.
class HttpAdapters {
 public:
  // The server behind `channel` must outlive the adapters. As
  // http::Server::Start; INVALID_ARGUMENT for services that cannot be served.
  static absl::StatusOr<std::unique_ptr<HttpAdapters>> Start(
      std::shared_ptr<grpc::Channel> channel, AdapterOptions options);
  virtual ~HttpAdapters() = default;

  // With the port that was chosen for port 0.
  virtual const std::string& address() const = 0;
  // Waits for what is being served, at most until `deadline`, cancels the rest,
  // and serves nothing more.
  virtual void Close(std::chrono::steady_clock::time_point deadline) = 0;
};

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_ADAPTERS_H_
