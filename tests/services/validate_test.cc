// Every field of every request at its edges.
#include "services/server/validate.h"

#include <climits>
#include <cmath>
#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "services/server/page_token.h"

namespace braid::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Fields named by an error, in order.
std::vector<std::string> FieldsOf(const absl::Status& status) {
  google::rpc::Status proto;
  ToProto(status, &proto);
  std::vector<std::string> fields;
  for (const auto& detail : proto.details()) {
    google::rpc::BadRequest bad_request;
    if (!detail.UnpackTo(&bad_request)) continue;
    for (const auto& v : bad_request.field_violations()) {
      fields.push_back(v.field());
    }
  }
  return fields;
}

template <typename Request>
struct Case {
  std::string name;
  std::function<void(Request*)> change;
  const char* field;  // empty: accepted
};

template <typename Request>
void Check(const Request& good, const std::vector<Case<Request>>& cases) {
  EXPECT_TRUE(Parse(good, Limits()).ok()) << Parse(good, Limits()).status();
  for (const Case<Request>& test : cases) {
    Request request = good;
    test.change(&request);
    const absl::Status status = Parse(request, Limits()).status();
    if (test.field[0] == '\0') {
      EXPECT_TRUE(status.ok()) << test.name << ": " << status;
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << test.name;
      EXPECT_THAT(FieldsOf(status), ElementsAre(test.field)) << test.name;
    }
  }
}

// Cases of an int32 field of which 0 is the default.
template <typename Request>
std::vector<Case<Request>> CountCases(const char* field, int max,
                                      void (Request::*set)(int32_t)) {
  const auto at = [set](int value) {
    return [set, value](Request* r) { (r->*set)(value); };
  };
  const std::string name = field;
  return {{name + " INT_MIN", at(INT_MIN), field},
          {name + " -1", at(-1), field},
          {name + " 0", at(0), ""},
          {name + " 1", at(1), ""},
          {name + " max", at(max), ""},
          {name + " max+1", at(max + 1), field},
          {name + " INT_MAX", at(INT_MAX), field}};
}

template <typename Request>
void Append(std::vector<Case<Request>>* cases,
            const std::vector<Case<Request>>& more) {
  cases->insert(cases->end(), more.begin(), more.end());
}

// Cases of a double: NaN and infinities, and both ends of its range.
template <typename Request>
std::vector<Case<Request>> NumberCases(
    const char* field, double max, std::function<void(Request*, double)> set) {
  const auto at = [set](double value) {
    return [set, value](Request* r) { set(r, value); };
  };
  const std::string name = field;
  return {{name + " NaN", at(std::nan("")), field},
          {name + " -inf", at(-INFINITY), field},
          {name + " inf", at(INFINITY), field},
          {name + " -1", at(-1), field},
          {name + " -tiny", at(-1e-300), field},
          {name + " 0", at(0), ""},
          {name + " max", at(max), ""},
          {name + " above", at(std::nextafter(max, INFINITY)), field},
          {name + " huge", at(1e308), field}};
}

template <typename Request>
std::vector<Case<Request>> FilterAndCollectionCases(const char* collection) {
  using R = Request;
  const auto name = [collection](const std::string& value) {
    return [collection, value](R* r) {
      const auto* field = R::descriptor()->FindFieldByName(collection);
      r->GetReflection()->SetString(r, field, value);
    };
  };
  return {
      {"no collection", name(""), collection},
      {"collection id only", name("docs"), collection},
      {"upper case", name("collections/Docs"), collection},
      {"document name", name("collections/docs/documents/a"), collection},
      {"long", name("collections/" + std::string(64, 'a')), collection},
      {"huge", name(std::string(100000, 'a')), collection},
      {"filter", [](R* r) { r->set_filter("year >= 1990"); }, ""},
      {"broken filter", [](R* r) { r->set_filter("year >="); }, "filter"},
      {"deep filter", [](R* r) { r->set_filter(std::string(1000, '(')); },
       "filter"},
      {"long filter",
       [](R* r) { r->set_filter("a = \"" + std::string(17000, 'x') + "\""); },
       "filter"}};
}

v1::SearchRequest GoodSearch() {
  v1::SearchRequest request;
  request.set_collection("collections/docs");
  request.set_query("what");
  return request;
}

TEST(Validate, Search) {
  using R = v1::SearchRequest;
  std::vector<Case<R>> cases = {
      {"no query", [](R* r) { r->clear_query(); }, "query"},
      {"blank query", [](R* r) { r->set_query(" \n\t"); }, "query"},
      {"longest query", [](R* r) { r->set_query(std::string(8192, 'a')); }, ""},
      {"long query", [](R* r) { r->set_query(std::string(8193, 'a')); },
       "query"},
      {"both legs",
       [](R* r) {
         r->add_legs(v1::LEG_BM25);
         r->add_legs(v1::LEG_DENSE);
       },
       ""},
      {"leg 0", [](R* r) { r->add_legs(v1::LEG_UNSPECIFIED); }, "legs[0]"},
      {"leg 99",
       [](R* r) {
         r->add_legs(v1::LEG_BM25);
         r->add_legs(static_cast<v1::Leg>(99));
       },
       "legs[1]"},
      {"leg INT_MIN", [](R* r) { r->add_legs(static_cast<v1::Leg>(INT_MIN)); },
       "legs[0]"},
      {"rrf_k max", [](R* r) { r->mutable_fusion()->set_rrf_k(10000); }, ""},
      {"rrf_k max+1", [](R* r) { r->mutable_fusion()->set_rrf_k(10001); },
       "fusion.rrf_k"},
      {"rrf_k UINT_MAX", [](R* r) { r->mutable_fusion()->set_rrf_k(UINT_MAX); },
       "fusion.rrf_k"},
      {"rerank_depth none",
       [](R* r) { r->mutable_fusion()->set_rerank_depth(0); }, ""},
      {"rerank_depth max",
       [](R* r) { r->mutable_fusion()->set_rerank_depth(200); }, ""},
      {"rerank_depth max+1",
       [](R* r) { r->mutable_fusion()->set_rerank_depth(201); },
       "fusion.rerank_depth"},
      {"rerank_depth -1",
       [](R* r) { r->mutable_fusion()->set_rerank_depth(-1); },
       "fusion.rerank_depth"},
      {"fusion method 99",
       [](R* r) {
         r->mutable_fusion()->set_method(static_cast<v1::FusionMethod>(99));
       },
       "fusion.method"},
      {"no weight",
       [](R* r) {
         r->mutable_fusion()->set_bm25_weight(0);
         r->mutable_fusion()->set_dense_weight(0);
       },
       "fusion"},
      {"only a leg without weight",
       [](R* r) {
         r->add_legs(v1::LEG_BM25);
         r->mutable_fusion()->set_bm25_weight(0);
       },
       "fusion"},
  };
  Append(&cases, CountCases<R>("top_k", 1000, &R::set_top_k));
  Append(&cases,
         CountCases<R>("candidates_per_leg", 1000, &R::set_candidates_per_leg));
  Append(&cases,
         NumberCases<R>("fusion.bm25_weight", 1000, [](R* r, double value) {
           r->mutable_fusion()->set_bm25_weight(value);
         }));
  Append(&cases,
         NumberCases<R>("fusion.dense_weight", 1000, [](R* r, double value) {
           r->mutable_fusion()->set_dense_weight(value);
         }));
  Append(&cases, FilterAndCollectionCases<R>("collection"));
  Check(GoodSearch(), cases);
}

TEST(Validate, SearchFillsDefaults) {
  v1::SearchRequest request = GoodSearch();
  auto query = Parse(request, Limits());
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(query->top_k, 10u);
  EXPECT_EQ(query->query.limit_per_leg, 100u);
  EXPECT_EQ(query->fusion, FusionMethod::kRelativeScore);
  EXPECT_EQ(query->rrf_k, 60u);
  EXPECT_EQ(query->bm25_weight, 1.0);
  EXPECT_TRUE(query->query.run_bm25 && query->query.run_dense);
  request.set_top_k(500);
  request.mutable_fusion()->set_rrf_k(30);
  request.mutable_fusion()->set_dense_weight(0);
  query = Parse(request, Limits());
  EXPECT_EQ(query->query.limit_per_leg, 500u) << "raised to top_k";
  EXPECT_FALSE(query->query.run_dense) << "a leg without weight need not run";
  EXPECT_EQ(query->fusion, FusionMethod::kRrf) << "rrf_k is of RRF only";
}

TEST(Validate, SearchReportsEverythingAtOnce) {
  v1::SearchRequest request;
  request.set_top_k(-1);
  request.set_candidates_per_leg(-1);
  request.mutable_fusion()->set_rrf_k(UINT_MAX);
  request.set_filter("(");
  EXPECT_THAT(FieldsOf(Parse(request, Limits()).status()),
              ElementsAre("collection", "query", "filter", "top_k",
                          "candidates_per_leg", "fusion.rrf_k"));
}

// A second pass is what an answer is worth, unless somebody says otherwise; it
// has a meaning for fused scores only.
TEST(Validate, WhoHopsByDefault) {
  v1::SearchRequest search;
  search.set_collection("collections/c");
  search.set_query("q");
  v1::BuildContextRequest context;
  v1::AnswerRequest answer;
  answer.set_collection("collections/c");
  answer.set_question("q");
  const auto hops = [&] {
    *context.mutable_search() = search;
    return std::vector<bool>{Parse(search, Limits())->multi_hop,
                             Parse(context, Limits())->search.multi_hop,
                             Parse(answer, Limits())->search.multi_hop};
  };
  EXPECT_THAT(hops(), ElementsAre(false, true, true));
  search.mutable_fusion()->set_method(v1::FUSION_METHOD_RRF);
  answer.mutable_fusion()->set_rrf_k(10);
  EXPECT_THAT(hops(), ElementsAre(false, false, false));
  search.set_multi_hop(true);
  answer.set_multi_hop(true);
  EXPECT_THAT(hops(), ElementsAre(true, true, true));
  search.clear_fusion();
  answer.clear_fusion();
  search.set_multi_hop(false);
  answer.set_multi_hop(false);
  EXPECT_THAT(hops(), ElementsAre(false, false, false));
}

TEST(Validate, Answer) {
  using R = v1::AnswerRequest;
  R good;
  good.set_collection("collections/docs");
  good.set_question("why?");
  std::vector<Case<R>> cases = {
      {"no question", [](R* r) { r->clear_question(); }, "question"},
      {"long question", [](R* r) { r->set_question(std::string(8193, 'a')); },
       "question"},
      {"sampling.top_k -1", [](R* r) { r->mutable_sampling()->set_top_k(-1); },
       "sampling.top_k"},
      {"sampling.top_k INT_MIN",
       [](R* r) { r->mutable_sampling()->set_top_k(INT_MIN); },
       "sampling.top_k"},
      {"sampling.top_k INT_MAX",
       [](R* r) { r->mutable_sampling()->set_top_k(INT_MAX); },
       "sampling.top_k"},
  };
  Append(&cases, CountCases<R>("top_k", 100, &R::set_top_k));
  Append(&cases, CountCases<R>("max_context_tokens", 1 << 20,
                               &R::set_max_context_tokens));
  Append(&cases,
         CountCases<R>("max_answer_tokens", 32768, &R::set_max_answer_tokens));
  Append(&cases,
         NumberCases<R>("sampling.temperature", 2, [](R* r, double value) {
           r->mutable_sampling()->set_temperature(value);
         }));
  Append(&cases, NumberCases<R>("sampling.top_p", 1, [](R* r, double value) {
    r->mutable_sampling()->set_top_p(value);
  }));
  Append(&cases, FilterAndCollectionCases<R>("collection"));
  Check(good, cases);
}

TEST(Validate, Generate) {
  using R = v1::GenerateRequest;
  R good;
  good.set_prompt("Once");
  std::vector<Case<R>> cases = {
      {"no input", [](R* r) { r->clear_input(); }, "input"},
      {"empty prompt", [](R* r) { r->set_prompt(""); }, "prompt"},
      {"long prompt",
       [](R* r) { r->set_prompt(std::string((8 << 20) + 1, 'a')); }, "prompt"},
      {"no messages", [](R* r) { r->mutable_chat(); }, "chat.messages"},
      {"many messages",
       [](R* r) {
         for (int i = 0; i < 257; ++i) r->mutable_chat()->add_messages();
       },
       "chat.messages"},
      {"role",
       [](R* r) { r->mutable_chat()->add_messages()->set_role("root"); },
       "chat.messages[0].role"},
      {"long chat",
       [](R* r) {
         for (int i = 0; i < 2; ++i) {
           auto* message = r->mutable_chat()->add_messages();
           message->set_role("user");
           message->set_content(std::string(5 << 20, 'a'));
         }
       },
       "chat.messages[1].content"},
      {"good chat",
       [](R* r) { r->mutable_chat()->add_messages()->set_role("user"); }, ""},
  };
  Append(&cases, CountCases<R>("max_tokens", 32768, &R::set_max_tokens));
  Check(good, cases);
}

TEST(Validate, CreateCollection) {
  using R = v1::CreateCollectionRequest;
  R good;
  good.set_collection_id("docs");
  const auto tokens = [](uint32_t max, uint32_t overlap) {
    return [max, overlap](R* r) {
      r->mutable_chunking()->set_max_tokens(max);
      r->mutable_chunking()->set_overlap_tokens(overlap);
    };
  };
  Check<R>(
      good,
      {{"no id", [](R* r) { r->clear_collection_id(); }, "collection_id"},
       {"id", [](R* r) { r->set_collection_id("a/b"); }, "collection_id"},
       {"language", [](R* r) { r->set_language("de"); }, ""},
       {"long language", [](R* r) { r->set_language("german"); }, "language"},
       {"upper language", [](R* r) { r->set_language("DE"); }, "language"},
       {"strategy",
        [](R* r) {
          r->mutable_chunking()->set_strategy(
              static_cast<v1::Chunking::Strategy>(17));
        },
        "chunking.strategy"},
       {"defaults", tokens(0, 0), ""},
       {"below", tokens(15, 0), "chunking.max_tokens"},
       {"least", tokens(16, 8), ""},
       {"most", tokens(2048, 1024), ""},
       {"above", tokens(2049, 0), "chunking.max_tokens"},
       {"UINT_MAX", tokens(UINT_MAX, 0), "chunking.max_tokens"},
       {"overlap", tokens(16, 9), "chunking.overlap_tokens"},
       {"overlap of the default", tokens(0, 101), "chunking.overlap_tokens"},
       {"parent smaller than a chunk",
        [](R* r) { r->mutable_chunking()->set_parent_tokens(199); },
        "chunking.parent_tokens"},
       {"parent too large",
        [](R* r) { r->mutable_chunking()->set_parent_tokens(8193); },
        "chunking.parent_tokens"}});
}

TEST(Validate, Lists) {
  using C = v1::ListCollectionsRequest;
  std::vector<Case<C>> collections = {
      {"token", [](C* r) { r->set_page_token("x"); }, "page_token"},
      {"long token", [](C* r) { r->set_page_token(std::string(100000, 'A')); },
       "page_token"},
      {"good token",
       [](C* r) {
         r->set_page_token(MakePageToken(kCollectionsPageScope, "docs"));
       },
       ""}};
  Append(&collections, CountCases<C>("page_size", 1000, &C::set_page_size));
  Check(C(), collections);

  using D = v1::ListDocumentsRequest;
  D good;
  good.set_parent("collections/docs");
  std::vector<Case<D>> documents = {
      {"token of another collection",
       [](D* r) {
         r->set_page_token(
             MakePageToken(DocumentsPageScope("other", "", 0), "a"));
       },
       "page_token"},
      {"token of another filter",
       [](D* r) {
         r->set_filter("a = 1");
         r->set_page_token(
             MakePageToken(DocumentsPageScope("docs", "", 0), "a"));
       },
       "page_token"},
      {"token of another moment",
       [](D* r) {
         r->set_as_of_sequence(4);
         r->set_page_token(
             MakePageToken(DocumentsPageScope("docs", "", 3), "a"));
       },
       "page_token"}};
  Append(&documents, CountCases<D>("page_size", 1000, &D::set_page_size));
  Append(&documents, FilterAndCollectionCases<D>("parent"));
  Check(good, documents);
}

std::vector<std::string> IngestFields(
    const std::function<void(v1::IngestRequest*)>& change) {
  v1::IngestRequest request;
  request.mutable_document()->set_document_id("a/b");
  request.mutable_document()->set_text("text");
  change(&request);
  return FieldsOf(ParseInput(&request, Limits()).status());
}

TEST(Validate, Ingest) {
  using R = v1::IngestRequest;
  EXPECT_THAT(IngestFields([](R*) {}), IsEmpty());
  EXPECT_THAT(IngestFields([](R* r) { r->clear_input(); }),
              ElementsAre("input"));
  EXPECT_THAT(
      IngestFields([](R* r) { r->set_request_id(std::string(65, 'r')); }),
      ElementsAre("request_id"));
  EXPECT_THAT(IngestFields([](R* r) { r->set_request_id("a\nb"); }),
              ElementsAre("request_id"));
  EXPECT_THAT(IngestFields([](R* r) {
                r->mutable_document()->set_document_id("");
                r->mutable_document()->set_text("");
              }),
              ElementsAre("document.document_id", "document.text"));
  EXPECT_THAT(IngestFields([](R* r) {
                r->mutable_document()->set_title(std::string(4097, 't'));
              }),
              ElementsAre("document.title"));
  EXPECT_THAT(
      IngestFields([](R* r) {
        (*r->mutable_document()->mutable_metadata()->mutable_fields())["x"]
            .mutable_struct_value();
      }),
      ElementsAre("document.metadata.x"));
  EXPECT_THAT(IngestFields([](R* r) { r->mutable_source(); }),
              ElementsAre("source.document_id", "source.content"));
  EXPECT_THAT(IngestFields([](R* r) {
                r->mutable_source()->set_document_id(std::string(513, 'x'));
                r->mutable_source()->set_content("x");
                r->mutable_source()->set_file_name(std::string("a\0b", 3));
                r->mutable_source()->set_media_type(std::string(256, 'm'));
              }),
              ElementsAre("source.document_id", "source.media_type",
                          "source.file_name"));
}

}  // namespace
}  // namespace braid::services
