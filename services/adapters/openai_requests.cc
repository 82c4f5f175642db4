#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/adapters/json_fields.h"
#include "services/adapters/openai.h"

namespace braid::services::adapters {
namespace {

constexpr absl::string_view kModelPrefix = "braid/";

// A content is a text, or a list of parts of which those of the type `text`
// count.
absl::StatusOr<std::string> TextOf(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  const absl::Status bad = absl::InvalidArgumentError(
      "messages: the content must be text, or parts of the type text");
  if (!content.is_array()) return bad;
  std::string text;
  for (const Json& part : content) {
    if (!part.is_object() || part.value("type", Json()) != "text") return bad;
    const auto found = part.find("text");
    if (found == part.end() || !found->is_string()) return bad;
    absl::StrAppend(&text, text.empty() ? "" : "\n", found->get<std::string>());
  }
  return text;
}

absl::StatusOr<std::string> QuestionOf(const Json& body) {
  const auto messages = body.find("messages");
  if (messages == body.end() || !messages->is_array()) {
    return absl::InvalidArgumentError("messages: must be a list");
  }
  for (auto message = messages->rbegin(); message != messages->rend();
       ++message) {
    if (!message->is_object()) break;
    const auto role = message->find("role");
    const auto content = message->find("content");
    if (role == message->end() || *role != "user") continue;
    if (content == message->end()) break;
    return TextOf(*content);
  }
  return absl::InvalidArgumentError(
      "messages: there must be one with the role user and a content");
}

}  // namespace

absl::StatusOr<ChatRequest> ParseChat(const Json& body) {
  ChatRequest chat;
  v1::AnswerRequest& answer = chat.answer;
  JsonFields fields(body);
  std::string collection;
  std::string filter;
  int32_t top_k = 0;
  std::optional<bool> multi_hop;
  v1::Answerer answerer = v1::ANSWERER_UNSPECIFIED;
  fields.Take("answerer", &answerer);
  fields.Take("model", &chat.model);
  fields.Take("collection", &collection);
  fields.Take("filter", &filter);
  fields.Take("top_k", &top_k);
  fields.Take("multi_hop", &multi_hop);
  fields.Take("stream", &chat.stream);
  int32_t max_tokens = 0;
  fields.Take("max_tokens", &max_tokens);
  fields.Take("max_completion_tokens", &max_tokens);
  double temperature = 0;
  double top_p = 0;
  uint64_t seed = 0;
  fields.Take("temperature", &temperature);
  fields.Take("top_p", &top_p);
  fields.Take("seed", &seed);
  int32_t n = 1;
  fields.Take("n", &n);
  if (n != 1) fields.Fail("n", "1");
  if (const Json* options = fields.Find("stream_options")) {
    if (options->is_object()) {
      chat.include_usage = options->value("include_usage", Json()) == true;
    } else {
      fields.Fail("stream_options", "an object");
    }
  }
  if (!fields.status().ok()) return fields.status();
  if (collection.empty() && absl::StartsWith(chat.model, kModelPrefix)) {
    collection = std::string(absl::StripPrefix(chat.model, kModelPrefix));
  }
  if (collection.empty()) {
    return absl::InvalidArgumentError(
        "model: must be braid/COLLECTION, or `collection` must name one");
  }
  auto question = QuestionOf(body);
  if (!question.ok()) return question.status();
  answer.set_collection(absl::StrCat("collections/", collection));
  answer.set_question(*std::move(question));
  answer.set_filter(filter);
  answer.set_top_k(top_k);
  if (multi_hop.has_value()) answer.set_multi_hop(*multi_hop);
  answer.set_answerer(answerer);
  answer.set_max_answer_tokens(max_tokens);
  answer.mutable_sampling()->set_temperature(temperature);
  answer.mutable_sampling()->set_top_p(top_p);
  answer.mutable_sampling()->set_seed(seed);
  return chat;
}

absl::StatusOr<EmbeddingsRequest> ParseEmbeddings(const Json& body) {
  EmbeddingsRequest embeddings;
  JsonFields fields(body);
  std::string model;
  std::string format = "float";
  fields.Take("model", &model);
  fields.Take("encoding_format", &format);
  if (format != "float" && format != "base64") {
    fields.Fail("encoding_format", "float or base64");
  }
  if (fields.Find("dimensions") != nullptr) {
    fields.Fail("dimensions", "left out: the encoder has but one length");
  }
  embeddings.base64 = format == "base64";
  const Json* input = fields.Find("input");
  if (input != nullptr && input->is_string()) {
    embeddings.embed.add_texts(input->get<std::string>());
  } else if (input != nullptr && input->is_array()) {
    for (const Json& text : *input) {
      if (text.is_string()) {
        embeddings.embed.add_texts(text.get<std::string>());
      } else {
        fields.Fail("input", "text (lists of tokens are not taken)");
      }
    }
  } else {
    fields.Fail("input", "a text or a list of texts");
  }
  if (!fields.status().ok()) return fields.status();
  return embeddings;
}

}  // namespace braid::services::adapters
