// Signed JSON Web Tokens, verified with public keys.
#ifndef BRAID_SERVICES_AUTH_JWT_H_
#define BRAID_SERVICES_AUTH_JWT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

struct BraidJwtKeys;

namespace braid::services::auth {

struct JwtClaims {
  std::string subject;
  std::vector<std::string> groups;
};

// What a token must say.
struct JwtRules {
  std::string issuer;
  std::string audience;
  // The claim that lists groups: an array of strings.
  std::string groups_claim = "groups";
  // Clocks differ by so much.
  absl::Duration leeway = absl::Seconds(30);
};

// A JWK set (RFC 7517). Immutable, so thread-safe.
class JwtKeys {
 public:
  // Keys that are not for verifying public-key signatures are left out.
  // INVALID_ARGUMENT if none is left.
  static absl::StatusOr<std::unique_ptr<JwtKeys>> Parse(absl::string_view jwks);
  ~JwtKeys();
  JwtKeys(const JwtKeys&) = delete;
  JwtKeys& operator=(const JwtKeys&) = delete;

  // The claims of a token (RFC 7519) that is signed by one of the keys with a
  // public-key algorithm, is valid at `now`, and is of the issuer and for the
  // audience of `rules`. UNAUTHENTICATED otherwise; the message does not repeat
  // the token.
  absl::StatusOr<JwtClaims> Verify(absl::string_view token,
                                   const JwtRules& rules, absl::Time now) const;
  // Whether the token names a key that is not in this set.
  bool LacksKeyOf(absl::string_view token) const;

 private:
  explicit JwtKeys(BraidJwtKeys* keys) : keys_(keys) {}
  BraidJwtKeys* const keys_;
};

}  // namespace braid::services::auth

#endif  // BRAID_SERVICES_AUTH_JWT_H_
