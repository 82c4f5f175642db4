// The part of a Hugging Face hub that fetching a model needs: which commit a
// revision is, which files it holds, and their contents.
// API: https://huggingface.co/docs/hub/api
#ifndef BRAID_SERVICES_HUB_HUB_CLIENT_H_
#define BRAID_SERVICES_HUB_HUB_CLIENT_H_

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/hub/digest.h"
#include "services/hub/http_client.h"

namespace braid::services::hub {

struct HubOptions {
  std::string endpoint = "https://huggingface.co";
  std::string token;  // shown to the endpoint alone; "": none
  // In a row without a byte of progress.
  int max_attempts = 6;
  // Between attempts; doubles up to max_backoff. A Retry-After of the server
  // that is longer wins, up to max_retry_after; beyond that, no more attempts.
  absl::Duration backoff = absl::Seconds(1);
  absl::Duration max_backoff = absl::Seconds(30);
  absl::Duration max_retry_after = absl::Minutes(5);
  absl::Duration stall_timeout = absl::Seconds(60);  // see HttpOptions

  // Endpoint from $HF_ENDPOINT and token from $HF_TOKEN, where they are set.
  static HubOptions FromEnvironment();
};

// INVALID_ARGUMENT unless `repository` is ORG/NAME as the hub allows it.
absl::Status CheckRepository(absl::string_view repository);
// INVALID_ARGUMENT unless `revision` can be a branch, a tag or a commit.
absl::Status CheckRevision(absl::string_view revision);

struct HubFile {
  std::string name;  // at the top of the repository: no slash, no leading dot
  uint64_t bytes = 0;
  DigestKind digest_kind = DigestKind::kSha256;
  std::string digest;  // lower-case hex
};

// Where the body of a file goes. What has arrived stays when a connection
// breaks, and the next attempt asks for the rest.
class ResumableSink : public BodySink {
 public:
  // Bytes that are there already.
  virtual uint64_t offset() const = 0;
  // Forgets them: the server cannot go on from there.
  virtual absl::Status Restart() = 0;
  // An answer came to its end. ABORTED if something is missing yet.
  virtual absl::Status End() = 0;
};

// Tries again after broken connections, stalls and the answers 408, 429 and
// 5xx. Errors name what was asked for: UNAUTHENTICATED (401), PERMISSION_DENIED
// (403), NOT_FOUND (404), UNAVAILABLE (no connection, or all attempts failed),
// DATA_LOSS (an answer that makes no sense), CANCELLED. Not thread-safe.
class HubClient {
 public:
  static absl::StatusOr<std::unique_ptr<HubClient>> Create(
      const HubOptions& options);

  // The commit (40 hex digits) that `revision` names now.
  absl::StatusOr<std::string> ResolveCommit(const std::string& repository,
                                            const std::string& revision,
                                            std::stop_token stop);
  // The files at the top of the repository. A listing that names a path which
  // could lead out of a directory, or one name twice, is DATA_LOSS as a whole.
  absl::StatusOr<std::vector<HubFile>> ListFiles(const std::string& repository,
                                                 const std::string& commit,
                                                 std::stop_token stop);
  absl::Status Download(const std::string& repository,
                        const std::string& commit, const std::string& name,
                        ResumableSink* sink, std::stop_token stop);

 private:
  HubClient(const HubOptions& options, std::unique_ptr<HttpClient> http);
  // `what` is for messages: a file, or a repository.
  absl::StatusOr<HttpResponse> Get(const std::string& url,
                                   const std::string& what, ResumableSink* sink,
                                   std::stop_token stop);
  absl::Status StatusOf(const HttpResponse& response,
                        const std::string& what) const;

  const HubOptions options_;
  const std::unique_ptr<HttpClient> http_;
  // Whether the endpoint ever answered: until then, a connection that cannot
  // be made is told at once.
  bool answered_ = false;
};

}  // namespace braid::services::hub

#endif  // BRAID_SERVICES_HUB_HUB_CLIENT_H_
