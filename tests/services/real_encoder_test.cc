// The whole service on the encoder that deploy/setup fetches.
#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_service.h"

namespace braid::services {
namespace {

constexpr char kEncoder[] = BRAID_CACHE_DIR "/models/all-MiniLM-L6-v2";

class RealEncoderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kEncoder)) {
      GTEST_SKIP() << "no encoder in " << kEncoder << ": run ./deploy/setup";
    }
    TestOptions options;
    options.encoder_directory = kEncoder;
    service_ = std::make_unique<TestService>(options);
    service_->Put("docs", "sky", "Aircraft climb faster in dense cold air.");
    service_->Put("docs", "sea",
                  "Ships need deep harbours to load their cargo.");
    service_->Put("docs", "errors",
                  "Code 40P01 means that one deadlock was detected. The server "
                  "ended one of the transactions.");
    sequence_ = service_->Put("docs", "bread",
                              "Knead the dough and let it rise for an hour.");
  }
  std::string Best(const std::string& query, v1::Leg leg) {
    grpc::ClientContext context;
    v1::SearchRequest request;
    request.set_collection("collections/docs");
    request.set_query(query);
    request.add_legs(leg);
    request.set_wait_for_sequence(sequence_);
    v1::SearchResponse response;
    const grpc::Status status =
        service_->retrieval().Search(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.passages().empty()
               ? ""
               : response.passages(0).chunk().document();
  }
  std::unique_ptr<TestService> service_;
  uint64_t sequence_ = 0;
};

TEST_F(RealEncoderTest, EachLegFindsWhatTheOtherCannot) {
  EXPECT_EQ(Best("40P01", v1::LEG_BM25), "collections/docs/documents/errors");
  // Shares no word with its document.
  EXPECT_EQ(Best("how do I bake a loaf?", v1::LEG_BM25), "");
  EXPECT_EQ(Best("how do I bake a loaf?", v1::LEG_DENSE),
            "collections/docs/documents/bread");
}

TEST_F(RealEncoderTest, AnswersWithCitationsOrAbstains) {
  const auto ask = [&](const std::string& question, std::string* answer,
                       int* citations) {
    grpc::ClientContext context;
    v1::AnswerRequest request;
    request.set_collection("collections/docs");
    request.set_question(question);
    request.set_wait_for_sequence(sequence_);
    auto stream = service_->answers().Answer(&context, request);
    v1::AnswerResponse event;
    v1::AnswerResponse last;
    while (stream->Read(&event)) {
      *answer += event.delta();
      *citations += event.has_citation();
      last = event;
    }
    EXPECT_TRUE(stream->Finish().ok());
    return last.final();
  };
  std::string answer;
  int citations = 0;
  const v1::AnswerFinal found =
      ask("What does error code 40P01 mean?", &answer, &citations);
  EXPECT_EQ(found.finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_THAT(answer, ::testing::HasSubstr("deadlock"));
  EXPECT_GE(citations, 1);

  answer.clear();
  citations = 0;
  const v1::AnswerFinal none =
      ask("Who won the chess championship in 1972?", &answer, &citations);
  EXPECT_EQ(none.finish_reason(), v1::FINISH_REASON_ABSTAINED);
  EXPECT_EQ(none.abstain_reason(), "no_support");
  EXPECT_EQ(citations, 0);
}

}  // namespace
}  // namespace braid::services
