#include "services/adapters/mcp.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/adapters/mcp_tools.h"

namespace braid::services::adapters {
namespace {

using ::testing::HasSubstr;

http::Request Post(const Json& body, const http::Headers& headers = {}) {
  return {.method = "POST",
          .path = kMcpPath,
          .headers = headers,
          .body = body.dump()};
}

// The JSON-RPC code of what is wrong; 0 if nothing is.
int CodeOf(const http::Request& request, McpRequest* parsed = nullptr) {
  McpRequest ignored;
  const auto wrong = ParseMcp(request, parsed == nullptr ? &ignored : parsed);
  return wrong == nullptr ? 0 : wrong->code;
}

Json ModernCall() {
  return {{"jsonrpc", "2.0"},
          {"id", 1},
          {"method", "tools/call"},
          {"params",
           {{"name", "search"},
            {"arguments", {{"query", "x"}}},
            {"_meta",
             {{"io.modelcontextprotocol/protocolVersion", kMcpRevision},
              {"io.modelcontextprotocol/clientCapabilities", Json::object()},
              {"progressToken", "t"}}}}}};
}
http::Headers ModernHeaders() {
  return {{"Mcp-Protocol-Version", kMcpRevision},
          {"Mcp-Method", "tools/call"},
          {"Mcp-Name", "search"}};
}

TEST(McpTest, RequestsOfBothEras) {
  McpRequest parsed;
  EXPECT_EQ(CodeOf(Post(ModernCall(), ModernHeaders()), &parsed), 0);
  EXPECT_TRUE(parsed.modern);
  EXPECT_EQ(parsed.method, "tools/call");
  EXPECT_EQ(parsed.progress_token, "t");
  EXPECT_EQ(parsed.id, 1);
  McpRequest old;
  EXPECT_EQ(CodeOf(Post({{"jsonrpc", "2.0"}, {"id", "a"}, {"method", "ping"}},
                        {{"mcp-protocol-version", "2025-06-18"}}),
                   &old),
            0);
  EXPECT_FALSE(old.modern);
  EXPECT_EQ(old.id, "a");
}

TEST(McpTest, WhatWantsNoReplyHasNoId) {
  for (const Json& body : std::vector<Json>{
           {{"jsonrpc", "2.0"}, {"method", "notifications/initialized"}},
           {{"jsonrpc", "2.0"}, {"id", 3}, {"result", Json::object()}},
           {{"jsonrpc", "2.0"}, {"id", 3}, {"error", Json::object()}}}) {
    McpRequest parsed;
    EXPECT_EQ(CodeOf(Post(body), &parsed), 0) << body;
    EXPECT_TRUE(parsed.id.is_null());
  }
}

TEST(McpTest, WhatIsWrongHasItsCode) {
  EXPECT_EQ(CodeOf({.body = "{"}), -32700);
  EXPECT_EQ(CodeOf({.body = "[]"}), -32700);
  EXPECT_EQ(CodeOf({.body = std::string(100000, '[')}), -32700);
  for (const Json& body : std::vector<Json>{
           Json::object(),
           {{"jsonrpc", "1.0"}, {"id", 1}, {"method", "ping"}},
           {{"jsonrpc", "2.0"}, {"id", 1}},
           {{"jsonrpc", "2.0"}, {"id", 1}, {"method", 3}},
           {{"jsonrpc", "2.0"}, {"id", 1.5}, {"method", "ping"}},
           {{"jsonrpc", "2.0"}, {"id", {1}}, {"method", "ping"}}}) {
    EXPECT_EQ(CodeOf(Post(body)), -32600) << body;
  }
  EXPECT_EQ(CodeOf(Post({{"jsonrpc", "2.0"},
                         {"id", 1},
                         {"method", "ping"},
                         {"params", {1}}})),
            -32602);
  McpRequest parsed;
  const auto wrong =
      ParseMcp(Post({{"jsonrpc", "2.0"}, {"id", 1}, {"method", "ping"}},
                    {{"mcp-protocol-version", "1999-01-01"}}),
               &parsed);
  ASSERT_NE(wrong, nullptr);
  EXPECT_EQ(wrong->code, -32022);
  EXPECT_EQ(wrong->data["requested"], "1999-01-01");
  EXPECT_EQ(wrong->data["supported"][0], kMcpRevision);
}

// A proxy that routes by the headers must see what the body says.
TEST(McpTest, HeadersRepeatTheBody) {
  for (size_t i = 1; i < 3; ++i) {
    http::Headers headers = ModernHeaders();
    headers[i].second = "other";
    EXPECT_EQ(CodeOf(Post(ModernCall(), headers)), -32020) << i;
    headers.erase(headers.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_EQ(CodeOf(Post(ModernCall(), headers)), -32020) << i;
  }
  Json call = ModernCall();
  call["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] =
      "2025-11-25";
  EXPECT_EQ(CodeOf(Post(call, ModernHeaders())), -32020);
  call = ModernCall();
  call["params"].erase("_meta");
  EXPECT_EQ(CodeOf(Post(call, ModernHeaders())), -32602);
}

TEST(McpTest, ArgumentsAreChecked) {
  const auto search = SearchOf({{"query", "x"},
                                {"collection", "docs"},
                                {"top_k", 3},
                                {"filter", "a = 1"},
                                {"multi_hop", true}});
  ASSERT_TRUE(search.ok()) << search.status();
  EXPECT_EQ(search->collection(), "collections/docs");
  EXPECT_EQ(search->top_k(), 3);
  EXPECT_TRUE(search->multi_hop());
  EXPECT_FALSE(AnswerOf({{"question", "x"}})->has_multi_hop());
  EXPECT_TRUE(
      AnswerOf({{"question", "x"}, {"multi_hop", false}})->has_multi_hop());
  EXPECT_EQ(AnswerOf({{"question", "x"}})->collection(), "collections/default");
  EXPECT_EQ(
      AnswerOf({{"question", "x"}, {"answerer", "generator"}})->answerer(),
      v1::ANSWERER_GENERATOR);
  EXPECT_FALSE(AnswerOf({{"question", "x"}, {"answerer", "oracle"}}).ok());
  for (const auto& [argument, value] :
       std::vector<std::pair<std::string, Json>>{{"query", 1},
                                                 {"top_k", "3"},
                                                 {"multi_hop", 1},
                                                 {"question", "x"},
                                                 {"answerer", "generator"},
                                                 {"other", nullptr}}) {
    const auto wrong = SearchOf({{argument, value}});
    ASSERT_FALSE(wrong.ok()) << argument;
    EXPECT_THAT(std::string(wrong.status().message()), HasSubstr(argument));
  }
}

// What the schemas promise is there.
TEST(McpTest, ResultsFollowTheirSchemas) {
  v1::SearchResponse found;
  v1::Passage* passage = found.add_passages();
  passage->set_rank(1);
  passage->mutable_chunk()->set_document("collections/c/documents/d");
  AnswerText answer;
  v1::AnswerResponse event;
  event.mutable_citation()->set_number(1);
  answer.Add(event);
  event.mutable_final()->set_finish_reason(v1::FINISH_REASON_STOP);
  answer.Add(event);
  ASSERT_EQ(McpTools().size(), 2u);
  const Json results[] = {SearchResult(found), AnswerResult(answer)};
  const char* kItems[] = {"passages", "citations"};
  for (size_t i = 0; i < 2; ++i) {
    const Json& schema = McpTools()[i]["outputSchema"];
    const Json& structured = results[i]["structuredContent"];
    for (const Json& name : schema["required"]) {
      EXPECT_TRUE(structured.contains(name)) << name;
    }
    for (const auto& [name, value] : structured.items()) {
      EXPECT_TRUE(schema["properties"].contains(name)) << name;
    }
    const Json& item = schema["properties"][kItems[i]]["items"];
    for (const Json& name : item["required"]) {
      EXPECT_TRUE(structured[kItems[i]][0].contains(name)) << name;
    }
  }
}

}  // namespace
}  // namespace braid::services::adapters
