#include "services/server/embed.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/server/validate.h"

namespace braid::services {
namespace {

// Between two looks at the clock: some tenths of a second.
constexpr size_t kBatch = 8;

absl::Status CheckTexts(const v1::EmbedRequest& request, const Limits& limits) {
  RequestChecker checker(limits);
  const size_t count = static_cast<size_t>(request.texts_size());
  if (count == 0 || count > limits.max_embed_texts) {
    checker.Add("texts", absl::StrCat("must have 1 to ", limits.max_embed_texts,
                                      " elements"));
    return checker.status();
  }
  for (size_t i = 0; i < count; ++i) {
    checker.Text(absl::StrCat("texts[", i, "]"),
                 request.texts(static_cast<int>(i)),
                 limits.max_embed_text_bytes);
  }
  return checker.status();
}

}  // namespace

absl::Status Embed(Call& call, const v1::EmbedRequest& request,
                   v1::EmbedResponse* response) {
  absl::Status status = CheckTexts(request, call.limits());
  if (!status.ok()) return status;
  const retrieval::Encoder& encoder = call.runtime().encoder();
  const std::vector<absl::string_view> texts(request.texts().begin(),
                                             request.texts().end());
  std::vector<float> vectors(kBatch * encoder.dimension());
  for (size_t begin = 0; begin < texts.size(); begin += kBatch) {
    status = call.Alive();
    if (!status.ok()) return status;
    const size_t count = std::min(kBatch, texts.size() - begin);
    status = encoder.Embed(absl::MakeConstSpan(texts).subspan(begin, count),
                           vectors.data());
    if (!status.ok()) return status;
    for (size_t i = 0; i < count; ++i) {
      const auto starts = encoder.TokenStarts(texts[begin + i]);
      if (!starts.ok()) return starts.status();
      v1::Embedding* embedding = response->add_embeddings();
      const float* vector = vectors.data() + i * encoder.dimension();
      embedding->mutable_values()->Add(vector, vector + encoder.dimension());
      embedding->set_token_count(static_cast<uint32_t>(starts->size()));
    }
  }
  response->set_encoder(encoder.fingerprint());
  return absl::OkStatus();
}

}  // namespace braid::services
