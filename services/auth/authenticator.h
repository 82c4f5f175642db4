// From what a caller shows to who it is.
#ifndef BRAID_SERVICES_AUTH_AUTHENTICATOR_H_
#define BRAID_SERVICES_AUTH_AUTHENTICATOR_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/auth/jwt.h"
#include "services/auth/principal.h"

namespace braid::services::auth {

struct AuthOptions {
  std::string access_file;  // see access_file.h; empty for none
  // A JWK set: a file, or an https URL (http on a loopback address); empty if
  // tokens are not accepted.
  std::string jwks;
  JwtRules jwt;
  // What callers that show nothing may do, everywhere; nothing by default.
  std::optional<Role> anonymous;
  // How often files are read again, and a URL.
  absl::Duration file_interval = absl::Seconds(1);
  absl::Duration url_interval = absl::Minutes(5);
  // A token signed by an unknown key makes a URL be read again, but not more
  // often than this.
  absl::Duration unknown_key_interval = absl::Seconds(10);
  std::function<absl::Time()> clock;  // null for absl::Now
  // Told, on a thread of the authenticator, that a changed file or set is not
  // used because of an error in it, and when a change is used.
  std::function<void(const absl::Status& status, absl::string_view file)>
      on_reload;
};

// What came with a call.
struct Credentials {
  absl::string_view authorization;  // the header; empty if there was none
  // Of the verified client certificate, if there was one: its subject
  // alternative names, or the common name of one without.
  std::vector<std::string> certificate_names;
};

// Thread-safe.
class Authenticator {
 public:
  // Reads what the options name and watches it: a key that is removed from the
  // file is refused a second later. INVALID_ARGUMENT, NOT_FOUND or UNAVAILABLE
  // if something cannot be read at the beginning.
  static absl::StatusOr<std::unique_ptr<Authenticator>> Create(
      AuthOptions options);
  virtual ~Authenticator() = default;

  // A bearer key or token decides if there is one, then the certificate, then
  // the rule for anonymous callers. UNAUTHENTICATED if what was shown is not
  // known, or nothing was shown and that does not do.
  virtual absl::StatusOr<Principal> Authenticate(
      const Credentials& credentials) = 0;
};

// A new bearer key: `braid_` and 256 random bits in base64url.
absl::StatusOr<std::string> MakeKey();
// As the access file holds it: SHA-256 in lower-case hex.
absl::StatusOr<std::string> HashKey(absl::string_view key);

}  // namespace braid::services::auth

#endif  // BRAID_SERVICES_AUTH_AUTHENTICATOR_H_
