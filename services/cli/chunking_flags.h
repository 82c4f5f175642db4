// Flags that say how a collection is created.
#ifndef BRAID_SERVICES_CLI_CHUNKING_FLAGS_H_
#define BRAID_SERVICES_CLI_CHUNKING_FLAGS_H_

#include <braid/v1/collection_service.pb.h>

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace braid::services::cli {

// --chunking, --max-tokens, --overlap, --parent-tokens, --language,
// --document-access. Empty, 0 or false: not given.
struct ChunkingFlags {
  std::string strategy;  // structure, whole
  uint32_t max_tokens = 0;
  uint32_t overlap = 0;
  uint32_t parent_tokens = 0;
  std::string language;
  bool document_access = false;

  void Add(CLI::App* verb);
  bool given() const {
    return !strategy.empty() || max_tokens != 0 || overlap != 0 ||
           parent_tokens != 0 || !language.empty() || document_access;
  }
  v1::CreateCollectionRequest ToRequest(const std::string& collection_id) const;
  // True if `existing` is what was asked for; what was not given matches
  // anything.
  bool Matches(const v1::Collection& existing) const;
};

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_CHUNKING_FLAGS_H_
