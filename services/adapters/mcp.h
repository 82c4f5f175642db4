// The Model Context Protocol over streamable HTTP, at /mcp: the tools `search`
// and `answer`, without sessions.
//
// Revision 2026-07-28, in which every request says its version; and, with the
// handshake of `initialize`, 2025-11-25, 2025-06-18 and 2025-03-26. Every
// request needs what a call of the API needs; what a caller may not read is an
// error of the tool. The text of an answer is sent as it comes, as progress
// notifications, to a client that gives a progress token and accepts
// text/event-stream.
#ifndef BRAID_SERVICES_ADAPTERS_MCP_H_
#define BRAID_SERVICES_ADAPTERS_MCP_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/adapters/grpc_bridge.h"
#include "services/adapters/json.h"
#include "services/http/server.h"

namespace braid::services::adapters {

inline constexpr char kMcpPath[] = "/mcp";
inline constexpr char kMcpRevision[] = "2026-07-28";

// A JSON-RPC error of a request that does not reach a tool.
struct McpError {
  int code = 0;  // JSON-RPC's or MCP's
  int http_status = 400;
  std::string message;
  Json data;
};

// What one POST asks.
struct McpRequest {
  Json id;  // null for what wants no reply
  std::string method;
  Json params = Json::object();
  bool modern = false;  // of revision 2026-07-28
  Json progress_token;  // null for none
};

// Null if the request is in order; otherwise what is wrong. `parsed` holds what
// was understood so far.
std::unique_ptr<McpError> ParseMcp(const http::Request& request,
                                   McpRequest* parsed);

// The tools with their schemas, as `tools/list` has them.
const Json& McpTools();

// Thread-safe.
class McpServer {
 public:
  // `bridge` must outlive it.
  McpServer(GrpcBridge* bridge, std::string version)
      : bridge_(bridge), version_(std::move(version)) {}

  // For kMcpPath.
  void Serve(const std::shared_ptr<http::Exchange>& exchange) const;

 private:
  Json ServerInfo() const {
    return {{"name", "braid"}, {"title", "Braid"}, {"version", version_}};
  }
  // What a request that calls no tool gets, once its caller is known.
  Json ResultOf(const McpRequest& request) const;

  GrpcBridge* const bridge_;
  const std::string version_;
};

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_MCP_H_
