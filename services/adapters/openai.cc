#include "services/adapters/openai.h"

#include <cstring>
#include <random>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "braid/v1/collection_service.pb.h"
#include "services/adapters/answer_text.h"
#include "services/adapters/event_stream.h"
#include "services/adapters/status_reply.h"

namespace braid::services::adapters {
namespace {

using google::protobuf::Message;

constexpr char kChat[] = "/v1/chat/completions";
constexpr char kEmbeddings[] = "/v1/embeddings";
constexpr char kModels[] = "/v1/models";
constexpr int kModelsPage = 1000;

const google::protobuf::MethodDescriptor& Method(const char* name) {
  return *google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
      name);
}

Json ErrorJson(const google::rpc::Status& status) {
  const int code = HttpStatusOf(status.code());
  const char* type = code == 401   ? "authentication_error"
                     : code == 403 ? "permission_error"
                     : code == 404 ? "not_found_error"
                     : code == 429 ? "rate_limit_error"
                     : code < 500  ? "invalid_request_error"
                                   : "api_error";
  return {{"error",
           {{"message", status.message()},
            {"type", type},
            {"param", nullptr},
            {"code", absl::AsciiStrToLower(CodeName(status.code()))}}}};
}

http::Reply ErrorOf(const google::rpc::Status& status) {
  return {.status = HttpStatusOf(status.code()),
          .content_type = kJsonType,
          .headers = ErrorHeaders(status),
          .body = Dump(ErrorJson(status))};
}

http::Reply JsonReply(const Json& json) {
  return {.content_type = kJsonType, .body = Dump(json)};
}

Json UsageJson(const v1::Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens()},
          {"completion_tokens", usage.completion_tokens()},
          {"total_tokens", usage.prompt_tokens() + usage.completion_tokens()}};
}

// OpenAI knows no abstention and no deadline of its own.
const char* FinishReasonOf(const AnswerText& answer) {
  switch (answer.final().finish_reason()) {
    case v1::FINISH_REASON_LENGTH:
    case v1::FINISH_REASON_DEADLINE:
      return "length";
    default:
      return "stop";
  }
}

Json EndJson(const AnswerText& answer) {
  Json degraded = Json::array();
  for (const std::string& name : answer.final().degraded()) {
    degraded.push_back(name);
  }
  return {{"finish_reason", answer.finish_reason()},
          {"abstain_reason", answer.final().abstain_reason()},
          {"degraded", std::move(degraded)}};
}

std::string NewId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return absl::StrFormat("chatcmpl-%016x", random());
}

// Answer's events as chunks of a completion.
class ChatStream final : public StreamWriter {
 public:
  explicit ChatStream(const ChatRequest& chat)
      : model_(chat.model), include_usage_(chat.include_usage) {}

  std::string content_type() const override { return kEventStreamType; }

  std::string Write(const Message& message) override {
    const auto& event = static_cast<const v1::AnswerResponse&>(message);
    answer_.Add(event);
    std::string out;
    if (!std::exchange(begun_, true)) {
      out = Chunk({{"role", "assistant"}, {"content", ""}}, nullptr);
    }
    switch (event.event_case()) {
      case v1::AnswerResponse::kDelta:
        out += Chunk({{"content", event.delta()}}, nullptr);
        break;
      case v1::AnswerResponse::kCitation:
        out += Chunk(
            {{"annotations", Json::array({answer_.LastAnnotation()})}}, nullptr,
            {{"citations", Json::array({answer_.citations().back()})}});
        break;
      case v1::AnswerResponse::kFinal: {
        Json delta = Json::object();
        if (answer_.abstained()) delta["refusal"] = answer_.refusal();
        out += Chunk(delta, FinishReasonOf(answer_), EndJson(answer_));
        break;
      }
      default:
        break;
    }
    return out;
  }

  std::string End(const google::rpc::Status& status) override {
    if (status.code() != 0) return ServerSentEvent(Dump(ErrorJson(status)));
    std::string out;
    if (include_usage_) {
      Json usage = Envelope();
      usage["choices"] = Json::array();
      usage["usage"] = UsageJson(answer_.usage());
      out = ServerSentEvent(Dump(usage));
    }
    return out + ServerSentEvent("[DONE]");
  }

  http::Reply Error(const google::rpc::Status& status) override {
    return ErrorOf(status);
  }

 private:
  Json Envelope() const {
    return {{"id", id_},
            {"object", "chat.completion.chunk"},
            {"created", created_},
            {"model", model_}};
  }
  std::string Chunk(Json delta, const char* finish_reason,
                    const Json& braid = nullptr) const {
    Json chunk = Envelope();
    Json choice = {
        {"index", 0}, {"delta", std::move(delta)}, {"logprobs", nullptr}};
    choice["finish_reason"] =
        finish_reason == nullptr ? Json() : Json(finish_reason);
    chunk["choices"] = Json::array({std::move(choice)});
    if (!braid.is_null()) chunk["braid"] = braid;
    return ServerSentEvent(Dump(chunk));
  }

  const std::string id_ = NewId();
  const int64_t created_ = absl::ToUnixSeconds(absl::Now());
  const std::string model_;
  const bool include_usage_;
  AnswerText answer_;
  bool begun_ = false;
};

// A whole answer, put together.
struct Completion {
  AnswerText answer;
  std::vector<Json> annotations;
};

Json CompletionJson(const Completion& done, const std::string& model) {
  const AnswerText& answer = done.answer;
  Json message = {{"role", "assistant"},
                  {"content", answer.text()},
                  {"refusal", nullptr},
                  {"annotations", done.annotations}};
  if (answer.abstained()) {
    if (answer.text().empty()) message["content"] = nullptr;
    message["refusal"] = answer.refusal();
  }
  Json braid = EndJson(answer);
  braid["citations"] = answer.citations();
  return {
      {"id", NewId()},
      {"object", "chat.completion"},
      {"created", absl::ToUnixSeconds(absl::Now())},
      {"model", model},
      {"choices", Json::array({{{"index", 0},
                                {"message", std::move(message)},
                                {"logprobs", nullptr},
                                {"finish_reason", FinishReasonOf(answer)}}})},
      {"usage", UsageJson(answer.usage())},
      {"braid", std::move(braid)}};
}

void Complete(GrpcBridge* bridge, const CallHeaders& headers,
              const ChatRequest& chat,
              const std::shared_ptr<http::Exchange>& exchange) {
  std::vector<std::unique_ptr<Message>> requests;
  requests.push_back(std::make_unique<v1::AnswerRequest>(chat.answer));
  if (chat.stream) {
    return StreamCall(bridge, Method("braid.v1.AnswerService.Answer"), headers,
                      std::move(requests), exchange,
                      std::make_shared<ChatStream>(chat));
  }
  const auto done = std::make_shared<Completion>();
  const auto call = bridge->Start(
      Method("braid.v1.AnswerService.Answer"), headers, std::move(requests),
      {.message =
           [done](const std::shared_ptr<GrpcBridge::Call>& current,
                  const Message& message) {
             const auto& event =
                 static_cast<const v1::AnswerResponse&>(message);
             done->answer.Add(event);
             if (event.has_citation()) {
               done->annotations.push_back(done->answer.LastAnnotation());
             }
             current->Next();
           },
       .end =
           [=, model = chat.model](GrpcBridge::Call&,
                                   const google::rpc::Status& status) {
             exchange->Send(status.code() == 0
                                ? JsonReply(CompletionJson(*done, model))
                                : ErrorOf(status));
           }});
  exchange->OnGone([call] { call->Cancel(); });
}

Json EmbeddingsJson(const v1::EmbedResponse& response, bool base64) {
  Json data = Json::array();
  uint64_t tokens = 0;
  for (const v1::Embedding& embedding : response.embeddings()) {
    tokens += embedding.token_count();
    Json vector;
    if (base64) {
      const std::string bytes(
          reinterpret_cast<const char*>(embedding.values().data()),
          embedding.values().size() * sizeof(float));
      vector = absl::Base64Escape(bytes);
    } else {
      vector = std::vector<float>(embedding.values().begin(),
                                  embedding.values().end());
    }
    data.push_back({{"object", "embedding"},
                    {"index", data.size()},
                    {"embedding", std::move(vector)}});
  }
  return {{"object", "list"},
          {"data", std::move(data)},
          {"model", response.encoder()},
          {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}};
}

void Embed(GrpcBridge* bridge, const CallHeaders& headers,
           EmbeddingsRequest embeddings,
           const std::shared_ptr<http::Exchange>& exchange) {
  const auto call =
      CallUnary(bridge, Method("braid.v1.RetrievalService.Embed"), headers,
                std::make_unique<v1::EmbedRequest>(std::move(embeddings.embed)),
                [exchange, base64 = embeddings.base64](
                    const GrpcBridge::Call&, const google::rpc::Status& status,
                    const Message* message) {
                  exchange->Send(
                      message == nullptr
                          ? ErrorOf(status)
                          : JsonReply(EmbeddingsJson(
                                static_cast<const v1::EmbedResponse&>(*message),
                                base64)));
                });
  exchange->OnGone([call] { call->Cancel(); });
}

Json ModelJson(const v1::Collection& collection) {
  return {{"id", absl::StrCat("braid/", absl::StripPrefix(collection.name(),
                                                          "collections/"))},
          {"object", "model"},
          {"created", collection.create_time().seconds()},
          {"owned_by", "braid"}};
}

// All pages, one after the other.
void ListModels(GrpcBridge* bridge, const CallHeaders& headers,
                const std::string& page_token, Json models,
                const std::shared_ptr<http::Exchange>& exchange) {
  auto request = std::make_unique<v1::ListCollectionsRequest>();
  request->set_page_size(kModelsPage);
  request->set_page_token(page_token);
  CallUnary(bridge, Method("braid.v1.CollectionService.ListCollections"),
            headers, std::move(request),
            [=, list = std::move(models)](const GrpcBridge::Call&,
                                          const google::rpc::Status& status,
                                          const Message* message) mutable {
              if (message == nullptr) return exchange->Send(ErrorOf(status));
              const auto& page =
                  static_cast<const v1::ListCollectionsResponse&>(*message);
              for (const v1::Collection& collection : page.collections()) {
                list.push_back(ModelJson(collection));
              }
              if (!page.next_page_token().empty()) {
                return ListModels(bridge, headers, page.next_page_token(),
                                  std::move(list), exchange);
              }
              exchange->Send(
                  JsonReply({{"object", "list"}, {"data", std::move(list)}}));
            });
}

void GetModel(GrpcBridge* bridge, const CallHeaders& headers,
              const std::string& id,
              const std::shared_ptr<http::Exchange>& exchange) {
  auto request = std::make_unique<v1::GetCollectionRequest>();
  request->set_name(
      absl::StrCat("collections/", absl::StripPrefix(id, "braid/")));
  CallUnary(
      bridge, Method("braid.v1.CollectionService.GetCollection"), headers,
      std::move(request),
      [exchange](const GrpcBridge::Call&, const google::rpc::Status& status,
                 const Message* message) {
        exchange->Send(
            message == nullptr
                ? ErrorOf(status)
                : JsonReply(ModelJson(
                      static_cast<const v1::GetCollectionResponse&>(*message)
                          .collection())));
      });
}

}  // namespace

bool OpenAi::HasPath(absl::string_view path) {
  return path == kChat || path == kEmbeddings || path == kModels ||
         absl::StartsWith(path, absl::StrCat(kModels, "/"));
}

void OpenAi::Serve(const std::shared_ptr<http::Exchange>& exchange) const {
  const http::Request& request = exchange->request();
  const auto fail = [&](const absl::Status& status) {
    exchange->Send(ErrorOf(ToProto(status)));
  };
  const bool reads = absl::StartsWith(request.path, kModels);
  if (request.method != (reads ? "GET" : "POST")) {
    http::Reply reply = ErrorOf(
        MakeStatus(absl::StatusCode::kInvalidArgument, "no such method here"));
    reply.status = 405;
    reply.headers.emplace_back("Allow", reads ? "GET" : "POST");
    return exchange->Send(std::move(reply));
  }
  const auto headers = HeadersOf(request);
  if (!headers.ok()) return fail(headers.status());
  if (request.path == kModels) {
    return ListModels(bridge_, *headers, "", Json::array(), exchange);
  }
  if (reads) {
    return GetModel(
        bridge_, *headers,
        http::PercentDecode(absl::StripPrefix(request.path, "/v1/models/")),
        exchange);
  }
  const auto body = ParseJsonObject(request.body);
  if (!body.ok()) return fail(body.status());
  if (request.path == kChat) {
    const auto chat = ParseChat(*body);
    if (!chat.ok()) return fail(chat.status());
    Complete(bridge_, *headers, *chat, exchange);
  } else {
    auto embeddings = ParseEmbeddings(*body);
    if (!embeddings.ok()) return fail(embeddings.status());
    Embed(bridge_, *headers, *std::move(embeddings), exchange);
  }
}

}  // namespace braid::services::adapters
