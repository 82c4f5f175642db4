// The part of OpenAI's API that asks, lists and embeds.
//
// POST /v1/chat/completions: the last message of the user is the question, and
//   the others are not looked at: an answer comes from the documents. `model`
//   is `braid/COLLECTION`; or the field `collection` names the collection, and
//   `model` may be anything. Further fields of ours: `filter`, `top_k`,
//   `multi_hop`, as AnswerRequest has them. Citations are `annotations` of the
//   message, of the type url_citation, and in full in the field `braid`
//   ({citations, finish_reason, degraded}). An abstention is a `refusal`.
// GET /v1/models: the collections that the caller may read.
// POST /v1/embeddings: of the server's only encoder, which the reply names.
// What else is in a request is ignored, unless it asks for what is not there.
#ifndef BRAID_SERVICES_ADAPTERS_OPENAI_H_
#define BRAID_SERVICES_ADAPTERS_OPENAI_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "braid/v1/answer_service.pb.h"
#include "braid/v1/retrieval_service.pb.h"
#include "services/adapters/grpc_bridge.h"
#include "services/adapters/json.h"
#include "services/http/server.h"

namespace braid::services::adapters {

struct ChatRequest {
  v1::AnswerRequest answer;
  std::string model;
  bool stream = false;
  bool include_usage = false;  // in the stream
};
// INVALID_ARGUMENT naming the field.
absl::StatusOr<ChatRequest> ParseChat(const Json& body);

struct EmbeddingsRequest {
  v1::EmbedRequest embed;
  bool base64 = false;  // little-endian floats; otherwise numbers
};
absl::StatusOr<EmbeddingsRequest> ParseEmbeddings(const Json& body);

// Thread-safe.
class OpenAi {
 public:
  // `bridge` must outlive it.
  explicit OpenAi(GrpcBridge* bridge) : bridge_(bridge) {}

  static bool HasPath(absl::string_view path);
  // For a path of its own.
  void Serve(const std::shared_ptr<http::Exchange>& exchange) const;

 private:
  GrpcBridge* const bridge_;
};

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_OPENAI_H_
