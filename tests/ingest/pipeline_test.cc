#include "retrieval/ingest/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "absl/synchronization/notification.h"
#include "retrieval/ingest/prepare.h"
#include "tests/ingest/fake_store.h"
#include "tests/ingest/in_process_parser.h"
#include "tests/ingest/test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::HasSubstr;

IngestItem Inline(std::string id, std::string text, std::string title = "") {
  InlineDocument document;
  document.document_id = std::move(id);
  document.text = std::move(text);
  document.title = std::move(title);
  IngestItem item;
  item.input = std::move(document);
  return item;
}

IngestItem File(std::string name, std::string content) {
  IngestItem item;
  item.input = Source(std::move(name), std::move(content));
  return item;
}

class PipelineTest : public ::testing::Test {
 protected:
  PipelineTest() : store_(Config()) {}

  static CollectionConfig Config() {
    CollectionConfig config;
    config.id = "c";
    config.encoder = "fake";
    config.dimension = 4;
    config.chunking.max_tokens = 10;
    return config;
  }

  std::unique_ptr<IngestPipeline> Create(const IngestLimits& limits = {},
                                         int threads = 2) {
    auto pipeline = IngestPipeline::Create(&store_, &encoder_, &parser_, "c",
                                           limits, threads);
    EXPECT_TRUE(pipeline.ok()) << pipeline.status();
    return *std::move(pipeline);
  }

  // Submits one item and waits for it.
  IngestOutcome Run(IngestPipeline& pipeline, IngestItem item) {
    absl::Notification ready;
    IngestOutcome outcome;
    pipeline.Submit(std::move(item), [&](IngestOutcome result) {
      outcome = std::move(result);
      ready.Notify();
    });
    ready.WaitForNotification();
    return outcome;
  }

  InProcessParser parser_;
  FakeStore store_;
  FakeEncoder encoder_;
};

TEST_F(PipelineTest, Sha256IsTheStandardOne) {
  // FIPS 180-2, appendix B.1.
  EXPECT_EQ(Sha256Hex("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(PipelineTest, StoresChunksWithTheirOwnVectors) {
  auto pipeline = Create();
  const std::string text =
      "one two three four five six. Seven eight nine ten eleven twelve. "
      "Thirteen fourteen fifteen sixteen seventeen.";
  const IngestOutcome outcome = Run(*pipeline, Inline("d", text, "Title"));
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.result.outcome, WriteOutcome::kCreated);
  EXPECT_EQ(outcome.result.version, 1u);
  const DocumentWrite write = store_.documents().at("d").write;
  EXPECT_EQ(write.text, text);
  EXPECT_EQ(write.media_type, "text/plain");
  EXPECT_EQ(write.content_hash, Sha256Hex(text));
  ASSERT_GE(write.chunks.size(), 3u);
  ASSERT_EQ(write.vectors.size(), write.chunks.size() * 4);
  for (size_t i = 0; i < write.chunks.size(); ++i) {
    const std::string embedded =
        "Title. " + Slice(text, write.chunks[i].text_range);
    float expect[4];
    const absl::string_view view = embedded;
    ASSERT_TRUE(encoder_.Embed({view}, expect).ok());
    for (int k = 0; k < 4; ++k) EXPECT_EQ(write.vectors[i * 4 + k], expect[k]);
  }
}

TEST_F(PipelineTest, SkipsWhatHasNotChanged) {
  auto pipeline = Create();
  const std::string html = "<title>T</title><p>some words</p>";
  for (const char* name : {"a.html", "b.md", "c.txt"}) {
    const size_t before = encoder_.embedded;
    EXPECT_EQ(Run(*pipeline, File(name, html)).result.outcome,
              WriteOutcome::kCreated);
    const size_t embedded = encoder_.embedded;
    EXPECT_GT(embedded, before);
    const IngestOutcome again = Run(*pipeline, File(name, html));
    ASSERT_TRUE(again.status.ok());
    EXPECT_EQ(again.result.outcome, WriteOutcome::kUnchanged);
    EXPECT_EQ(again.result.version, 1u);
    EXPECT_GT(again.result.sequence, 0u);
    EXPECT_EQ(encoder_.embedded, embedded);

    IngestItem other_metadata = File(name, html);
    std::get<SourceFile>(other_metadata.input).metadata["tag"] = true;
    EXPECT_EQ(Run(*pipeline, other_metadata).result.version, 2u);
    // Metadata that is no longer given is a change too.
    EXPECT_EQ(Run(*pipeline, File(name, html)).result.version, 3u);
    IngestItem forced = File(name, html);
    forced.force = true;
    EXPECT_EQ(Run(*pipeline, forced).result.version, 4u);
    EXPECT_EQ(Run(*pipeline, File(name, html + "<p>x")).result.version, 5u);
  }
  EXPECT_EQ(store_.forced(), 3u);
  EXPECT_EQ(Run(*pipeline, Inline("i", "x", "t")).result.version, 1u);
  EXPECT_EQ(Run(*pipeline, Inline("i", "x", "t")).result.outcome,
            WriteOutcome::kUnchanged);
  EXPECT_EQ(Run(*pipeline, Inline("i", "x", "u")).result.version, 2u);
}

TEST_F(PipelineTest, AnswersARepeatedRequestWithoutWork) {
  auto pipeline = Create();
  IngestItem item = Inline("d", "first");
  item.request_id = "r1";
  const IngestOutcome first = Run(*pipeline, item);
  const size_t embedded = encoder_.embedded;
  item = Inline("d", "second");
  item.request_id = "r1";
  const IngestOutcome second = Run(*pipeline, item);
  ASSERT_TRUE(second.status.ok());
  EXPECT_EQ(second.result.version, first.result.version);
  EXPECT_EQ(encoder_.embedded, embedded);
  EXPECT_EQ(store_.documents().at("d").write.text, "first");
}

TEST_F(PipelineTest, NamesTheStageAndTheDocumentOfEveryFailure) {
  IngestLimits limits;
  limits.max_source_bytes = 1000;
  limits.max_text_bytes = 1000;
  limits.max_document_id_bytes = 20;
  limits.max_metadata_bytes = 50;
  limits.max_chunks_per_document = 5;
  encoder_.on_embed = [](absl::Span<const absl::string_view> texts) {
    for (absl::string_view text : texts) {
      if (absl::StrContains(text, "POISON")) {
        return absl::InternalError("encoder");
      }
    }
    return absl::OkStatus();
  };
  store_.refused_id = "refused";
  auto pipeline = Create(limits);
  IngestItem metadata = Inline("metadata", "x");
  std::get<InlineDocument>(metadata.input).metadata["k"] = std::string(60, 'x');
  struct Case {
    IngestItem item;
    absl::StatusCode code;
    const char* stage;
  };
  const Case cases[] = {
      {File("big.txt", std::string(1001, 'x')),
       absl::StatusCode::kResourceExhausted, "parse"},
      {Inline("text", std::string(1001, 'x')),
       absl::StatusCode::kResourceExhausted, "parse"},
      {File("bad.txt", std::string("a\0z", 3)),
       absl::StatusCode::kInvalidArgument, "parse"},
      {File("a.pdf", "%PDF-1.4"), absl::StatusCode::kUnimplemented, "parse"},
      {Inline("nul", std::string("a\0b", 3)),
       absl::StatusCode::kInvalidArgument, "parse"},
      {Inline("nothing", " "), absl::StatusCode::kInvalidArgument, "parse"},
      {metadata, absl::StatusCode::kResourceExhausted, "parse"},
      {Inline("many", std::string(600, '.')),
       absl::StatusCode::kResourceExhausted, "chunk"},
      {Inline("poison", "POISON"), absl::StatusCode::kInternal, "embed"},
      {Inline("refused", "x"), absl::StatusCode::kDataLoss, "store"},
  };
  for (const Case& test : cases) {
    const IngestOutcome outcome = Run(*pipeline, test.item);
    EXPECT_EQ(outcome.status.code(), test.code) << outcome.status;
    EXPECT_EQ(outcome.stage, test.stage) << outcome.status;
    EXPECT_THAT(std::string(outcome.status.message()),
                HasSubstr(DocumentIdOf(test.item)));
  }
  for (const std::string& id : {std::string(), std::string(21, 'x'),
                                std::string("a\nb"), std::string("\xFF")}) {
    EXPECT_EQ(Run(*pipeline, Inline(id, "x")).status.code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(store_.documents().empty());
  EXPECT_TRUE(Run(*pipeline, Inline("good", "x")).status.ok());
}

TEST_F(PipelineTest, APoisonousDocumentLeavesItsBatchAlone) {
  encoder_.on_embed = [](absl::Span<const absl::string_view> texts) {
    for (absl::string_view text : texts) {
      if (absl::StrContains(text, "POISON")) {
        return absl::InternalError("encoder");
      }
    }
    return absl::OkStatus();
  };
  auto pipeline = Create();
  absl::Mutex mu;
  std::vector<std::string> failed;
  for (int i = 0; i < 500; ++i) {
    const std::string id = absl::StrCat("d", i);
    std::string text = absl::StrCat("text ", i);
    // Long enough for many batches, of which the last is poisonous.
    if (i == 77) {
      for (int k = 0; k < 3000; ++k) absl::StrAppend(&text, " word", k, ".");
      absl::StrAppend(&text, " POISON");
    }
    pipeline->Submit(Inline(id, text), [&, id](IngestOutcome outcome) {
      absl::MutexLock lock(&mu);
      if (!outcome.status.ok()) failed.push_back(id + outcome.stage);
    });
  }
  pipeline->Drain();
  EXPECT_THAT(failed, ::testing::ElementsAre("d77embed"));
  EXPECT_EQ(store_.documents().size(), 499u);
  // Documents share batches and syncs.
  EXPECT_LT(encoder_.batches, 400u);
  EXPECT_LT(store_.batches(), 400u);
}

TEST_F(PipelineTest, KeepsTheOrderOfOneDocument) {
  auto pipeline = Create({}, 4);
  std::mt19937 random(1);
  std::map<std::string, std::string> last;
  std::map<std::string, uint64_t> versions;
  absl::Mutex mu;
  size_t done = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string id = absl::StrCat("d", random() % 7);
    const std::string text =
        absl::StrCat("version ", i, std::string(random() % 50, '.'));
    last[id] = text;
    pipeline->Submit(Inline(id, text), [&, id](IngestOutcome outcome) {
      absl::MutexLock lock(&mu);
      ASSERT_TRUE(outcome.status.ok());
      EXPECT_EQ(outcome.result.version, ++versions[id]);
      ++done;
    });
  }
  pipeline->Drain();
  EXPECT_EQ(done, 2000u);
  for (const auto& [id, stored] : store_.documents()) {
    EXPECT_EQ(stored.write.text, last[id]) << id;
  }
}

TEST_F(PipelineTest, SubmitBlocksWhenTheQueueIsFull) {
  IngestLimits limits;
  limits.max_queued_items = 4;
  absl::Notification open;
  store_.on_put = [&](absl::Span<const DocumentWrite>) {
    open.WaitForNotification();
  };
  auto pipeline = Create(limits, 1);
  std::atomic<int> submitted{0};
  std::atomic<int> done{0};
  std::thread client([&] {
    // All of one document: only the first can be under way.
    for (int i = 0; i < 50; ++i) {
      pipeline->Submit(Inline("d", absl::StrCat(i)),
                       [&](IngestOutcome) { ++done; });
      ++submitted;
    }
  });
  while (submitted < 5) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(submitted, 5);
  EXPECT_EQ(done, 0);
  open.Notify();
  client.join();
  pipeline->Drain();
  EXPECT_EQ(done, 50);
  EXPECT_EQ(store_.documents().at("d").info.version, 50u);
}

TEST_F(PipelineTest, AnItemOverTheByteLimitStillGoesIn) {
  IngestLimits limits;
  limits.max_queued_bytes = 10;
  auto pipeline = Create(limits);
  for (int i = 0; i < 20; ++i) {
    pipeline->Submit(Inline(absl::StrCat(i), std::string(1000, 'x')),
                     [](IngestOutcome) {});
  }
  pipeline->Drain();
  EXPECT_EQ(store_.documents().size(), 20u);
}

TEST_F(PipelineTest, DestructionEndsEveryItemOnce) {
  absl::Notification open;
  store_.on_put = [&](absl::Span<const DocumentWrite>) {
    open.WaitForNotification();
  };
  std::atomic<int> ok{0};
  std::atomic<int> cancelled{0};
  {
    auto pipeline = Create({}, 1);
    for (int i = 0; i < 40; ++i) {
      pipeline->Submit(
          Inline(i % 2 ? "same" : absl::StrCat(i), absl::StrCat(i)),
          [&](IngestOutcome outcome) {
            if (outcome.status.ok()) ++ok;
            if (absl::IsCancelled(outcome.status)) ++cancelled;
            // The rest of the queue is dropped before this.
            if (!open.HasBeenNotified()) open.Notify();
          });
    }
  }
  EXPECT_EQ(ok + cancelled, 40);
  EXPECT_GT(cancelled, 0);
}

TEST_F(PipelineTest, RefusesAnotherEncoderOrCollection) {
  EXPECT_EQ(IngestPipeline::Create(&store_, &encoder_, &parser_, "x", {}, 1)
                .status()
                .code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(IngestPipeline::Create(&store_, &encoder_, &parser_, "c", {}, 0)
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  CollectionConfig config = Config();
  config.encoder = "other";
  FakeStore other(config);
  EXPECT_EQ(IngestPipeline::Create(&other, &encoder_, &parser_, "c", {}, 1)
                .status()
                .code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace braid::retrieval
