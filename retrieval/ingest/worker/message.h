// What the parser worker and its pool send each other: each message is its
// length (8 bytes, little-endian) and then that many bytes of payload.
#ifndef BRAID_RETRIEVAL_INGEST_WORKER_MESSAGE_H_
#define BRAID_RETRIEVAL_INGEST_WORKER_MESSAGE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

inline constexpr size_t kMessageHeaderBytes = 8;

// The header before a payload of `size` bytes.
std::string MessageHeader(uint64_t size);
// The size that a header of kMessageHeaderBytes bytes announces.
uint64_t MessageSize(absl::string_view header);

// A request holds everything of a source but its metadata, which the pool adds
// to what comes back.
std::string EncodeRequest(const SourceFile& source);
// INTERNAL if it was not made by EncodeRequest.
absl::StatusOr<SourceFile> DecodeRequest(absl::string_view payload);

// A reply is a document or the error it ended with.
std::string EncodeReply(const absl::StatusOr<ParsedDocument>& parsed);
// Trusts nothing: the worker may have been taken over by what it read. OK if
// the reply is well-formed, with what it says in *parsed: text is UTF-8 without
// NUL bytes; blocks and runs are in order, between characters and inside the
// text and the source of `source_bytes` bytes; errors start with `name`. Else
// INTERNAL, and the worker deserves no further trust.
absl::Status DecodeReply(absl::string_view payload, absl::string_view name,
                         uint64_t source_bytes,
                         absl::StatusOr<ParsedDocument>* parsed);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_WORKER_MESSAGE_H_
