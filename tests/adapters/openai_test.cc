#include "services/adapters/openai.h"

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/adapters/answer_text.h"
#include "services/adapters/console.h"
#include "services/adapters/mcp_tools.h"

namespace braid::services::adapters {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Json ChatBody() {
  return Json::parse(R"({
    "model": "braid/docs", "temperature": 0.5, "max_tokens": 7, "seed": 3,
    "top_k": 4, "filter": "a = 1", "stream": true,
    "stream_options": {"include_usage": true}, "tools": [], "user": "u",
    "messages": [
      {"role": "system", "content": "Be brief."},
      {"role": "user", "content": "first"},
      {"role": "assistant", "content": "answer"},
      {"role": "user", "content": [{"type": "text", "text": "last"},
                                   {"type": "text", "text": "line"}]},
      {"role": "assistant", "content": null}]})");
}

TEST(OpenAiTest, TheLastQuestionIsAsked) {
  const auto chat = ParseChat(ChatBody());
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_EQ(chat->answer.collection(), "collections/docs");
  EXPECT_EQ(chat->answer.question(), "last\nline");
  EXPECT_EQ(chat->answer.filter(), "a = 1");
  EXPECT_EQ(chat->answer.top_k(), 4);
  EXPECT_EQ(chat->answer.max_answer_tokens(), 7);
  EXPECT_EQ(chat->answer.sampling().temperature(), 0.5);
  EXPECT_EQ(chat->answer.sampling().seed(), 3u);
  EXPECT_TRUE(chat->stream);
  EXPECT_TRUE(chat->include_usage);
  EXPECT_EQ(chat->answer.answerer(), v1::ANSWERER_UNSPECIFIED);
  Json body = ChatBody();
  body["answerer"] = "generator";
  EXPECT_EQ(ParseChat(body)->answer.answerer(), v1::ANSWERER_GENERATOR);
  body["answerer"] = "extractive";
  EXPECT_EQ(ParseChat(body)->answer.answerer(), v1::ANSWERER_EXTRACTIVE);
}

TEST(OpenAiTest, TheCollectionMayHaveItsOwnField) {
  Json body = ChatBody();
  body["model"] = "gpt";
  EXPECT_THAT(std::string(ParseChat(body).status().message()),
              HasSubstr("model"));
  body["collection"] = "other";
  EXPECT_EQ(ParseChat(body)->answer.collection(), "collections/other");
  // What is no name is for the service to refuse, whole.
  body["collection"] = "../docs/documents/x";
  EXPECT_EQ(ParseChat(body)->answer.collection(),
            "collections/../docs/documents/x");
}

TEST(OpenAiTest, WhatIsWrongIsNamed) {
  const std::pair<const char*, Json> kCases[] = {
      {"model", 3},
      {"model", nullptr},
      {"messages", nullptr},
      {"messages", "x"},
      {"messages", Json::array()},
      {"messages", {{{"role", "system"}, {"content", "x"}}}},
      {"messages", {{{"role", "user"}, {"content", 3}}}},
      {"messages",
       {{{"role", "user"}, {"content", {{{"type", "image_url"}}}}}}},
      {"messages", {{{"role", "user"}, {"content", {{{"type", "text"}}}}}}},
      {"messages", {1}},
      {"n", 2},
      {"stream", "yes"},
      {"stream_options", true},
      {"max_tokens", 1e20},
      {"max_tokens", 1.5},
      {"temperature", "hot"},
      {"seed", -1},
      {"answerer", "oracle"},
      {"answerer", 1},
      {"top_k", 4294967296}};
  for (const auto& [field, value] : kCases) {
    Json body = ChatBody();
    body[field] = value;
    const auto chat = ParseChat(body);
    ASSERT_FALSE(chat.ok()) << field << value;
    EXPECT_THAT(std::string(chat.status().message()), HasSubstr(field));
  }
}

TEST(OpenAiTest, Embeddings) {
  const auto one = ParseEmbeddings(
      {{"model", "m"}, {"input", "x"}, {"encoding_format", "base64"}});
  ASSERT_TRUE(one.ok());
  EXPECT_TRUE(one->base64);
  EXPECT_EQ(one->embed.texts(0), "x");
  EXPECT_EQ(ParseEmbeddings({{"input", {"a", "b"}}})->embed.texts_size(), 2);
  for (const Json& wrong :
       std::vector<Json>{{{"model", "m"}},
                         {{"input", 1}},
                         {{"input", Json::array({1, 2})}},
                         {{"input", Json::array({Json::array({1, 2})})}},
                         {{"input", "x"}, {"encoding_format", "int8"}},
                         {{"input", "x"}, {"dimensions", 3}}}) {
    EXPECT_FALSE(ParseEmbeddings(wrong).ok()) << wrong;
  }
}

// OpenAI counts characters, the API bytes.
TEST(OpenAiTest, AnnotationsCountCharacters) {
  AnswerText answer;
  v1::AnswerResponse event;
  event.set_delta("Größe: ");
  answer.Add(event);
  event.set_delta("99 µm.");
  answer.Add(event);
  v1::Citation* citation = event.mutable_citation();
  citation->set_number(1);
  citation->set_document("collections/docs/documents/a b/ü.md");
  citation->set_version(7);
  citation->mutable_answer_range()->set_begin(9);  // in bytes
  citation->mutable_answer_range()->set_end(16);
  citation->set_quote("99 µm.");
  answer.Add(event);
  const Json annotation = answer.LastAnnotation();
  EXPECT_EQ(annotation["type"], "url_citation");
  EXPECT_EQ(annotation["url_citation"]["start_index"], 7);
  EXPECT_EQ(annotation["url_citation"]["end_index"], 13);
  EXPECT_EQ(annotation["url_citation"]["url"],
            "/v1/collections/docs/documents/a%20b/%C3%BC.md?version=7");
  EXPECT_EQ(answer.citations()[0]["answer_range"], (Json{9, 16}));
}

TEST(OpenAiTest, AnAbstentionIsNoAnswer) {
  AnswerText answer;
  v1::AnswerResponse event;
  event.mutable_final()->set_finish_reason(v1::FINISH_REASON_ABSTAINED);
  event.mutable_final()->set_abstain_reason("no_support");
  answer.Add(event);
  EXPECT_TRUE(answer.abstained());
  EXPECT_EQ(answer.finish_reason(), "abstained");
  EXPECT_THAT(answer.refusal(), HasSubstr("no_support"));
  EXPECT_THAT(AnswerResult(answer)["content"][0]["text"].get<std::string>(),
              HasSubstr("no_support"));
}

TEST(OpenAiTest, PathsAreItsOwn) {
  for (const char* path : {"/v1/chat/completions", "/v1/models",
                           "/v1/models/braid/docs", "/v1/embeddings"}) {
    EXPECT_TRUE(OpenAi::HasPath(path)) << path;
  }
  for (const char* path : {"/v1/modelsx", "/v1/embed", "/v1/chat",
                           "/v1/chat/completions/", "/v1/collections"}) {
    EXPECT_FALSE(OpenAi::HasPath(path)) << path;
  }
}

// Whatever the bytes, they are refused or understood.
TEST(OpenAiTest, SurvivesWhatIsNoRequest) {
  std::mt19937 random(7);
  const std::string good = ChatBody().dump();
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = good;
    for (int change = 0; change < 3; ++change) {
      const size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, 1 + random() % 8);
          break;
        default:
          bytes.insert(at, 1, "{}[]\",:0n"[random() % 9]);
      }
      if (bytes.empty()) bytes = "{";
    }
    const auto json = ParseJsonObject(bytes);
    if (!json.ok()) continue;
    (void)ParseChat(*json);
    (void)ParseEmbeddings(*json);
    (void)SearchOf(*json);
    (void)AnswerOf(*json);
  }
}

TEST(ConsoleTest, LoadsNothingFromElsewhere) {
  const http::Reply page = ConsoleReply({.method = "GET", .path = "/"});
  EXPECT_EQ(page.status, 200);
  std::string policy;
  for (const auto& [name, value] : page.headers) {
    if (name == "Content-Security-Policy") policy = value;
  }
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  for (const char* path : {"/", "/console/app.js", "/console/style.css"}) {
    const http::Reply file = ConsoleReply({.method = "GET", .path = path});
    EXPECT_EQ(file.status, 200);
    EXPECT_THAT(file.body, Not(HasSubstr("http:")));
    EXPECT_THAT(file.body, Not(HasSubstr("https:")));
    // Ways in which text becomes markup or code.
    for (const char* way :
         {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write",
          "eval(", "Function(", "onclick=", "style="}) {
      EXPECT_THAT(file.body, Not(HasSubstr(way))) << path;
    }
  }
  EXPECT_EQ(ConsoleReply({.method = "POST", .path = "/"}).status, 405);
  for (const char* path :
       {"/console", "/console/", "/console/../app.js", "/index.html"}) {
    EXPECT_FALSE(IsConsolePath(path)) << path;
  }
}

}  // namespace
}  // namespace braid::services::adapters
