#include "services/auth/authenticator.h"

#include <openssl/rand.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "services/auth/access_file.h"
#include "services/auth/document_source.h"
#include "services/hub/digest.h"

namespace braid::services::auth {
namespace {

constexpr absl::string_view kKeyPrefix = "braid_";
constexpr size_t kKeyBytes = 32;
constexpr size_t kMaxTokenBytes = 16 << 10;

// The scheme's name is compared without regard to case (RFC 9110, 11.1).
bool ConsumeBearer(absl::string_view* header) {
  constexpr absl::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(*header, kScheme)) return false;
  header->remove_prefix(kScheme.size());
  return true;
}

// What is in force; replaced as a whole.
struct State {
  AccessPolicy policy;
  std::shared_ptr<const JwtKeys> keys;  // null if tokens are not accepted
};

class WatchingAuthenticator final : public Authenticator {
 public:
  explicit WatchingAuthenticator(AuthOptions options)
      : options_(std::move(options)),
        access_(options_.access_file, options_.file_interval),
        jwks_(options_.jwks, IsUrl(options_.jwks) ? options_.url_interval
                                                  : options_.file_interval) {}

  absl::Status Start() {
    auto state = std::make_shared<State>();
    if (!options_.access_file.empty()) {
      const absl::StatusOr<std::string> content = access_.Read({});
      if (!content.ok()) return content.status();
      auto policy = ParseAccess(*content, options_.access_file);
      if (!policy.ok()) return policy.status();
      state->policy = *std::move(policy);
    }
    if (!options_.jwks.empty()) {
      const absl::StatusOr<std::string> content = jwks_.Read({});
      if (!content.ok()) return content.status();
      auto keys = JwtKeys::Parse(*content);
      if (!keys.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat(options_.jwks, ": ", keys.status().message()));
      }
      state->keys = *std::move(keys);
    }
    state_ = std::move(state);
    watcher_ =
        std::jthread([this](const std::stop_token& stop) { Watch(stop); });
    return absl::OkStatus();
  }

  absl::StatusOr<Principal> Authenticate(
      const Credentials& credentials) override {
    const std::shared_ptr<const State> state = Current();
    if (!credentials.authorization.empty()) {
      absl::string_view bearer = credentials.authorization;
      if (!ConsumeBearer(&bearer)) {
        return absl::UnauthenticatedError(
            "the authorization header is not `Bearer` and a key or token");
      }
      if (bearer.size() > kMaxTokenBytes) {
        return absl::UnauthenticatedError("the token is too long");
      }
      return absl::StartsWith(bearer, kKeyPrefix) ? FromKey(*state, bearer)
                                                  : FromToken(*state, bearer);
    }
    for (const std::string& name : credentials.certificate_names) {
      const auto known = state->policy.certificates.find(name);
      if (known != state->policy.certificates.end()) return known->second;
    }
    if (options_.anonymous.has_value()) {
      return Principal{"anonymous", {{*options_.anonymous, "*"}}};
    }
    return absl::UnauthenticatedError("a key, token or certificate is needed");
  }

 private:
  std::shared_ptr<const State> Current() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return state_;
  }

  absl::Time Now() const {
    return options_.clock ? options_.clock() : absl::Now();
  }

  absl::StatusOr<Principal> FromKey(const State& state,
                                    absl::string_view key) const {
    const absl::StatusOr<std::string> digest = HashKey(key);
    if (!digest.ok()) return digest.status();
    const auto known = state.policy.keys.find(*digest);
    if (known == state.policy.keys.end()) {
      return absl::UnauthenticatedError("the key is not known");
    }
    if (Now() >= known->second.expires) {
      return absl::UnauthenticatedError("the key has expired");
    }
    return known->second.principal;
  }

  absl::StatusOr<Principal> FromToken(const State& state,
                                      absl::string_view token) {
    if (state.keys == nullptr) {
      return absl::UnauthenticatedError("the key is not known");
    }
    if (state.keys->LacksKeyOf(token)) AskForNewerKeys();
    const auto claims = state.keys->Verify(token, options_.jwt, Now());
    if (!claims.ok()) return claims.status();
    Principal principal{
        absl::StrCat("jwt:", claims->subject), {}, claims->groups};
    for (const std::string& name : claims->groups) {
      const auto group = state.policy.groups.find(name);
      if (group == state.policy.groups.end()) continue;
      principal.grants.insert(principal.grants.end(), group->second.begin(),
                              group->second.end());
    }
    return principal;
  }

  void AskForNewerKeys() {
    const std::lock_guard<std::mutex> lock(mutex_);
    keys_wanted_ = true;
    wake_.notify_all();
  }

  void Watch(const std::stop_token& stop) {
    auto next_unknown = std::chrono::steady_clock::time_point::min();
    while (!stop.stop_requested()) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait_for(lock, stop,
                       absl::ToChronoMilliseconds(options_.file_interval),
                       [this] { return keys_wanted_; });
        if (stop.stop_requested()) return;
        const auto now = std::chrono::steady_clock::now();
        if (std::exchange(keys_wanted_, false) && now >= next_unknown) {
          jwks_.ReadSoon();
          next_unknown =
              now + absl::ToChronoNanoseconds(options_.unknown_key_interval);
        }
      }
      if (auto content = access_.ReadIfChanged(stop); content.has_value()) {
        Take(*content, options_.access_file,
             [&](const std::string& text) { return UseAccess(text); });
      }
      if (auto content = jwks_.ReadIfChanged(stop); content.has_value()) {
        Take(*content, options_.jwks,
             [&](const std::string& text) { return UseKeys(text); });
      }
    }
  }

  template <typename Use>
  void Take(const absl::StatusOr<std::string>& content,
            const std::string& source, const Use& use) {
    const absl::Status status = content.ok() ? use(*content) : content.status();
    if (options_.on_reload) options_.on_reload(status, source);
  }

  absl::Status UseAccess(const std::string& text) {
    auto policy = ParseAccess(text, options_.access_file);
    if (!policy.ok()) return policy.status();
    Replace([&](State& state) { state.policy = *std::move(policy); });
    return absl::OkStatus();
  }

  absl::Status UseKeys(const std::string& text) {
    auto keys = JwtKeys::Parse(text);
    if (!keys.ok()) return keys.status();
    Replace([&](State& state) { state.keys = *std::move(keys); });
    return absl::OkStatus();
  }

  template <typename Change>
  void Replace(const Change& change) {
    auto next = std::make_shared<State>(*Current());
    change(*next);
    const std::lock_guard<std::mutex> lock(mutex_);
    state_ = std::move(next);
  }

  const AuthOptions options_;
  // Of the watcher, once it runs.
  DocumentSource access_;
  DocumentSource jwks_;
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::shared_ptr<const State> state_;  // under mutex_
  bool keys_wanted_ = false;            // under mutex_
  std::jthread watcher_;                // last: it uses all of the above
};

}  // namespace

absl::StatusOr<std::unique_ptr<Authenticator>> Authenticator::Create(
    AuthOptions options) {
  auto created = std::make_unique<WatchingAuthenticator>(std::move(options));
  absl::Status status = created->Start();
  if (!status.ok()) return status;
  return created;
}

absl::StatusOr<std::string> MakeKey() {
  std::array<unsigned char, kKeyBytes> bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return absl::InternalError("the system has no random bytes");
  }
  const absl::string_view text(reinterpret_cast<const char*>(bytes.data()),
                               bytes.size());
  return absl::StrCat(kKeyPrefix, absl::WebSafeBase64Escape(text));
}

absl::StatusOr<std::string> HashKey(absl::string_view key) {
  hub::StreamDigest digest(hub::DigestKind::kSha256, key.size());
  digest.Add(key);
  return digest.Finish();
}

}  // namespace braid::services::auth
