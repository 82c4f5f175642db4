// The edge: requests are turned into what the pipelines take, or refused with
// every violation at once. Nothing past this file sees an unchecked number,
// name or text.
#ifndef BRAID_SERVICES_SERVER_VALIDATE_H_
#define BRAID_SERVICES_SERVER_VALIDATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "braid/v1/admin_service.pb.h"
#include "braid/v1/answer_service.pb.h"
#include "braid/v1/collection_service.pb.h"
#include "braid/v1/document_service.pb.h"
#include "braid/v1/generation_service.pb.h"
#include "braid/v1/operation_service.pb.h"
#include "braid/v1/retrieval_service.pb.h"
#include "generation/engine/generator.h"
#include "retrieval/ingest/pipeline.h"
#include "retrieval/store/store.h"
#include "services/limits.h"
#include "services/pipeline/answer_pipeline.h"
#include "services/pipeline/search_pipeline.h"
#include "services/server/errors.h"
#include "services/server/operations.h"
#include "services/server/resource_names.h"

namespace braid::services {

// Collects the violations of one request.
class RequestChecker {
 public:
  // Fields are named with `prefix` before them.
  explicit RequestChecker(const Limits& limits, absl::string_view prefix = "")
      : limits_(limits), prefix_(prefix) {}
  void SetPrefix(absl::string_view prefix) { prefix_ = std::string(prefix); }

  const Limits& limits() const { return limits_; }
  std::vector<FieldViolation>* violations() { return &violations_; }
  void Add(absl::string_view field, absl::string_view description);

  std::string CollectionName(absl::string_view field, absl::string_view name);
  DocumentName Document(absl::string_view field, absl::string_view name);
  // 0 stands for `default_value`; otherwise 1 to `max`.
  uint32_t Count(absl::string_view field, int64_t value, int64_t default_value,
                 int64_t max);
  // Finite, `min` to `max`.
  double Number(absl::string_view field, double value, double min, double max);
  // 1 to `max_bytes`, not only white space.
  std::string Text(absl::string_view field, const std::string& text,
                   size_t max_bytes);
  // At most `max_bytes`, may be empty; no control characters.
  std::string Label(absl::string_view field, const std::string& text,
                    size_t max_bytes);
  // Names that a document may list, normalized.
  std::vector<std::string> Readers(
      absl::string_view field,
      const google::protobuf::RepeatedPtrField<std::string>& names);
  // Parses; empty is none.
  std::string Filter(absl::string_view field, const std::string& text);

  // The last entry of the page before, out of a token for `scope`; empty for
  // the first page. The field is `page_token`.
  std::string PageAfter(absl::string_view scope, const std::string& token);

  // InvalidFields(...), or OK when there was nothing to add.
  absl::Status status() const;

 private:
  const Limits& limits_;
  std::string prefix_;
  std::vector<FieldViolation> violations_;
};

// One page of a list.
struct PageRequest {
  uint32_t size = 0;
  std::string after;  // the last entry of the page before; empty for the first
};

struct GetDocumentQuery {
  DocumentName name;
  uint64_t version = 0;              // 0 for as it is
  retrieval::Sequence sequence = 0;  // 0 for as it is
};

struct ListDocumentsQuery {
  std::string collection;
  std::string filter;
  retrieval::Sequence sequence = 0;  // 0 for as they are
  PageRequest page;
};

struct DeleteDocumentsQuery {
  std::string collection;
  std::string filter;
  bool validate_only = false;
  std::string after;  // the last document looked at; empty for the first call
};

struct ListOperationsQuery {
  OperationRegistry::Filter filter;
  std::string scope;  // what its page tokens are bound to
  size_t page_size = 0;
  uint64_t before = 0;  // operations with lower numbers
};

struct PatchDocumentQuery {
  DocumentName name;
  retrieval::MetadataPatch patch;
};

// What page tokens of these lists are bound to.
inline constexpr absl::string_view kCollectionsPageScope = "collections";
std::string DocumentsPageScope(absl::string_view collection,
                               absl::string_view filter,
                               retrieval::Sequence sequence);
std::string DeleteDocumentsScope(absl::string_view collection,
                                 absl::string_view filter);

// Each returns INVALID_ARGUMENT as InvalidFields makes it. The deadline and the
// stop token are left for the caller to set.
absl::StatusOr<retrieval::CollectionConfig> Parse(
    const v1::CreateCollectionRequest& request, const Limits& limits);
absl::StatusOr<PageRequest> Parse(const v1::ListCollectionsRequest& request,
                                  const Limits& limits);
absl::StatusOr<GetDocumentQuery> Parse(const v1::GetDocumentRequest& request,
                                       const Limits& limits);
absl::StatusOr<ListDocumentsQuery> Parse(
    const v1::ListDocumentsRequest& request, const Limits& limits);
absl::StatusOr<DeleteDocumentsQuery> Parse(
    const v1::DeleteDocumentsRequest& request, const Limits& limits);
absl::StatusOr<PatchDocumentQuery> Parse(
    const v1::PatchDocumentRequest& request, const Limits& limits);
absl::StatusOr<ListOperationsQuery> Parse(
    const v1::ListOperationsRequest& request, const Limits& limits);
absl::StatusOr<PipelineQuery> Parse(const v1::SearchRequest& request,
                                    const Limits& limits);
absl::StatusOr<AnswerQuery> Parse(const v1::AnswerRequest& request,
                                  const Limits& limits);
absl::StatusOr<ContextQuery> Parse(const v1::BuildContextRequest& request,
                                   const Limits& limits);
// Passages are known by their index: that is their document's id, and their
// text begins at 0.
absl::StatusOr<generation::AnswerRequest> Parse(
    const v1::AnswerFromPassagesRequest& request, const Limits& limits);
absl::StatusOr<generation::GenerationRequest> Parse(
    const v1::GenerateRequest& request, const Limits& limits);
// `collection` is checked apart, as it may be left out. Takes the bytes out of
// `request`: a source may be large.
absl::StatusOr<retrieval::IngestItem> ParseInput(v1::IngestRequest* request,
                                                 const Limits& limits);
// For requests that are one name.
absl::StatusOr<std::string> ParseCollection(absl::string_view field,
                                            absl::string_view name,
                                            const Limits& limits);
absl::StatusOr<DocumentName> ParseDocument(absl::string_view field,
                                           absl::string_view name,
                                           const Limits& limits);
// The operation's id.
absl::StatusOr<std::string> ParseOperation(absl::string_view field,
                                           absl::string_view name,
                                           const Limits& limits);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_VALIDATE_H_
