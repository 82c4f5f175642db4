// C ABI of the crate braid-jwt. Included by jwt.cc only.
//
// Functions that can fail return 0 (OK), 1 (invalid argument) or 2 (internal:
// a panic was caught) and set *error, where it is not null, to a message that
// braid_jwt_free_text frees. No message repeats a token. Thread-safe: a key set
// is immutable.
#ifndef BRAID_SERVICES_AUTH_FFI_JWT_FFI_H_
#define BRAID_SERVICES_AUTH_FFI_JWT_FFI_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct BraidJwtKeys BraidJwtKeys;

// Parses a JWK set (RFC 7517). Keys that cannot verify a public-key signature
// are left out: symmetric ones, those for encryption, unknown types. An error
// if none is left. The caller frees *keys.
int braid_jwt_parse_keys(const char* jwks, size_t length, BraidJwtKeys** keys,
                         char** error);
// Whether `token` names a key (`kid`) that is not among `keys`: a newer set may
// hold it.
int braid_jwt_wants_other_key(const BraidJwtKeys* keys, const char* token,
                              size_t length);
// Verifies the signature of a compact JWT (RFC 7519) with the key that its
// header names (or the only one), by a public-key algorithm that fits the key,
// and that `sub`, `exp`, `iss` and `aud` are there, the last two as given. The
// times are the caller's to check. *claims is the payload, a JSON object, freed
// with braid_jwt_free_text.
int braid_jwt_verify(const BraidJwtKeys* keys, const char* token,
                     size_t token_length, const char* issuer,
                     size_t issuer_length, const char* audience,
                     size_t audience_length, char** claims, char** error);
void braid_jwt_free_keys(BraidJwtKeys* keys);
void braid_jwt_free_text(char* text);

#ifdef __cplusplus
}
#endif

#endif  // BRAID_SERVICES_AUTH_FFI_JWT_FFI_H_
