#include "services/sentence_similarity.h"

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "services/turns.h"

namespace braid::services {
namespace {

constexpr size_t kBatch = 8;

using GoOn = std::function<bool()>;

class Similarity {
 public:
  Similarity(const retrieval::Encoder* encoder, int turns)
      : encoder_(encoder), turns_(turns) {}

  absl::StatusOr<std::vector<float>> Compare(
      absl::string_view question, absl::Span<const absl::string_view> sentences,
      const GoOn& go_on) {
    const size_t dimension = encoder_->dimension();
    std::vector<float> asked(dimension);
    absl::Status status = Embed({question}, go_on, asked.data());
    if (!status.ok()) return status;
    std::vector<float> similarities;
    std::vector<float> vectors(kBatch * dimension);
    for (size_t begin = 0; begin < sentences.size(); begin += kBatch) {
      const auto batch = sentences.subspan(begin, kBatch);
      status = Embed(batch, go_on, vectors.data());
      if (!status.ok()) return status;
      // Vectors have length 1, so the inner product is the cosine.
      for (size_t i = 0; i < batch.size(); ++i) {
        const float* sentence = vectors.data() + i * dimension;
        float sum = 0;
        for (size_t d = 0; d < dimension; ++d) sum += asked[d] * sentence[d];
        similarities.push_back(sum);
      }
    }
    return similarities;
  }

 private:
  absl::Status Embed(absl::Span<const absl::string_view> texts,
                     const GoOn& go_on, float* out) {
    const Turns::Turn turn(&turns_, go_on);
    if (!turn) return absl::CancelledError("the answer is not wanted");
    return encoder_->Embed(texts, out);
  }

  const retrieval::Encoder* const encoder_;
  Turns turns_;
};

}  // namespace

generation::SentenceSimilarity MakeSentenceSimilarity(
    const retrieval::Encoder* encoder, int turns) {
  return
      [similarity = std::make_shared<Similarity>(encoder, std::max(1, turns))](
          absl::string_view question,
          absl::Span<const absl::string_view> sentences, const GoOn& go_on) {
        return similarity->Compare(question, sentences, go_on);
      };
}

}  // namespace braid::services
