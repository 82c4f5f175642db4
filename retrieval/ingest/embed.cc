#include "retrieval/ingest/embed.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "retrieval/ingest/chunker.h"

namespace braid::retrieval {
namespace {

absl::Status EmbedTogether(const Encoder& encoder,
                           absl::Span<EmbedSlice> slices) {
  std::vector<std::string> texts;
  for (const EmbedSlice& slice : slices) {
    for (size_t i = slice.begin; i < slice.end; ++i) {
      const ChunkSpan& chunk = slice.write->chunks[i];
      const absl::string_view text =
          absl::string_view(slice.write->text)
              .substr(chunk.text_range.begin, chunk.text_range.size());
      texts.push_back(EmbeddingText(slice.write->title, chunk, text));
    }
  }
  const size_t dimension = encoder.dimension();
  std::vector<absl::string_view> views(texts.begin(), texts.end());
  std::vector<float> vectors(texts.size() * dimension);  // [texts, dimension]
  absl::Status status = encoder.Embed(views, vectors.data());
  if (!status.ok()) return status;
  auto from = vectors.begin();
  for (const EmbedSlice& slice : slices) {
    const auto to = from + (slice.end - slice.begin) * dimension;
    std::copy(from, to, slice.write->vectors.begin() + slice.begin * dimension);
    from = to;
  }
  return absl::OkStatus();
}

}  // namespace

void EmbedSlices(const Encoder& encoder, absl::Span<EmbedSlice> slices) {
  absl::Status status = EmbedTogether(encoder, slices);
  for (size_t i = 0; i < slices.size(); ++i) {
    EmbedSlice& slice = slices[i];
    slice.status = status;
    if (!status.ok() && slices.size() > 1) {
      slice.status = EmbedTogether(encoder, slices.subspan(i, 1));
    }
    if (!slice.status.ok()) {
      slice.status = absl::Status(
          slice.status.code(),
          absl::StrCat(slice.write->id, ": ", slice.status.message()));
    }
  }
}

}  // namespace braid::retrieval
