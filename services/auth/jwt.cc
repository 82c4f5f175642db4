#include "services/auth/jwt.h"

#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "services/auth/ffi/jwt_ffi.h"
#include "services/text.h"

namespace braid::services::auth {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxSubjectBytes = 256;
constexpr size_t kMaxGroups = 256;

std::string Take(char* text) {
  std::string taken = text == nullptr ? "" : text;
  braid_jwt_free_text(text);
  return taken;
}

// A NumericDate (RFC 7519, 2); nothing if the claim is not there.
absl::StatusOr<std::optional<absl::Time>> NumericDate(const Json& claims,
                                                      const char* name) {
  const auto claim = claims.find(name);
  if (claim == claims.end()) return std::optional<absl::Time>();
  if (!claim->is_number() || !std::isfinite(claim->get<double>())) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token's `", name, "` is not a time"));
  }
  return absl::UnixEpoch() + absl::Seconds(claim->get<double>());
}

}  // namespace

absl::StatusOr<std::unique_ptr<JwtKeys>> JwtKeys::Parse(
    absl::string_view jwks) {
  BraidJwtKeys* keys = nullptr;
  char* error = nullptr;
  if (braid_jwt_parse_keys(jwks.data(), jwks.size(), &keys, &error) != 0) {
    return absl::InvalidArgumentError(Take(error));
  }
  return std::unique_ptr<JwtKeys>(new JwtKeys(keys));
}

JwtKeys::~JwtKeys() { braid_jwt_free_keys(keys_); }

bool JwtKeys::LacksKeyOf(absl::string_view token) const {
  return braid_jwt_wants_other_key(keys_, token.data(), token.size()) != 0;
}

absl::StatusOr<JwtClaims> JwtKeys::Verify(absl::string_view token,
                                          const JwtRules& rules,
                                          absl::Time now) const {
  char* text = nullptr;
  char* error = nullptr;
  if (braid_jwt_verify(keys_, token.data(), token.size(), rules.issuer.data(),
                       rules.issuer.size(), rules.audience.data(),
                       rules.audience.size(), &text, &error) != 0) {
    return absl::UnauthenticatedError(Take(error));
  }
  const Json claims = Json::parse(Take(text), nullptr, false);
  if (!claims.is_object()) {
    return absl::UnauthenticatedError("the token's payload is no object");
  }
  const auto expires = NumericDate(claims, "exp");
  if (!expires.ok()) return expires.status();
  if (!expires->has_value() || now >= **expires + rules.leeway) {
    return absl::UnauthenticatedError("the token has expired");
  }
  const auto begins = NumericDate(claims, "nbf");
  if (!begins.ok()) return begins.status();
  if (begins->has_value() && now < **begins - rules.leeway) {
    return absl::UnauthenticatedError("the token is not valid yet");
  }
  const auto subject = claims.find("sub");
  JwtClaims result;
  if (subject != claims.end() && subject->is_string()) {
    result.subject = subject->get<std::string>();
  }
  if (result.subject.empty() || result.subject.size() > kMaxSubjectBytes ||
      HasControlCharacters(result.subject)) {
    return absl::UnauthenticatedError(
        "the token's `sub` is not a short printable name");
  }
  const auto groups = claims.find(rules.groups_claim);
  if (groups == claims.end()) return result;
  if (!groups->is_array() || groups->size() > kMaxGroups) {
    return absl::UnauthenticatedError(absl::StrCat(
        "the token's groups are not a list of at most ", kMaxGroups));
  }
  for (const Json& group : *groups) {
    if (group.is_string()) result.groups.push_back(group.get<std::string>());
  }
  return result;
}

}  // namespace braid::services::auth
