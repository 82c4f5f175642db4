#include "services/adapters/mcp_tools.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "services/adapters/json_fields.h"
#include "services/adapters/mcp.h"
#include "services/adapters/status_reply.h"

namespace braid::services::adapters {
namespace {

constexpr char kTools[] = R"([
  {
    "name": "search",
    "title": "Search documents",
    "description": "Finds passages of the documents of a collection, by words and by meaning. Returns their texts with the documents they stand in.",
    "annotations": {"readOnlyHint": true, "openWorldHint": false},
    "inputSchema": {
      "type": "object",
      "properties": {
        "query": {"type": "string", "description": "The question or keywords"},
        "collection": {"type": "string", "default": "default", "description": "The collection's id"},
        "top_k": {"type": "integer", "minimum": 1, "default": 10, "description": "Passages to return"},
        "filter": {"type": "string", "description": "AIP-160 filter over the metadata, such as year >= 1990"},
        "multi_hop": {"type": "boolean", "default": false, "description": "Look up what the best passages name: for questions whose evidence lies in several documents"}
      },
      "required": ["query"],
      "additionalProperties": false
    },
    "outputSchema": {
      "type": "object",
      "properties": {
        "passages": {
          "type": "array",
          "items": {
            "type": "object",
            "properties": {
              "rank": {"type": "integer"},
              "score": {"type": "number"},
              "document": {"type": "string"},
              "version": {"type": "integer"},
              "title": {"type": "string"},
              "text": {"type": "string"},
              "text_range": {"type": "array", "items": {"type": "integer"}, "description": "Bytes [begin, end) of the document's text"}
            },
            "required": ["rank", "score", "document", "version", "title", "text", "text_range"]
          }
        },
        "degraded": {"type": "array", "items": {"type": "string"}}
      },
      "required": ["passages", "degraded"]
    }
  },
  {
    "name": "answer",
    "title": "Answer from documents",
    "description": "Answers a question from the documents of a collection, with citations that were compared with the stored text, or says that they do not answer it.",
    "annotations": {"readOnlyHint": true, "openWorldHint": false},
    "inputSchema": {
      "type": "object",
      "properties": {
        "question": {"type": "string"},
        "collection": {"type": "string", "default": "default", "description": "The collection's id"},
        "top_k": {"type": "integer", "minimum": 1, "default": 8, "description": "Passages to answer from"},
        "filter": {"type": "string", "description": "AIP-160 filter over the metadata, such as year >= 1990"},
        "multi_hop": {"type": "boolean", "default": true, "description": "Look up what the best passages name: for questions whose evidence lies in several documents"},
        "answerer": {"type": "string", "enum": ["extractive", "generator"], "description": "Who answers: sentences of the passages, or the server's model in its own words; by default what the server is set to"}
      },
      "required": ["question"],
      "additionalProperties": false
    },
    "outputSchema": {
      "type": "object",
      "properties": {
        "answer": {"type": "string"},
        "finish_reason": {"type": "string", "enum": ["stop", "length", "abstained", "deadline", "cancelled"]},
        "abstain_reason": {"type": "string"},
        "degraded": {"type": "array", "items": {"type": "string"}},
        "citations": {
          "type": "array",
          "items": {
            "type": "object",
            "properties": {
              "number": {"type": "integer"},
              "document": {"type": "string"},
              "version": {"type": "integer"},
              "title": {"type": "string"},
              "quote": {"type": "string"},
              "text_range": {"type": "array", "items": {"type": "integer"}, "description": "Bytes [begin, end) of the document's text"},
              "answer_range": {"type": "array", "items": {"type": "integer"}, "description": "Bytes [begin, end) of the answer"}
            },
            "required": ["number", "document", "version", "quote", "text_range", "answer_range"]
          }
        }
      },
      "required": ["answer", "finish_reason", "citations"]
    }
  }
])";

template <typename Strings>
Json ListOf(const Strings& strings) {
  Json list = Json::array();
  for (const std::string& one : strings) list.push_back(one);
  return list;
}

Json ResultOf(const std::string& text, Json structured) {
  return {{"content", Json::array({{{"type", "text"}, {"text", text}}})},
          {"structuredContent", std::move(structured)},
          {"isError", false}};
}

// The arguments that both tools have, and `answerer` for the one that takes it.
template <typename Request>
absl::Status Fill(const Json& arguments, const char* text_name,
                  std::string* text, Request* request,
                  v1::Answerer* answerer = nullptr) {
  std::string collection = "default";
  std::string filter;
  int32_t top_k = 0;
  std::optional<bool> multi_hop;
  JsonFields fields(arguments);
  fields.Take(text_name, text);
  fields.Take("collection", &collection);
  fields.Take("filter", &filter);
  fields.Take("top_k", &top_k);
  fields.Take("multi_hop", &multi_hop);
  if (answerer != nullptr) fields.Take("answerer", answerer);
  for (const auto& [name, value] : arguments.items()) {
    const bool known = name == text_name || name == "collection" ||
                       name == "filter" || name == "top_k" ||
                       name == "multi_hop" ||
                       (answerer != nullptr && name == "answerer");
    if (!known)
      fields.Fail(name.c_str(), "left out: there is no such argument");
  }
  request->set_collection(absl::StrCat("collections/", collection));
  request->set_filter(filter);
  request->set_top_k(top_k);
  if (multi_hop.has_value()) request->set_multi_hop(*multi_hop);
  return fields.status();
}

}  // namespace

const Json& McpTools() {
  static const Json& tools = *new Json(Json::parse(kTools));
  return tools;
}

absl::StatusOr<v1::SearchRequest> SearchOf(const Json& arguments) {
  v1::SearchRequest request;
  absl::Status status =
      Fill(arguments, "query", request.mutable_query(), &request);
  if (!status.ok()) return status;
  return request;
}

absl::StatusOr<v1::AnswerRequest> AnswerOf(const Json& arguments) {
  v1::AnswerRequest request;
  v1::Answerer answerer = v1::ANSWERER_UNSPECIFIED;
  absl::Status status = Fill(arguments, "question", request.mutable_question(),
                             &request, &answerer);
  if (!status.ok()) return status;
  request.set_answerer(answerer);
  return request;
}

Json SearchResult(const v1::SearchResponse& response) {
  Json passages = Json::array();
  std::string text;
  for (const v1::Passage& passage : response.passages()) {
    const v1::Chunk& chunk = passage.chunk();
    passages.push_back(
        {{"rank", passage.rank()},
         {"score", passage.score()},
         {"document", chunk.document()},
         {"version", chunk.version()},
         {"title", passage.title()},
         {"text", passage.text()},
         {"text_range",
          {chunk.text_range().begin(), chunk.text_range().end()}}});
    absl::StrAppend(&text, "[", passage.rank(), "] ", passage.title(), " (",
                    chunk.document(), ")\n", passage.text(), "\n\n");
  }
  if (text.empty()) text = "Nothing was found.";
  return ResultOf(text, {{"passages", std::move(passages)},
                         {"degraded", ListOf(response.degraded())}});
}

Json AnswerResult(const AnswerText& answer) {
  std::string text = answer.abstained() ? answer.refusal() : answer.text();
  for (const Json& citation : answer.citations()) {
    absl::StrAppend(&text, "\n[", citation["number"].get<uint32_t>(), "] ",
                    citation["document"].get<std::string>(), ", version ",
                    citation["version"].get<uint64_t>(), ": \"",
                    citation["quote"].get<std::string>(), "\"");
  }
  return ResultOf(text, {{"answer", answer.text()},
                         {"citations", answer.citations()},
                         {"finish_reason", answer.finish_reason()},
                         {"abstain_reason", answer.final().abstain_reason()},
                         {"degraded", ListOf(answer.final().degraded())}});
}

Json ErrorResult(const google::rpc::Status& status) {
  return {{"content",
           Json::array({{{"type", "text"},
                         {"text", absl::StrCat(CodeName(status.code()), ": ",
                                               status.message())}}})},
          {"isError", true}};
}

}  // namespace braid::services::adapters
