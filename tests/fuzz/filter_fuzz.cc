// Any text is either a filter that can be evaluated or a clear error.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "retrieval/filter/filter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto filter = braid::retrieval::Filter::Parse(text);
  if (!filter.ok()) {
    if (filter.status().message().empty()) std::abort();
    return 0;
  }
  braid::retrieval::DocumentInfo document;
  document.id = "a/b";
  document.title = "title";
  document.metadata["year"] = 1990.0;
  document.metadata["author"] = std::string("Ada");
  document.metadata["draft"] = false;
  document.metadata["tags"] = std::vector<std::string>{"x", "y"};
  filter->Matches(document);
  return 0;
}
