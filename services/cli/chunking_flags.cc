#include "services/cli/chunking_flags.h"

#include <CLI/CLI.hpp>

namespace braid::services::cli {

void ChunkingFlags::Add(CLI::App* verb) {
  verb->add_option("--chunking", strategy,
                   "structure: cut at headings, paragraphs, table rows and "
                   "code (default); whole: one chunk a document")
      ->check(CLI::IsMember({"structure", "whole"}));
  verb->add_option("--max-tokens", max_tokens,
                   "Longest chunk, in encoder tokens (default: 200)")
      ->check(CLI::Range(16, 2048));
  verb->add_option("--overlap", overlap,
                   "Tokens repeated where a long block is cut (default: 0)")
      ->check(CLI::Range(0, 1024));
  verb->add_option("--parent-tokens", parent_tokens,
                   "What an answer reads around a chunk that was found, up to "
                   "so many tokens of the same section (default: the chunk)")
      ->check(CLI::Range(16, 8192));
  verb->add_option("--language", language,
                   "Language of the stemmer, ISO 639-1 (default: en)");
  verb->add_flag("--document-access", document_access,
                 "Each document says who may read it: see --reader of `braid "
                 "ingest`. Without it, whoever may read the collection reads "
                 "all of it");
}

v1::CreateCollectionRequest ChunkingFlags::ToRequest(
    const std::string& collection_id) const {
  v1::CreateCollectionRequest request;
  request.set_collection_id(collection_id);
  request.set_language(language);
  request.set_document_access(document_access);
  v1::Chunking& chunking = *request.mutable_chunking();
  if (strategy == "structure") {
    chunking.set_strategy(v1::Chunking::STRATEGY_STRUCTURE);
  } else if (strategy == "whole") {
    chunking.set_strategy(v1::Chunking::STRATEGY_WHOLE);
  }
  chunking.set_max_tokens(max_tokens);
  chunking.set_overlap_tokens(overlap);
  chunking.set_parent_tokens(parent_tokens);
  return request;
}

bool ChunkingFlags::Matches(const v1::Collection& existing) const {
  const v1::Chunking wanted = ToRequest("").chunking();
  const v1::Chunking& there = existing.chunking();
  return (strategy.empty() || wanted.strategy() == there.strategy()) &&
         (max_tokens == 0 || max_tokens == there.max_tokens()) &&
         (overlap == 0 || overlap == there.overlap_tokens()) &&
         (parent_tokens == 0 || parent_tokens == there.parent_tokens()) &&
         (language.empty() || language == existing.language()) &&
         (!document_access || existing.document_access());
}

}  // namespace braid::services::cli
