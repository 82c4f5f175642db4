#include "services/sentence_similarity.h"

#include <atomic>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "fakes.h"
#include "gtest/gtest.h"

namespace braid::services {
namespace {

// Says how many embed at once, and takes its time.
class SlowEncoder final : public retrieval::Encoder {
 public:
  size_t dimension() const override { return inner_.dimension(); }
  const std::string& fingerprint() const override {
    return inner_.fingerprint();
  }
  size_t max_tokens() const override { return inner_.max_tokens(); }
  absl::StatusOr<std::vector<uint32_t>> TokenStarts(
      absl::string_view text) const override {
    return inner_.TokenStarts(text);
  }
  absl::Status Embed(absl::Span<const absl::string_view> texts,
                     float* out) const override {
    const int now = ++running;
    int seen = most;
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    ++calls;
    absl::SleepFor(absl::Milliseconds(2));
    const absl::Status status = inner_.Embed(texts, out);
    --running;
    return status;
  }

  mutable std::atomic<int> running = 0;
  mutable std::atomic<int> most = 0;
  mutable std::atomic<int> calls = 0;

 private:
  const FakeEncoder inner_;
};

TEST(SentenceSimilarity, IsTheCosineInOrder) {
  const FakeEncoder encoder;
  const auto similarity = MakeSentenceSimilarity(&encoder, 1);
  std::vector<absl::string_view> sentences(20, "nothing in common");
  sentences[3] = "the tide turns";
  sentences[17] = "tide";
  const auto found =
      similarity("the tide turns", sentences, [] { return true; });
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), 20u);
  for (size_t i = 0; i < sentences.size(); ++i) {
    std::vector<float> vectors(2 * 64);
    ASSERT_TRUE(
        encoder.Embed({"the tide turns", sentences[i]}, vectors.data()).ok());
    float cosine = 0;
    for (size_t d = 0; d < 64; ++d) cosine += vectors[d] * vectors[64 + d];
    EXPECT_FLOAT_EQ((*found)[i], cosine) << i;
  }
  EXPECT_NEAR((*found)[3], 1, 1e-5);
}

TEST(SentenceSimilarity, CallersTakeTurns) {
  const SlowEncoder encoder;
  const auto similarity = MakeSentenceSimilarity(&encoder, 2);
  const std::vector<absl::string_view> sentences(20, "the tide turns");
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      EXPECT_TRUE(similarity("tide", sentences, [] { return true; }).ok());
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_LE(encoder.most, 2);
  // The question, and the sentences in three batches.
  EXPECT_EQ(encoder.calls, 8 * 4);
}

TEST(SentenceSimilarity, EndsWhereNobodyWaits) {
  const SlowEncoder encoder;
  const auto similarity = MakeSentenceSimilarity(&encoder, 1);
  const std::vector<absl::string_view> sentences(800, "the tide turns");
  std::atomic<bool> wanted = true;
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      EXPECT_TRUE(absl::IsCancelled(similarity("tide", sentences, [&] {
                                      return wanted.load();
                                    }).status()));
    });
  }
  absl::SleepFor(absl::Milliseconds(20));
  wanted = false;
  for (std::thread& caller : callers) caller.join();
  // All of it would have been 808.
  EXPECT_LT(encoder.calls, 400);
}

}  // namespace
}  // namespace braid::services
