#include "services/hub/digest.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace braid::services::hub {
namespace {

constexpr size_t kReadBytes = 1 << 20;

}  // namespace

absl::string_view DigestName(DigestKind kind) {
  return kind == DigestKind::kSha256 ? "sha256" : "git sha1";
}

bool IsDigest(DigestKind kind, absl::string_view text) {
  return text.size() == (kind == DigestKind::kSha256 ? 64u : 40u) &&
         text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

void StreamDigest::ContextDeleter::operator()(void* context) const {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context));
}

StreamDigest::StreamDigest(DigestKind kind, uint64_t bytes)
    : context_(EVP_MD_CTX_new()) {
  ok_ =
      context_ != nullptr &&
      EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_.get()),
                        kind == DigestKind::kSha256 ? EVP_sha256() : EVP_sha1(),
                        nullptr) == 1;
  if (kind == DigestKind::kGitBlobSha1) {
    Add(absl::StrCat("blob ", bytes, absl::string_view("\0", 1)));
  }
}

void StreamDigest::Add(absl::string_view bytes) {
  ok_ = ok_ && EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_.get()),
                                bytes.data(), bytes.size()) == 1;
}

absl::StatusOr<std::string> StreamDigest::Finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (!ok_ || EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_.get()),
                                 digest, &size) != 1) {
    return absl::InternalError("OpenSSL lacks SHA-256 or SHA-1");
  }
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), size));
}

absl::StatusOr<uint64_t> AddFile(int fd, const std::string& path,
                                 uint64_t bytes, StreamDigest* digest,
                                 absl::FunctionRef<void(uint64_t)> seen,
                                 std::stop_token stop) {
  std::vector<char> buffer(
      static_cast<size_t>(std::min<uint64_t>(kReadBytes, bytes)));
  uint64_t done = 0;
  while (done < bytes) {
    if (stop.stop_requested()) return absl::CancelledError("interrupted");
    const size_t wanted =
        static_cast<size_t>(std::min<uint64_t>(buffer.size(), bytes - done));
    const ssize_t got =
        pread(fd, buffer.data(), wanted, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return absl::DataLossError(
          absl::StrCat(path, ": cannot be read: ", std::strerror(errno)));
    }
    if (got == 0) break;
    digest->Add(absl::string_view(buffer.data(), static_cast<size_t>(got)));
    done += static_cast<uint64_t>(got);
    seen(done);
  }
  return done;
}

}  // namespace braid::services::hub
