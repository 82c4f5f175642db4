#include "services/adapters/transcoder.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "google/api/annotations.pb.h"
#include "services/adapters/event_stream.h"
#include "services/adapters/fields.h"
#include "services/adapters/json.h"
#include "services/adapters/status_reply.h"

namespace braid::services::adapters {
namespace {

using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using Messages = std::vector<std::unique_ptr<Message>>;

constexpr char kLinesType[] = "application/x-ndjson";

absl::StatusOr<HttpRule> RuleOf(const google::api::HttpRule& annotation,
                                const MethodDescriptor* method) {
  HttpRule rule;
  rule.method = method;
  std::string path;
  switch (annotation.pattern_case()) {
    case google::api::HttpRule::kGet:
      rule.verb = "GET";
      path = annotation.get();
      break;
    case google::api::HttpRule::kPost:
      rule.verb = "POST";
      path = annotation.post();
      break;
    case google::api::HttpRule::kPut:
      rule.verb = "PUT";
      path = annotation.put();
      break;
    case google::api::HttpRule::kPatch:
      rule.verb = "PATCH";
      path = annotation.patch();
      break;
    case google::api::HttpRule::kDelete:
      rule.verb = "DELETE";
      path = annotation.delete_();
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat(method->full_name(), ": no pattern"));
  }
  auto parsed = PathTemplate::Parse(path);
  if (!parsed.ok()) return parsed.status();
  rule.path = *std::move(parsed);
  rule.body = annotation.body() == "*";
  if (!rule.body &&
      (!annotation.body().empty() || method->client_streaming())) {
    return absl::InvalidArgumentError(
        absl::StrCat(method->full_name(), ": the body must be `*`"));
  }
  return rule;
}

bool IsMediaType(absl::string_view header, absl::string_view type) {
  header = header.substr(0, header.find(';'));
  return absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(header), type);
}

// Whether the client's Accept names this type.
bool Accepts(const http::Request& request, absl::string_view type) {
  const std::string accept = request.Header("accept");
  for (const absl::string_view range : absl::StrSplit(accept, ',')) {
    if (IsMediaType(range, type)) return true;
  }
  return false;
}

// The JSON texts of a body, one for each message.
absl::StatusOr<std::vector<absl::string_view>> TextsOf(
    const HttpRule& rule, const http::Request& request) {
  const std::string type = request.Header("content-type");
  const bool lines = IsMediaType(type, kLinesType);
  const absl::string_view body = absl::StripAsciiWhitespace(request.body);
  if (body.empty()) {
    return rule.method->client_streaming()
               ? std::vector<absl::string_view>{}
               : std::vector<absl::string_view>{"{}"};
  }
  if (!lines && !IsMediaType(type, kJsonType)) {
    return absl::InvalidArgumentError(
        "the content-type must be application/json");
  }
  if (!rule.method->client_streaming()) return std::vector{body};
  if (!lines) return SplitJsonArray(body);
  std::vector<absl::string_view> texts;
  for (absl::string_view line : absl::StrSplit(body, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty()) texts.push_back(line);
  }
  return texts;
}

// Messages as events, or as lines.
class JsonWriter final : public StreamWriter {
 public:
  explicit JsonWriter(bool lines) : lines_(lines) {}

  std::string content_type() const override {
    return lines_ ? kLinesType : kEventStreamType;
  }
  std::string Write(const Message& message) override {
    const std::string json = ToJson(message);
    return lines_ ? absl::StrCat(json, "\n") : ServerSentEvent(json);
  }
  std::string End(const google::rpc::Status& status) override {
    if (status.code() == 0) return "";
    const std::string json = ToJson(status);
    return lines_ ? absl::StrCat("{\"error\":", json, "}\n")
                  : ServerSentEvent(json, "error");
  }
  http::Reply Error(const google::rpc::Status& status) override {
    return ErrorReply(status);
  }

 private:
  const bool lines_;
};

// Answers with the only message of a unary call.
void ReplyUnary(GrpcBridge* bridge, const MethodDescriptor& method,
                const CallHeaders& headers, std::unique_ptr<Message> request,
                const std::shared_ptr<http::Exchange>& exchange) {
  const auto call = CallUnary(
      bridge, method, headers, std::move(request),
      [exchange](const GrpcBridge::Call& ended,
                 const google::rpc::Status& status, const Message* response) {
        http::Reply reply = response == nullptr
                                ? ErrorReply(status)
                                : http::Reply{.content_type = kJsonType,
                                              .body = ToJson(*response)};
        for (auto& header : ended.headers()) {
          reply.headers.push_back(std::move(header));
        }
        exchange->Send(std::move(reply));
      });
  exchange->OnGone([call] { call->Cancel(); });
}

}  // namespace

absl::StatusOr<std::vector<HttpRule>> RulesOf(
    const std::vector<std::string>& services) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  std::vector<HttpRule> rules;
  for (const std::string& name : services) {
    const auto* service = pool->FindServiceByName(name);
    if (service == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("no service ", name));
    }
    for (int i = 0; i < service->method_count(); ++i) {
      const MethodDescriptor* method = service->method(i);
      if (!method->options().HasExtension(google::api::http)) continue;
      const auto& annotation =
          method->options().GetExtension(google::api::http);
      auto rule = RuleOf(annotation, method);
      if (!rule.ok()) return rule.status();
      rules.push_back(*std::move(rule));
      for (const auto& additional : annotation.additional_bindings()) {
        rule = RuleOf(additional, method);
        if (!rule.ok()) return rule.status();
        rules.push_back(*std::move(rule));
      }
    }
  }
  std::stable_sort(rules.begin(), rules.end(),
                   [](const HttpRule& a, const HttpRule& b) {
                     return a.path.has_verb() > b.path.has_verb();
                   });
  return rules;
}

absl::StatusOr<Messages> RequestsOf(
    const HttpRule& rule, const std::map<std::string, std::string>& variables,
    const http::Request& request) {
  std::vector<absl::string_view> texts = {"{}"};
  if (rule.body) {
    auto given = TextsOf(rule, request);
    if (!given.ok()) return given.status();
    texts = *std::move(given);
  } else if (!request.body.empty()) {
    return absl::InvalidArgumentError("this method takes no body");
  }
  const auto* prototype =
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(
          rule.method->input_type());
  const auto named = [](absl::string_view field, const absl::Status& status) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid request: ", field, ": ", status.message()));
  };
  Messages messages;
  for (const absl::string_view text : texts) {
    std::unique_ptr<Message> message(prototype->New());
    absl::Status status = FromJson(text, message.get());
    if (!status.ok()) return status;
    for (const auto& [field, value] : http::ParseQuery(request.query)) {
      status = rule.body || variables.contains(field)
                   ? absl::InvalidArgumentError("not a field of the query")
                   : SetField(field, value, message.get());
      if (!status.ok()) return named(field, status);
    }
    for (const auto& [field, value] : variables) {
      status = SetField(field, value, message.get());
      if (!status.ok()) return named(field, status);
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

bool Transcoder::Serve(const std::shared_ptr<http::Exchange>& exchange) const {
  const http::Request& request = exchange->request();
  const std::string verb = request.method == "HEAD" ? "GET" : request.method;
  std::vector<std::string> allowed;
  for (const HttpRule& rule : rules_) {
    const auto variables = rule.path.Match(request.path);
    if (!variables.has_value()) continue;
    if (rule.verb != verb) {
      allowed.push_back(rule.verb);
      continue;
    }
    const auto headers = HeadersOf(request);
    auto requests = RequestsOf(rule, *variables, request);
    if (!headers.ok() || !requests.ok()) {
      exchange->Send(ErrorReply(
          ToProto(headers.ok() ? requests.status() : headers.status())));
    } else if (!rule.method->server_streaming()) {
      ReplyUnary(bridge_, *rule.method, *headers, std::move(requests->front()),
                 exchange);
    } else {
      const bool lines =
          Accepts(request, kLinesType) || (rule.method->client_streaming() &&
                                           !Accepts(request, kEventStreamType));
      StreamCall(bridge_, *rule.method, *headers, *std::move(requests),
                 exchange, std::make_shared<JsonWriter>(lines));
    }
    return true;
  }
  if (allowed.empty()) return false;
  http::Reply reply = ErrorReply(MakeStatus(
      absl::StatusCode::kUnimplemented,
      absl::StrCat("this path takes ", absl::StrJoin(allowed, ", "))));
  reply.status = 405;
  reply.headers.emplace_back("Allow", absl::StrJoin(allowed, ", "));
  exchange->Send(std::move(reply));
  return true;
}

}  // namespace braid::services::adapters
