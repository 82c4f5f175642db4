// What the modules return, as the messages of braid.v1.
#ifndef BRAID_SERVICES_SERVER_CONVERT_H_
#define BRAID_SERVICES_SERVER_CONVERT_H_

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "braid/v1/admin_service.pb.h"
#include "braid/v1/answer_service.pb.h"
#include "braid/v1/collection_service.pb.h"
#include "braid/v1/document.pb.h"
#include "braid/v1/document_service.pb.h"
#include "braid/v1/retrieval_service.pb.h"
#include "generation/engine/sampling.h"
#include "google/protobuf/timestamp.pb.h"
#include "retrieval/local/verify.h"
#include "retrieval/store/store.h"
#include "retrieval/viewer.h"
#include "services/pipeline/answer_pipeline.h"
#include "services/pipeline/search_pipeline.h"

namespace braid::services {

void ToProto(absl::Time time, google::protobuf::Timestamp* proto);

// Counts only what `viewer` may know of.
void ToProto(const retrieval::CollectionConfig& config,
             const retrieval::CollectionCounters& counters,
             const retrieval::IndexState& indexes,
             const retrieval::Viewer& viewer, v1::Collection* proto);

// Everything but the text; the readers for a viewer that sees all.
void ToProto(absl::string_view collection,
             const retrieval::DocumentInfo& document,
             const retrieval::Viewer& viewer, v1::Document* proto);
void ToProto(absl::string_view collection, const retrieval::Chunk& chunk,
             v1::Chunk* proto);

// `rank` counts from 1.
void ToProto(absl::string_view collection, const FoundPassage& found,
             uint32_t rank, bool explain, v1::Passage* proto);
void ToProto(const StageTime& stage, v1::StageTiming* proto);
void ToProto(absl::string_view collection, const ContextPassage& passage,
             v1::ContextPassage* proto);
void ToProto(absl::string_view collection, const VerifiedCitation& citation,
             v1::Citation* proto);
v1::FinishReason ToProto(generation::FinishReason reason);
void ToProto(const retrieval::DataReport& report, v1::VerifyResponse* proto);
v1::IngestResponse::Outcome ToProto(retrieval::WriteOutcome outcome);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_CONVERT_H_
