// Whatever a client sends in JSON becomes requests of the API or one error that
// says what is wrong, and requests survive the way to JSON and back.
//
// Input: a line `VERB path?query`, a line with the content type, and the body.
// What has no path of the transcoder's is read as OpenAI's and MCP's bodies.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "braid/v1/admin_service.pb.h"
#include "braid/v1/collection_service.pb.h"
#include "braid/v1/document_service.pb.h"
#include "braid/v1/generation_service.pb.h"
#include "braid/v1/operation_service.pb.h"
#include "google/protobuf/message.h"
#include "services/adapters/json.h"
#include "services/adapters/mcp_tools.h"
#include "services/adapters/openai.h"
#include "services/adapters/transcoder.h"

namespace {

namespace v1 = braid::v1;
using braid::services::adapters::HttpRule;
using braid::services::http::Request;
using google::protobuf::Message;

void Require(bool holds) {
  if (!holds) std::abort();
}

const std::vector<HttpRule>& Rules() {
  // The linker leaves out what nobody names.
  for (const Message* linked :
       {static_cast<const Message*>(
            &v1::GetServerInfoRequest::default_instance()),
        static_cast<const Message*>(
            &v1::GetCollectionRequest::default_instance()),
        static_cast<const Message*>(
            &v1::GetDocumentRequest::default_instance()),
        static_cast<const Message*>(
            &v1::GetOperationRequest::default_instance()),
        static_cast<const Message*>(
            &v1::GenerateRequest::default_instance())}) {
    Require(linked->GetDescriptor() != nullptr);
  }
  static const auto& rules =
      *new std::vector<HttpRule>(*braid::services::adapters::RulesOf(
          {"braid.v1.CollectionService", "braid.v1.DocumentService",
           "braid.v1.RetrievalService", "braid.v1.AnswerService",
           "braid.v1.GenerationService", "braid.v1.OperationService",
           "braid.v1.AdminService"}));
  return rules;
}

// Any status but success says why, and blames the request.
void CheckRefusal(const absl::Status& status) {
  Require(absl::IsInvalidArgument(status));
  Require(!status.message().empty());
}

void CheckRoundTrip(const Message& message) {
  const std::string json = braid::services::adapters::ToJson(message);
  const std::unique_ptr<Message> again(message.New());
  Require(braid::services::adapters::FromJson(json, again.get()).ok());
  // NaN is not equal to itself; its text is.
  Require(braid::services::adapters::ToJson(*again) == json);
}

template <typename Result>
void CheckParsed(const absl::StatusOr<Result>& result) {
  if (!result.ok()) CheckRefusal(result.status());
}

Request RequestOf(absl::string_view input) {
  const std::vector<absl::string_view> lines =
      absl::StrSplit(input, absl::MaxSplits('\n', 2));
  Request request;
  const std::vector<absl::string_view> first =
      absl::StrSplit(lines[0], absl::MaxSplits(' ', 1));
  request.method = std::string(first[0]);
  if (first.size() > 1) {
    const std::vector<absl::string_view> target =
        absl::StrSplit(first[1], absl::MaxSplits('?', 1));
    request.path = std::string(target[0]);
    if (target.size() > 1) request.query = std::string(target[1]);
  }
  if (lines.size() > 1) {
    request.headers.emplace_back("content-type", std::string(lines[1]));
  }
  if (lines.size() > 2) request.body = std::string(lines[2]);
  return request;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Request request =
      RequestOf({reinterpret_cast<const char*>(data), size});
  for (const HttpRule& rule : Rules()) {
    const auto variables = rule.path.Match(request.path);
    if (!variables.has_value() || rule.verb != request.method) continue;
    const auto requests = RequestsOf(rule, *variables, request);
    if (!requests.ok()) {
      CheckRefusal(requests.status());
      return 0;
    }
    for (const auto& message : *requests) CheckRoundTrip(*message);
    return 0;
  }
  const auto body = braid::services::adapters::ParseJsonObject(request.body);
  if (!body.ok()) {
    CheckRefusal(body.status());
    return 0;
  }
  CheckParsed(braid::services::adapters::ParseChat(*body));
  CheckParsed(braid::services::adapters::ParseEmbeddings(*body));
  CheckParsed(braid::services::adapters::SearchOf(*body));
  CheckParsed(braid::services::adapters::AnswerOf(*body));
  return 0;
}
