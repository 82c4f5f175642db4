#include "services/adapters/event_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace braid::services::adapters {
namespace {

void StartReply(const StreamWriter& writer, const GrpcBridge::Call& call,
                http::Exchange* exchange) {
  http::Headers headers = call.headers();
  headers.emplace_back("Cache-Control", "no-store");
  // Proxies must not wait for more (nginx).
  headers.emplace_back("X-Accel-Buffering", "no");
  exchange->Start(
      {.content_type = writer.content_type(), .headers = std::move(headers)});
}

}  // namespace

std::string ServerSentEvent(absl::string_view data, absl::string_view name) {
  return name.empty() ? absl::StrCat("data: ", data, "\n\n")
                      : absl::StrCat("event: ", name, "\ndata: ", data, "\n\n");
}

void StreamCall(
    GrpcBridge* bridge, const google::protobuf::MethodDescriptor& method,
    const CallHeaders& headers,
    std::vector<std::unique_ptr<google::protobuf::Message>> requests,
    std::shared_ptr<http::Exchange> exchange,
    std::shared_ptr<StreamWriter> writer) {
  // Touched by the call's events alone, which come one at a time.
  auto started = std::make_shared<bool>(false);
  const std::shared_ptr<GrpcBridge::Call> call = bridge->Start(
      method, headers, std::move(requests),
      {.message =
           [=](const std::shared_ptr<GrpcBridge::Call>& current,
               const google::protobuf::Message& message) {
             if (!std::exchange(*started, true)) {
               StartReply(*writer, *current, exchange.get());
             }
             std::string bytes = writer->Write(message);
             if (bytes.empty()) return current->Next();
             exchange->Write(std::move(bytes), [current](bool more) {
               more ? current->Next() : current->Cancel();
             });
           },
       .end =
           [=](GrpcBridge::Call& current, const google::rpc::Status& status) {
             if (!*started && status.code() != 0) {
               http::Reply reply = writer->Error(status);
               for (auto& header : current.headers()) {
                 reply.headers.push_back(std::move(header));
               }
               exchange->Send(std::move(reply));
               return;
             }
             if (!*started) StartReply(*writer, current, exchange.get());
             exchange->Write(writer->End(status), nullptr);
             exchange->End();
           }});
  exchange->OnGone([call] { call->Cancel(); });
}

}  // namespace braid::services::adapters
