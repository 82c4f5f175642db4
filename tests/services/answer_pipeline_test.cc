#include "services/pipeline/answer_pipeline.h"

#include <string>

#include "absl/time/clock.h"
#include "fakes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime.h"
#include "tests/steady.h"

namespace braid::services {
namespace {

using generation::AnswerCitation;
using generation::AnswerDelta;
using generation::AnswerFinal;
using generation::AnswerUsage;
using generation::FinishReason;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AnswerPipelineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto backend = std::make_unique<FakeBackend>();
    backend_ = backend.get();
    // Chunks 1 and 2 are neighbours: the plan makes them one passage.
    backend_->view->AddChunk(1, "d", "Water boils at 100 degrees. ");
    backend_->view->AddChunk(2, "d", "It freezes at 0 degrees.");
    backend_->view->AddChunk(3, "e", "Iron melts at 1538 degrees.");
    backend_->result.bm25.hits = {{1, 3.f}, {2, 2.f}, {3, 1.f}};
    Runtime::Parts parts;
    parts.encoder = std::make_unique<FakeEncoder>();
    parts.backend = std::move(backend);
    parts.answerer = std::make_unique<ScriptedAnswerer>(
        [this](const generation::AnswerRequest& request,
               const generation::AnswerSink& sink, std::stop_token stop) {
          seen_ = request;
          return script_(request, sink, stop);
        });
    runtime_ = Runtime::Assemble(Config(), std::move(parts));
    query_.search.query.text = "When does water boil?";
    query_.search.top_k = 8;
  }

  absl::Status Run() {
    events_.clear();
    const ContextSource source = [this](const ContextQuery& query,
                                        const FoundSink& on_found) {
      return BuildContext(runtime_->backend(), reranker_, query, on_found);
    };
    return RunAnswer(
        source, runtime_->answerer(), query_,
        [this](const PipelineEvent& event) {
          if (const auto* stage = std::get_if<StageTime>(&event)) {
            events_.push_back("stage " + stage->stage);
          } else if (std::get_if<const PipelineResult*>(&event) != nullptr) {
            events_.push_back("retrieved");
          } else if (const auto* delta = std::get_if<AnswerDelta>(&event)) {
            events_.push_back("delta " + delta->text);
          } else if (const auto* citation =
                         std::get_if<VerifiedCitation>(&event)) {
            events_.push_back("citation");
            citations_.push_back(*citation);
          } else if (std::get_if<AnswerUsage>(&event) != nullptr) {
            events_.push_back("usage");
          } else {
            events_.push_back("end");
            end_ = std::get<AnswerEnd>(event);
          }
          return events_.size() < receive_;
        });
  }

  FakeBackend* backend_;
  const fusion::Reranker* reranker_ = nullptr;
  std::unique_ptr<Runtime> runtime_;
  ScriptedAnswerer::Script script_;
  generation::AnswerRequest seen_;
  AnswerQuery query_;
  std::vector<std::string> events_;
  std::vector<VerifiedCitation> citations_;
  AnswerEnd end_;
  size_t receive_ = 1000;
};

TEST_F(AnswerPipelineTest, SendsEverythingInOrder) {
  script_ = [](const generation::AnswerRequest&,
               const generation::AnswerSink& sink, std::stop_token) {
    sink(AnswerDelta{"Water boils at 100 degrees."});
    sink(AnswerCitation{0, 27, 0, 0, 27, "Water boils at 100 degrees."});
    sink(AnswerUsage{5, 6});
    sink(AnswerFinal{FinishReason::kStop, ""});
    return absl::OkStatus();
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(
      events_,
      ElementsAre("stage embed", "stage bm25", "stage dense", "stage fuse",
                  "stage fetch", "stage merge", "retrieved", "stage plan",
                  "delta Water boils at 100 degrees.", "citation",
                  "stage generate", "usage", "end"));
  ASSERT_EQ(citations_.size(), 1u);
  EXPECT_EQ(citations_[0].number, 1u);
  EXPECT_EQ(citations_[0].document_id, "d");
  EXPECT_EQ(citations_[0].title, "Title of d");
  EXPECT_EQ(citations_[0].chunk, 1u);
  EXPECT_EQ(end_.rejected_citations, 0u);
  EXPECT_THAT(end_.degraded, IsEmpty());
}

// A small chunk is found, its neighbours of the same section are read with it.
TEST_F(AnswerPipelineTest, AbstainsWhereNoPassageIsRelevantEnough) {
  bool asked = false;
  script_ = [&](const generation::AnswerRequest&,
                const generation::AnswerSink& sink, std::stop_token) {
    asked = true;
    sink(AnswerFinal{FinishReason::kStop, ""});
    return absl::OkStatus();
  };
  FakeReranker reranker;
  reranker.logits = {-3.f, -2.f, -4.f};  // at best 0.119
  reranker_ = &reranker;
  query_.min_relevance = 0.12;
  ASSERT_TRUE(Run().ok());
  EXPECT_FALSE(asked);
  EXPECT_THAT(events_, Contains("retrieved"));
  EXPECT_EQ(end_.finish_reason, FinishReason::kAbstained);
  EXPECT_EQ(end_.abstain_reason, "low_relevance");
  query_.min_relevance = 0.11;
  ASSERT_TRUE(Run().ok());
  EXPECT_TRUE(asked);
  EXPECT_EQ(end_.finish_reason, FinishReason::kStop);

  // Fused scores are no probabilities.
  asked = false;
  reranker_ = nullptr;
  query_.min_relevance = 1;
  ASSERT_TRUE(Run().ok());
  EXPECT_TRUE(asked);
}

TEST_F(AnswerPipelineTest, ReadsTheParentsOfWhatWasFound) {
  for (const int id : {10, 11, 12, 13, 14}) {
    backend_->view->AddChunk(id, "f", "Part " + std::to_string(id) + ". ");
    backend_->view->chunks[id].span.headings = {id < 14 ? "One" : "Two"};
  }
  script_ = [](const generation::AnswerRequest& request,
               const generation::AnswerSink& sink, std::stop_token) {
    sink(AnswerDelta{"Part 11."});
    const uint64_t at = request.passages[0].text_begin +
                        request.passages[0].text.find("11") - 5;
    sink(AnswerCitation{0, 8, 0, at, at + 8, "Part 11."});
    sink(AnswerFinal{FinishReason::kStop, ""});
    return absl::OkStatus();
  };
  backend_->result.bm25.hits = {{12, 3.f}, {13, 2.f}};
  query_.parent_tokens = 30;
  ASSERT_TRUE(Run().ok());
  // 12 with 13 after it and 11 before it, ten tokens each; 13 is read by that.
  ASSERT_EQ(seen_.passages.size(), 1u);
  EXPECT_EQ(seen_.passages[0].text, "Part 11. Part 12. Part 13. ");
  ASSERT_EQ(citations_.size(), 1u);
  EXPECT_EQ(citations_[0].chunk, 11u);
  EXPECT_EQ(end_.rejected_citations, 0u);

  // 14 stands in another section.
  query_.parent_tokens = 1000;
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(seen_.passages[0].text, "Part 10. Part 11. Part 12. Part 13. ");
  // No parent is larger than the context.
  query_.max_context_tokens = 20;
  ASSERT_TRUE(Run().ok());
  ASSERT_EQ(seen_.passages.size(), 1u);
  EXPECT_EQ(seen_.passages[0].text, "Part 12. Part 13. ");
  query_.max_context_tokens = 2048;
  query_.parent_tokens = 0;
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(seen_.passages[0].text, "Part 12. Part 13. ");
}

TEST_F(AnswerPipelineTest, NeighboursAreReadFromTheStoreAsOnePassage) {
  script_ = [](const generation::AnswerRequest&,
               const generation::AnswerSink& sink, std::stop_token) {
    sink(AnswerDelta{"It freezes at 0 degrees."});
    // Lies in chunk 2, though the passage begins with chunk 1.
    sink(AnswerCitation{0, 24, 0, 28, 52, "It freezes at 0 degrees."});
    sink(AnswerFinal{FinishReason::kStop, ""});
    return absl::OkStatus();
  };
  ASSERT_TRUE(Run().ok());
  ASSERT_EQ(seen_.passages.size(), 2u);
  EXPECT_EQ(seen_.passages[0].text,
            "Water boils at 100 degrees. It freezes at 0 degrees.");
  EXPECT_EQ(seen_.passages[1].document_id, "e");
  ASSERT_EQ(citations_.size(), 1u);
  EXPECT_EQ(citations_[0].chunk, 2u);
}

// The answerer claims what the store does not hold: nothing of it is sent.
TEST_F(AnswerPipelineTest, FalseCitationsAreDroppedAndCounted) {
  script_ = [](const generation::AnswerRequest&,
               const generation::AnswerSink& sink, std::stop_token) {
    sink(AnswerDelta{"0123456789"});
    const AnswerCitation kFalse[] = {
        {0, 5, 0, 0, 5, "water"},   // other bytes
        {0, 5, 0, 0, 4, "Water"},   // quote longer than the range
        {0, 5, 9, 0, 5, "Water"},   // no such passage
        {0, 5, 1, 0, 28, "x"},      // past its passage
        {0, 5, 0, 5, 5, ""},        // nothing
        {0, 5, 0, 5, 0, ""},        // backwards
        {0, 11, 0, 0, 5, "Water"},  // answer not sent yet
        {5, 5, 0, 0, 5, "Water"},   // supports nothing
        {0, 5, 0, UINT64_MAX - 1, UINT64_MAX, "W"},
        {0, 5, SIZE_MAX, 0, 5, "Water"},
    };
    for (const AnswerCitation& citation : kFalse) sink(citation);
    sink(AnswerCitation{0, 5, 0, 0, 5, "Water"});
    sink(AnswerFinal{FinishReason::kStop, ""});
    return absl::OkStatus();
  };
  ASSERT_TRUE(Run().ok());
  ASSERT_EQ(citations_.size(), 1u);
  EXPECT_EQ(citations_[0].number, 1u) << "numbers have no gaps";
  EXPECT_EQ(end_.rejected_citations, 10u);
}

TEST_F(AnswerPipelineTest, StoredBytesThatChangedAreNotCited) {
  script_ = [this](const generation::AnswerRequest&,
                   const generation::AnswerSink& sink, std::stop_token) {
    backend_->view->documents["d"].text[0] = 'X';
    sink(AnswerDelta{"Water"});
    sink(AnswerCitation{0, 5, 0, 0, 5, "Water"});
    sink(AnswerFinal{FinishReason::kStop, ""});
    return absl::OkStatus();
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(citations_, IsEmpty());
  EXPECT_EQ(end_.rejected_citations, 1u);
}

TEST_F(AnswerPipelineTest, AbstainsWithAReason) {
  backend_->result.bm25.hits.clear();
  script_ = [](const generation::AnswerRequest& request,
               const generation::AnswerSink& sink, std::stop_token) {
    EXPECT_THAT(request.passages, IsEmpty());
    sink(AnswerFinal{FinishReason::kAbstained, "no_passages"});
    return absl::OkStatus();
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(end_.finish_reason, FinishReason::kAbstained);
  EXPECT_EQ(end_.abstain_reason, "no_passages");
}

TEST_F(AnswerPipelineTest, DeadlinesEndWithAFinalEventThatSaysSo) {
  script_ = [](const generation::AnswerRequest&, const generation::AnswerSink&,
               std::stop_token) {
    return absl::DeadlineExceededError("no time");
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(end_.finish_reason, FinishReason::kDeadline);
  EXPECT_THAT(end_.degraded, ElementsAre("generate"));

  backend_->status = absl::DeadlineExceededError("no time");
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(end_.finish_reason, FinishReason::kDeadline);
  EXPECT_THAT(end_.degraded, Contains("search"));
  EXPECT_EQ(events_.back(), "end");
}

TEST_F(AnswerPipelineTest, TheSearchLeavesTimeForTheAnswer) {
  script_ = [](const generation::AnswerRequest&,
               const generation::AnswerSink& sink, std::stop_token) {
    sink(AnswerFinal{FinishReason::kStop, ""});
    return absl::OkStatus();
  };
  query_.search.query.deadline = SteadyIn(absl::Seconds(10));
  ASSERT_TRUE(Run().ok());
  EXPECT_LT(backend_->seen.deadline, query_.search.query.deadline);
  EXPECT_EQ(seen_.deadline, query_.search.query.deadline);
}

TEST_F(AnswerPipelineTest, NothingIsSentToAReceiverThatIsGone) {
  script_ = [](const generation::AnswerRequest&,
               const generation::AnswerSink& sink, std::stop_token) {
    while (sink(AnswerDelta{"x"})) {
    }
    return absl::OkStatus();
  };
  for (receive_ = 1; receive_ < 13; ++receive_) {
    EXPECT_EQ(Run().code(), absl::StatusCode::kCancelled) << receive_;
    EXPECT_EQ(events_.size(), receive_);
  }
}

TEST_F(AnswerPipelineTest, AnswererWithoutAFinalEventIsAnError) {
  script_ = [](const generation::AnswerRequest&, const generation::AnswerSink&,
               std::stop_token) { return absl::OkStatus(); };
  EXPECT_EQ(Run().code(), absl::StatusCode::kInternal);
  EXPECT_NE(events_.back(), "end");
}

}  // namespace
}  // namespace braid::services
