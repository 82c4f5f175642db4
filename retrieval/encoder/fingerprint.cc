#include "retrieval/encoder/fingerprint.h"

#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "generation/checkpoint/json_file.h"

namespace braid::retrieval {
namespace {

constexpr uint64_t kMaxTokenizerBytes = 200'000'000;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    ok_ = context_ != nullptr &&
          EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
  }

  // Length first, so that no two lists of parts hash the same bytes.
  void Add(const void* data, uint64_t bytes) {
    const std::string length = absl::StrCat(bytes, ":");
    ok_ = ok_ &&
          EVP_DigestUpdate(context_.get(), length.data(), length.size()) == 1 &&
          (bytes == 0 || EVP_DigestUpdate(context_.get(), data, bytes) == 1);
  }
  void Add(absl::string_view text) { Add(text.data(), text.size()); }

  absl::StatusOr<std::string> Finish() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (!ok_ || EVP_DigestFinal_ex(context_.get(), digest, &size) != 1) {
      return absl::InternalError("SHA-256 is not available from OpenSSL");
    }
    return absl::BytesToHexString(
        absl::string_view(reinterpret_cast<const char*>(digest), size));
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  bool ok_ = false;
};

}  // namespace

absl::StatusOr<std::string> EncoderFingerprint(
    const model::Checkpoint& checkpoint, const std::string& tokenizer_path,
    absl::string_view settings) {
  absl::StatusOr<std::string> tokenizer =
      model::ReadSmallFile(tokenizer_path, kMaxTokenizerBytes);
  if (!tokenizer.ok()) return tokenizer.status();
  Sha256 hash;
  hash.Add(settings);
  hash.Add(*tokenizer);
  for (const std::string& name : checkpoint.TensorNames()) {
    const model::TensorView* tensor = checkpoint.Find(name);
    hash.Add(name);
    hash.Add(absl::StrCat(tensor->dtype_name, " ",
                          absl::StrJoin(tensor->shape, "x")));
    hash.Add(tensor->data, tensor->bytes);
  }
  return hash.Finish();
}

}  // namespace braid::retrieval
