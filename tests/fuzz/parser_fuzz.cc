// Whatever a document holds, parsing ends in blocks that lie in its text or in
// an error. The first byte chooses the format.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "retrieval/ingest/parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const char* const kTypes[] = {"text/html", "text/markdown",
                                       "text/plain", ""};
  braid::retrieval::SourceFile source;
  source.document_id = "fuzz";
  source.file_name = "fuzz";
  source.media_type = kTypes[data[0] % 4];
  source.content.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto parsed = braid::retrieval::ParseSource(source);
  if (!parsed.ok()) return 0;
  uint64_t end = 0;
  for (const braid::retrieval::Block& block : parsed->blocks) {
    if (block.text_range.begin < end ||
        block.text_range.end < block.text_range.begin ||
        block.text_range.end > parsed->text.size() ||
        block.source_range.end < block.source_range.begin ||
        block.source_range.end > source.content.size()) {
      std::abort();
    }
    end = block.text_range.end;
  }
  return 0;
}
