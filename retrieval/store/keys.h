// Keys of the store. Numbers are big-endian, so that RocksDB's byte order is
// the numeric order; a variable part (a document or request id) always comes
// last, so no two keys can be confused whatever bytes the id holds.
#ifndef BRAID_RETRIEVAL_STORE_KEYS_H_
#define BRAID_RETRIEVAL_STORE_KEYS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "retrieval/types.h"

namespace braid::retrieval::keys {

using CollectionNumber = uint32_t;

inline void AppendFixed32(uint32_t value, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(value >> shift));
  }
}

inline void AppendFixed64(uint64_t value, std::string* out) {
  AppendFixed32(static_cast<uint32_t>(value >> 32), out);
  AppendFixed32(static_cast<uint32_t>(value), out);
}

// Start of all keys of a collection; Prefix(n + 1) is past the last of them.
inline std::string Prefix(CollectionNumber collection) {
  std::string key;
  AppendFixed32(collection, &key);
  return key;
}

// kMeta
inline std::string Global() { return "g"; }
// See Database::KeepMemtableFilled.
inline std::string Filler() { return "\xff"; }
inline std::string CollectionPrefix() { return "c"; }
inline std::string Collection(absl::string_view id) {
  return CollectionPrefix() + std::string(id);
}
inline std::string Counters(CollectionNumber collection) {
  return "n" + Prefix(collection);
}

// kDocuments and kRetired
inline std::string Document(CollectionNumber collection, absl::string_view id) {
  return Prefix(collection).append(id.data(), id.size());
}

// kChunks, kVectors, kLog: by chunk id or sequence.
inline std::string Numbered(CollectionNumber collection, uint64_t number) {
  std::string key = Prefix(collection);
  AppendFixed64(number, &key);
  return key;
}

// kTexts: texts lie in pieces, under the sequence of the write that brought
// them.
inline std::string TextPiece(CollectionNumber collection, Sequence sequence,
                             uint32_t piece) {
  std::string key = Numbered(collection, sequence);
  AppendFixed32(piece, &key);
  return key;
}

// kHistory: past states by document and the sequence that ended them, and what
// was ended by each sequence. The id comes before a number here: it is spelt so
// that it ends where it ends, and that the order of the spellings is the order
// of the ids (0x00 as 0x00 0xFF, and 0x00 0x01 as its end).
inline std::string PastStates(CollectionNumber collection) {
  return Prefix(collection) + "d";
}
inline void AppendSpelt(absl::string_view id, std::string* out) {
  for (const char byte : id) {
    out->push_back(byte);
    if (byte == '\0') out->push_back('\xFF');
  }
  out->push_back('\0');
  out->push_back('\1');
}
inline std::string PastState(CollectionNumber collection, absl::string_view id,
                             Sequence until) {
  std::string key = PastStates(collection);
  AppendSpelt(id, &key);
  AppendFixed64(until, &key);
  return key;
}
inline std::string PastEnds(CollectionNumber collection) {
  return Prefix(collection) + "e";
}
inline std::string PastEnd(CollectionNumber collection, Sequence until) {
  std::string key = PastEnds(collection);
  AppendFixed64(until, &key);
  return key;
}

// kReadable: the documents that name a reader, whose name is spelt as the id of
// a past state is.
inline std::string ReadableBy(CollectionNumber collection,
                              absl::string_view reader) {
  std::string key = Prefix(collection);
  AppendSpelt(reader, &key);
  return key;
}
inline std::string Readable(CollectionNumber collection,
                            absl::string_view reader, absl::string_view id) {
  return ReadableBy(collection, reader).append(id.data(), id.size());
}

// kRequests: the result by request id, and the ids in order of arrival.
inline std::string Request(CollectionNumber collection, absl::string_view id) {
  return Prefix(collection).append("i").append(id.data(), id.size());
}
inline std::string RequestPosition(CollectionNumber collection,
                                   uint64_t position) {
  std::string key = Prefix(collection) + "p";
  AppendFixed64(position, &key);
  return key;
}

inline uint64_t ParseFixed64(absl::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

// The number at the end of a key of Numbered.
inline std::optional<uint64_t> ParseNumber(absl::string_view key) {
  if (key.size() != 12) return std::nullopt;
  return ParseFixed64(key.substr(4));
}

struct PastStateKey {
  std::string id;
  Sequence until = 0;
};
inline std::optional<PastStateKey> ParsePastState(absl::string_view key) {
  constexpr size_t kHead = 5;
  constexpr size_t kTail = 2 + 8;
  if (key.size() < kHead + kTail) return std::nullopt;
  const absl::string_view spelt = key.substr(kHead, key.size() - kHead - kTail);
  const absl::string_view tail = key.substr(kHead + spelt.size());
  if (tail.substr(0, 2) != absl::string_view("\0\1", 2)) return std::nullopt;
  PastStateKey parsed;
  parsed.until = ParseFixed64(tail.substr(2));
  for (size_t i = 0; i < spelt.size(); ++i) {
    parsed.id.push_back(spelt[i]);
    if (spelt[i] != '\0') continue;
    if (++i == spelt.size() || spelt[i] != '\xFF') return std::nullopt;
  }
  return parsed;
}
inline std::optional<Sequence> ParsePastEnd(absl::string_view key) {
  if (key.size() != 13) return std::nullopt;
  return ParseFixed64(key.substr(5));
}

}  // namespace braid::retrieval::keys

#endif  // BRAID_RETRIEVAL_STORE_KEYS_H_
