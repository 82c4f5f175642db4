// The two checksums that a Hugging Face hub lists.
#ifndef BRAID_SERVICES_HUB_DIGEST_H_
#define BRAID_SERVICES_HUB_DIGEST_H_

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace braid::services::hub {

enum class DigestKind {
  kSha256,      // of the content, for files in large file storage
  kGitBlobSha1  // of "blob SIZE\0" and the content, for those in git itself
};

// "sha256", "git sha1".
absl::string_view DigestName(DigestKind kind);
// Whether `text` is a digest of this kind: so many lower-case hex digits.
bool IsDigest(DigestKind kind, absl::string_view text);

// A checksum that is fed piece by piece.
class StreamDigest {
 public:
  // `bytes`: how long the content will be (git hashes that first).
  StreamDigest(DigestKind kind, uint64_t bytes);
  void Add(absl::string_view bytes);
  // Lower-case hex. INTERNAL if the library lacks the algorithm. Called once.
  absl::StatusOr<std::string> Finish();

 private:
  struct ContextDeleter {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, ContextDeleter> context_;  // EVP_MD_CTX
  bool ok_ = false;
};

// Feeds up to `bytes` bytes from the start of the open file `fd` to `digest`;
// `seen` is told how many were read, again and again. Returns how many there
// were. CANCELLED after a stop; DATA_LOSS naming `path` if reading fails.
absl::StatusOr<uint64_t> AddFile(int fd, const std::string& path,
                                 uint64_t bytes, StreamDigest* digest,
                                 absl::FunctionRef<void(uint64_t)> seen,
                                 std::stop_token stop);

}  // namespace braid::services::hub

#endif  // BRAID_SERVICES_HUB_DIGEST_H_
