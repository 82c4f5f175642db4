// Whatever a parser worker sends, what is taken of it lies inside the text and
// the source, and is taken in the same way when it is sent on.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "retrieval/ingest/worker/message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using braid::retrieval::ParsedDocument;
  constexpr uint64_t kSourceBytes = 64;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  absl::StatusOr<ParsedDocument> parsed = absl::InternalError("");
  if (!DecodeReply(bytes, "a", kSourceBytes, &parsed).ok()) return 0;
  if (parsed.ok()) {
    uint64_t last = 0;
    for (const braid::retrieval::Block& block : parsed->blocks) {
      if (block.text_range.begin < last ||
          block.text_range.end <= block.text_range.begin ||
          block.text_range.end > parsed->text.size() ||
          block.source_range.begin > block.source_range.end ||
          block.source_range.end > kSourceBytes) {
        std::abort();
      }
      last = block.text_range.end;
    }
  }
  absl::StatusOr<ParsedDocument> again = absl::InternalError("");
  const std::string sent = braid::retrieval::EncodeReply(parsed);
  if (!DecodeReply(sent, "a", kSourceBytes, &again).ok() ||
      again.ok() != parsed.ok() ||
      (again.ok() && again->text != parsed->text)) {
    std::abort();
  }
  return 0;
}
