// The access file, a JWK set and a token. The first byte says which is read.
#include <cstddef>
#include <cstdint>
#include <string>

#include "services/auth/access_file.h"
#include "services/auth/jwt.h"

namespace {

using braid::services::auth::JwtKeys;

// RFC 7515, A.2.1: the public part.
constexpr char kKeys[] =
    R"({"keys":[{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbj)"
    R"(i9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs)"
    R"(D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdb)"
    R"(BYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT)"
    R"(6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h)"
    R"(4FRWyuXpoQ","e":"AQAB"}]})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 3) {
    case 0:
      (void)braid::services::auth::ParseAccess(text, "access.toml");
      break;
    case 1:
      (void)JwtKeys::Parse(text);
      break;
    default: {
      static const auto& keys = *JwtKeys::Parse(kKeys)->release();
      (void)keys.LacksKeyOf(text);
      // Nobody has the private key.
      if (keys.Verify(text, {"joe", "braid"}, absl::UnixEpoch()).ok()) {
        __builtin_trap();
      }
    }
  }
  return 0;
}
