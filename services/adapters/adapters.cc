#include "services/adapters/adapters.h"

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/adapters/console.h"
#include "services/adapters/grpc_bridge.h"
#include "services/adapters/mcp.h"
#include "services/adapters/openai.h"
#include "services/adapters/origin.h"
#include "services/adapters/status_reply.h"
#include "services/adapters/transcoder.h"
#include "services/adapters/upload.h"

namespace braid::services::adapters {
namespace {

absl::string_view SurfaceOf(absl::string_view path) {
  if (IsConsolePath(path)) return "console";
  if (path == kMcpPath) return "mcp";
  if (OpenAi::HasPath(path)) return "openai";
  if (absl::StartsWith(path, "/v1/")) return "api";
  return "other";
}

class HttpAdaptersImpl final : public HttpAdapters {
 public:
  HttpAdaptersImpl(std::shared_ptr<grpc::Channel> channel,
                   AdapterOptions options, std::vector<HttpRule> rules)
      : options_(std::move(options)),
        bridge_(std::move(channel)),
        transcoder_(&bridge_, std::move(rules)),
        openai_(&bridge_),
        mcp_(&bridge_, options_.version) {}
  ~HttpAdaptersImpl() override { Close(std::chrono::steady_clock::now()); }

  absl::Status Listen() {
    http::ServerOptions listener = options_.listener;
    if (options_.on_reply) {
      listener.on_reply = [this](const std::string& path, int status) {
        options_.on_reply(SurfaceOf(path), status);
      };
    }
    auto server = http::Server::Start(
        listener,
        [this](std::shared_ptr<http::Exchange> exchange) { Serve(exchange); });
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    return absl::OkStatus();
  }

  const std::string& address() const override { return server_->address(); }

  void Close(std::chrono::steady_clock::time_point deadline) override {
    if (server_ == nullptr) return;
    server_->Drain(deadline);
    bridge_.Close();
  }

 private:
  void Serve(const std::shared_ptr<http::Exchange>& exchange) {
    const http::Request& request = exchange->request();
    if (IsConsolePath(request.path)) {
      return exchange->Send(ConsoleReply(request));
    }
    const absl::Status origin = CheckOrigin(request, options_.hosts);
    if (!origin.ok()) return exchange->Send(ErrorReply(ToProto(origin)));
    if (request.path == kMcpPath) return mcp_.Serve(exchange);
    if (OpenAi::HasPath(request.path)) return openai_.Serve(exchange);
    if (ServeUpload(&bridge_, exchange) || transcoder_.Serve(exchange)) return;
    exchange->Send(ErrorReply(
        MakeStatus(absl::StatusCode::kNotFound,
                   absl::StrCat("there is nothing at ", request.path))));
  }

  const AdapterOptions options_;
  GrpcBridge bridge_;
  const Transcoder transcoder_;
  const OpenAi openai_;
  const McpServer mcp_;
  std::unique_ptr<http::Server> server_;  // gone before what it calls
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpAdapters>> HttpAdapters::Start(
    std::shared_ptr<grpc::Channel> channel, AdapterOptions options) {
  auto rules = RulesOf(options.services);
  if (!rules.ok()) return rules.status();
  auto adapters = std::make_unique<HttpAdaptersImpl>(
      std::move(channel), std::move(options), *std::move(rules));
  absl::Status status = adapters->Listen();
  if (!status.ok()) return status;
  return adapters;
}

}  // namespace braid::services::adapters
