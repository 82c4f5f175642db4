// Files that know whether they are whole.
//
// An envelope is a header (magic, format version, kind), a body, the body's
// length and a SHA-256 of all that. FAISS files carry no checksum and its
// reader believes every length it meets, so nothing of ours is parsed before
// its envelope has been checked from end to end.
#ifndef BRAID_RETRIEVAL_DENSE_ENVELOPE_H_
#define BRAID_RETRIEVAL_DENSE_ENVELOPE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/dense/mapped_file.h"

namespace braid::retrieval {

// Sizes of what lies before and after the body.
inline constexpr size_t kEnvelopeHeaderBytes = 16;
inline constexpr size_t kEnvelopeTrailerBytes = 40;

enum class EnvelopeKind : uint32_t { kManifest = 1, kSegment = 2 };

// What identifies a finished envelope.
struct EnvelopeSeal {
  uint64_t file_bytes = 0;
  std::array<uint8_t, 32> digest = {};
  friend bool operator==(const EnvelopeSeal&, const EnvelopeSeal&) = default;
};

// Writes one envelope, front to back. Thread-compatible.
class EnvelopeWriter {
 public:
  // Creates the file. One that is there is removed, not overwritten: whoever
  // has it mapped keeps reading what it held.
  static absl::StatusOr<std::unique_ptr<EnvelopeWriter>> Create(
      const std::string& path, EnvelopeKind kind);
  ~EnvelopeWriter();
  EnvelopeWriter(const EnvelopeWriter&) = delete;
  EnvelopeWriter& operator=(const EnvelopeWriter&) = delete;

  absl::Status Append(const void* data, size_t bytes);
  // A plain value, in the byte order of this machine (little-endian only).
  template <typename T>
  absl::Status AppendValue(T value) {
    return Append(&value, sizeof(value));
  }
  // Bytes from the front of the file to where the next one goes.
  uint64_t position() const;
  // What has been written so far, for reading while the rest is written; after
  // Finish the whole file.
  absl::StatusOr<MappedFile> Map();
  // Closes the envelope and syncs the file. The name is not durable before the
  // directory is synced.
  absl::StatusOr<EnvelopeSeal> Finish();

 private:
  struct State;
  explicit EnvelopeWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Reads one envelope. Thread-compatible.
class EnvelopeReader {
 public:
  // Opens and checks the whole file, streaming: the cost is one pass over it,
  // in constant memory. NOT_FOUND if it is missing, DATA_LOSS if it is not an
  // undamaged envelope of this kind and format.
  static absl::StatusOr<std::unique_ptr<EnvelopeReader>> Open(
      const std::string& path, EnvelopeKind kind);
  ~EnvelopeReader();
  EnvelopeReader(const EnvelopeReader&) = delete;
  EnvelopeReader& operator=(const EnvelopeReader&) = delete;

  const EnvelopeSeal& seal() const;
  // Bytes of the body not read yet: check a length against it before
  // allocating.
  uint64_t remaining() const;
  // The whole file.
  absl::StatusOr<MappedFile> Map() const;
  // DATA_LOSS past the end of the body.
  absl::Status Read(void* data, size_t bytes);
  template <typename T>
  absl::Status ReadValue(T& value) {
    return Read(&value, sizeof(value));
  }

 private:
  struct State;
  explicit EnvelopeReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Makes creations, renames and removals in `directory` durable.
absl::Status SyncDirectory(const std::string& directory);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_ENVELOPE_H_
