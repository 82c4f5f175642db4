// Between the plain structs and the records in RocksDB.
#ifndef BRAID_RETRIEVAL_STORE_RECORDS_H_
#define BRAID_RETRIEVAL_STORE_RECORDS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "retrieval/store/record.pb.h"
#include "retrieval/store/store.h"
#include "retrieval/types.h"

namespace braid::retrieval {

braid::store::CollectionRecord ToRecord(const CollectionConfig& config,
                                        uint32_t number);
CollectionConfig FromRecord(const braid::store::CollectionRecord& record);

braid::store::DocumentRecord ToRecord(const DocumentInfo& info);
DocumentInfo FromRecord(absl::string_view id,
                        const braid::store::DocumentRecord& record);

braid::store::ChunkRecord ToRecord(absl::string_view document_id,
                                   uint64_t version, uint32_t ordinal,
                                   const ChunkSpan& span);
Chunk FromRecord(ChunkId id, const braid::store::ChunkRecord& record);

braid::store::LogRecord ToRecord(const LogEntry& entry);
LogEntry FromRecord(Sequence sequence, const braid::store::LogRecord& record);

braid::store::RequestRecord ToRecord(const WriteResult& result);
WriteResult FromRecord(const braid::store::RequestRecord& record);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_STORE_RECORDS_H_
