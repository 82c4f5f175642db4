#include "services/adapters/mcp.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "braid/v1/admin_service.pb.h"
#include "services/adapters/answer_text.h"
#include "services/adapters/event_stream.h"
#include "services/adapters/mcp_tools.h"
#include "services/adapters/status_reply.h"

namespace braid::services::adapters {
namespace {

using google::protobuf::Message;

// Those that begin with `initialize`, the newest first.
constexpr const char* kHandshakeRevisions[] = {"2025-11-25", "2025-06-18",
                                               "2025-03-26"};
constexpr int kParseError = -32700;
constexpr int kInvalidRequest = -32600;
constexpr int kMethodNotFound = -32601;
constexpr int kInvalidParams = -32602;
constexpr int kUnauthorized = -32001;
constexpr int kHeaderMismatch = -32020;
constexpr int kUnsupportedVersion = -32022;

constexpr char kMetaPrefix[] = "io.modelcontextprotocol/";
constexpr char kInstructions[] =
    "Ask `answer` for an answer with citations, `search` for passages. Quote "
    "citations as they are: they were compared with the stored documents.";

const google::protobuf::MethodDescriptor& Method(const char* name) {
  return *google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
      name);
}

bool IsHandshakeRevision(absl::string_view revision) {
  return std::find(std::begin(kHandshakeRevisions),
                   std::end(kHandshakeRevisions),
                   revision) != std::end(kHandshakeRevisions);
}

std::unique_ptr<McpError> Wrong(int code, std::string message,
                                int http_status = 400, Json data = nullptr) {
  return std::make_unique<McpError>(
      McpError{code, http_status, std::move(message), std::move(data)});
}

Json Field(const Json& object, const std::string& name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? Json() : *found;
}

// What a request of the newest revision must say in its body and repeat in its
// headers.
std::unique_ptr<McpError> CheckEnvelope(const http::Request& request,
                                        const McpRequest& parsed) {
  const Json meta = Field(parsed.params, "_meta");
  for (const char* key : {"protocolVersion", "clientCapabilities"}) {
    if (Field(meta, absl::StrCat(kMetaPrefix, key)).is_null()) {
      return Wrong(kInvalidParams,
                   absl::StrCat("params._meta has no ", kMetaPrefix, key));
    }
  }
  if (Field(meta, absl::StrCat(kMetaPrefix, "protocolVersion")) !=
          request.Header("mcp-protocol-version") ||
      parsed.method != request.Header("mcp-method")) {
    return Wrong(
        kHeaderMismatch,
        "mcp-protocol-version or mcp-method is not what the body says");
  }
  if (parsed.method == "tools/call" &&
      Field(parsed.params, "name") != request.Header("mcp-name")) {
    return Wrong(kHeaderMismatch, "mcp-name is not the name of the tool");
  }
  return nullptr;
}

http::Reply JsonReply(const Json& json, int status = 200) {
  return {.status = status, .content_type = kJsonType, .body = Dump(json)};
}

Json ErrorJson(const Json& id, const McpError& error) {
  Json object = {{"code", error.code}, {"message", error.message}};
  if (!error.data.is_null()) object["data"] = error.data;
  return {{"jsonrpc", "2.0"}, {"id", id}, {"error", std::move(object)}};
}

http::Reply ErrorOf(const Json& id, const McpError& error) {
  return JsonReply(ErrorJson(id, error), error.http_status);
}

// A caller that is not known, or not before some time, is told so in HTTP's
// way, everything else is a matter between tool and model.
bool IsTransportError(const google::rpc::Status& status) {
  const auto code = static_cast<absl::StatusCode>(status.code());
  return code == absl::StatusCode::kUnauthenticated ||
         code == absl::StatusCode::kResourceExhausted ||
         code == absl::StatusCode::kUnavailable;
}
http::Reply TransportError(const Json& id, const google::rpc::Status& status) {
  http::Reply reply = ErrorOf(
      id,
      {kUnauthorized, HttpStatusOf(status.code()),
       absl::StrCat(CodeName(status.code()), ": ", status.message()), nullptr});
  reply.headers = ErrorHeaders(status);
  return reply;
}

// Puts results into replies.
class Replier {
 public:
  Replier(const McpRequest& request, Json server_info)
      : id_(request.id),
        modern_(request.modern),
        server_info_(std::move(server_info)) {}

  const Json& id() const { return id_; }
  Json Wrap(Json result) const {
    if (modern_) {
      result["resultType"] = "complete";
      result["_meta"][absl::StrCat(kMetaPrefix, "serverInfo")] = server_info_;
    }
    return {{"jsonrpc", "2.0"}, {"id", id_}, {"result", std::move(result)}};
  }

 private:
  const Json id_;
  const bool modern_;
  const Json server_info_;
};

// The text of an answer as progress, then the result.
class AnswerStream final : public StreamWriter {
 public:
  AnswerStream(Replier replier, Json progress_token)
      : replier_(std::move(replier)), token_(std::move(progress_token)) {}

  std::string content_type() const override { return kEventStreamType; }
  std::string Write(const Message& message) override {
    const auto& event = static_cast<const v1::AnswerResponse&>(message);
    answer_.Add(event);
    if (!event.has_delta()) return "";
    return ServerSentEvent(Dump({{"jsonrpc", "2.0"},
                                 {"method", "notifications/progress"},
                                 {"params",
                                  {{"progressToken", token_},
                                   {"progress", ++progress_},
                                   {"message", event.delta()}}}}));
  }
  std::string End(const google::rpc::Status& status) override {
    return ServerSentEvent(Dump(replier_.Wrap(
        status.code() == 0 ? AnswerResult(answer_) : ErrorResult(status))));
  }
  http::Reply Error(const google::rpc::Status& status) override {
    return IsTransportError(status)
               ? TransportError(replier_.id(), status)
               : JsonReply(replier_.Wrap(ErrorResult(status)));
  }

 private:
  const Replier replier_;
  const Json token_;
  AnswerText answer_;
  int progress_ = 0;
};

void Answer(GrpcBridge* bridge, const CallHeaders& headers,
            const v1::AnswerRequest& answer, const McpRequest& request,
            const Replier& replier,
            const std::shared_ptr<http::Exchange>& exchange) {
  std::vector<std::unique_ptr<Message>> requests;
  requests.push_back(std::make_unique<v1::AnswerRequest>(answer));
  const auto& method = Method("braid.v1.AnswerService.Answer");
  const bool streams =
      !request.progress_token.is_null() &&
      absl::StrContains(exchange->request().Header("accept"), kEventStreamType);
  if (streams) {
    return StreamCall(
        bridge, method, headers, std::move(requests), exchange,
        std::make_shared<AnswerStream>(replier, request.progress_token));
  }
  const auto collected = std::make_shared<AnswerText>();
  const auto call = bridge->Start(
      method, headers, std::move(requests),
      {.message =
           [collected](const std::shared_ptr<GrpcBridge::Call>& current,
                       const Message& message) {
             collected->Add(static_cast<const v1::AnswerResponse&>(message));
             current->Next();
           },
       .end =
           [=](GrpcBridge::Call&, const google::rpc::Status& status) {
             if (IsTransportError(status)) {
               return exchange->Send(TransportError(replier.id(), status));
             }
             exchange->Send(JsonReply(
                 replier.Wrap(status.code() == 0 ? AnswerResult(*collected)
                                                 : ErrorResult(status))));
           }});
  exchange->OnGone([call] { call->Cancel(); });
}

void Search(GrpcBridge* bridge, const CallHeaders& headers,
            const v1::SearchRequest& search, const Replier& replier,
            const std::shared_ptr<http::Exchange>& exchange) {
  const auto call = CallUnary(
      bridge, Method("braid.v1.RetrievalService.Search"), headers,
      std::make_unique<v1::SearchRequest>(search),
      [=](const GrpcBridge::Call&, const google::rpc::Status& status,
          const Message* message) {
        if (IsTransportError(status)) {
          return exchange->Send(TransportError(replier.id(), status));
        }
        exchange->Send(JsonReply(replier.Wrap(
            message == nullptr
                ? ErrorResult(status)
                : SearchResult(
                      static_cast<const v1::SearchResponse&>(*message)))));
      });
  exchange->OnGone([call] { call->Cancel(); });
}

}  // namespace

std::unique_ptr<McpError> ParseMcp(const http::Request& request,
                                   McpRequest* parsed) {
  const auto body = ParseJsonObject(request.body);
  if (!body.ok()) {
    return Wrong(kParseError, std::string(body.status().message()));
  }
  const Json id = Field(*body, "id");
  if (!id.is_null() && !id.is_string() && !id.is_number_integer()) {
    return Wrong(kInvalidRequest, "the id is no text and no integer");
  }
  parsed->id = id;
  const Json method = Field(*body, "method");
  const bool reply = body->contains("result") || body->contains("error");
  if (Field(*body, "jsonrpc") != "2.0" || !(method.is_string() || reply)) {
    return Wrong(kInvalidRequest, "not a message of JSON-RPC 2.0");
  }
  if (reply) parsed->id = nullptr;
  if (method.is_string()) parsed->method = method.get<std::string>();
  if (const Json params = Field(*body, "params"); !params.is_null()) {
    if (!params.is_object()) {
      return Wrong(kInvalidParams, "params must be an object");
    }
    parsed->params = params;
  }
  const std::string revision = request.Header("mcp-protocol-version");
  parsed->modern = revision == kMcpRevision;
  if (!revision.empty() && !parsed->modern && !IsHandshakeRevision(revision)) {
    Json supported = Json::array({kMcpRevision});
    for (const char* one : kHandshakeRevisions) supported.push_back(one);
    return Wrong(kUnsupportedVersion, "this protocol version is not supported",
                 400, {{"supported", supported}, {"requested", revision}});
  }
  if (parsed->id.is_null()) return nullptr;
  const Json token = Field(Field(parsed->params, "_meta"), "progressToken");
  if (token.is_string() || token.is_number_integer()) {
    parsed->progress_token = token;
  }
  return parsed->modern ? CheckEnvelope(request, *parsed) : nullptr;
}

Json McpServer::ResultOf(const McpRequest& request) const {
  if (request.method == "initialize") {
    const Json wanted = Field(request.params, "protocolVersion");
    const bool known =
        wanted.is_string() && IsHandshakeRevision(wanted.get<std::string>());
    return {{"protocolVersion", known ? wanted : Json(kHandshakeRevisions[0])},
            {"capabilities", {{"tools", Json::object()}}},
            {"serverInfo", ServerInfo()},
            {"instructions", kInstructions}};
  }
  Json result = Json::object();
  if (request.method == "server/discover") {
    result = {{"supportedVersions", {kMcpRevision}},
              {"capabilities", {{"tools", Json::object()}}},
              {"instructions", kInstructions}};
  } else if (request.method == "tools/list") {
    result["tools"] = McpTools();
  }
  if (request.modern && request.method != "ping") {
    result["ttlMs"] = 0;
    result["cacheScope"] = "private";
  }
  return result;
}

void McpServer::Serve(const std::shared_ptr<http::Exchange>& exchange) const {
  const http::Request& http_request = exchange->request();
  if (http_request.method != "POST") {
    // There is nothing that the server would say by itself, and no session.
    return exchange->Send(
        {.status = 405, .headers = {{"Allow", "POST"}}, .body = "POST only\n"});
  }
  McpRequest request;
  if (const auto wrong = ParseMcp(http_request, &request)) {
    return exchange->Send(ErrorOf(request.id, *wrong));
  }
  if (request.id.is_null()) {
    return exchange->Send({.status = 202, .content_type = ""});
  }
  const auto headers = HeadersOf(http_request);
  if (!headers.ok()) {
    return exchange->Send(
        TransportError(request.id, ToProto(headers.status())));
  }
  const Replier replier(request, ServerInfo());
  const auto refuse = [&](int code, const std::string& message) {
    const int status = !request.modern           ? 200
                       : code == kMethodNotFound ? 404
                                                 : 400;
    exchange->Send(ErrorOf(request.id, {code, status, message, nullptr}));
  };
  if (request.method == "tools/call") {
    const Json name = Field(request.params, "name");
    Json arguments = Field(request.params, "arguments");
    if (arguments.is_null()) arguments = Json::object();
    if (!arguments.is_object()) {
      return refuse(kInvalidParams, "arguments must be an object");
    }
    const auto failed = [&](const absl::Status& status) {
      exchange->Send(JsonReply(replier.Wrap(ErrorResult(ToProto(status)))));
    };
    if (name == "search") {
      const auto search = SearchOf(arguments);
      if (!search.ok()) return failed(search.status());
      return Search(bridge_, *headers, *search, replier, exchange);
    }
    if (name == "answer") {
      const auto answer = AnswerOf(arguments);
      if (!answer.ok()) return failed(answer.status());
      return Answer(bridge_, *headers, *answer, request, replier, exchange);
    }
    return refuse(kInvalidParams, "there is no such tool");
  }
  const bool known = request.method == "tools/list" ||
                     request.method == "ping" ||
                     (request.modern ? request.method == "server/discover"
                                     : request.method == "initialize");
  if (!known) return refuse(kMethodNotFound, "there is no such method");
  // Nothing of it is secret, but a client learns at once that its key is wrong.
  CallUnary(bridge_, Method("braid.v1.AdminService.GetServerInfo"), *headers,
            std::make_unique<v1::GetServerInfoRequest>(),
            [=, result = ResultOf(request)](const GrpcBridge::Call&,
                                            const google::rpc::Status& status,
                                            const Message* message) {
              exchange->Send(message == nullptr
                                 ? TransportError(replier.id(), status)
                                 : JsonReply(replier.Wrap(result)));
            });
}

}  // namespace braid::services::adapters
