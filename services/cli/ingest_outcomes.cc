#include "services/cli/ingest_outcomes.h"

#include <google/rpc/error_details.pb.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/cli/exit_code.h"
#include "services/cli/render.h"

namespace braid::services::cli {
namespace {

// The stage that the server says a document failed in; empty if it does not.
std::string StageOf(const google::rpc::Status& error) {
  for (const google::protobuf::Any& detail : error.details()) {
    google::rpc::ErrorInfo info;
    if (!detail.UnpackTo(&info)) continue;
    const auto stage = info.metadata().find("stage");
    if (stage != info.metadata().end()) return stage->second;
  }
  return "";
}

Json ToJson(const absl::Status& error) {
  return {{"code", absl::StatusCodeToString(error.code())},
          {"message", std::string(error.message())}};
}

std::string OutcomeName(v1::IngestResponse::Outcome outcome) {
  return EnumSuffix(v1::IngestResponse::Outcome_Name(outcome), "OUTCOME_");
}

}  // namespace

absl::StatusOr<std::unique_ptr<IngestOutcomes>> IngestOutcomes::Create(
    bool json, const std::string& report) {
  std::FILE* file = nullptr;
  if (!report.empty()) {
    file = std::fopen(report.c_str(), "we");
    if (file == nullptr) {
      return absl::ErrnoToStatus(errno, absl::StrCat("--report ", report));
    }
  }
  return std::unique_ptr<IngestOutcomes>(new IngestOutcomes(json, file));
}

IngestOutcomes::IngestOutcomes(bool json, std::FILE* report)
    : json_(json), report_(report), progress_("Ingesting", "documents", 0) {}

IngestOutcomes::~IngestOutcomes() {
  if (report_ != nullptr) std::fclose(report_);
}

void IngestOutcomes::Expect(uint64_t documents) {
  absl::MutexLock lock(&mutex_);
  progress_.set_total(documents);
}

void IngestOutcomes::Acknowledge(const std::string& origin,
                                 const v1::IngestResponse& response) {
  if (response.outcome() != v1::IngestResponse::OUTCOME_FAILED &&
      response.outcome() != v1::IngestResponse::OUTCOME_UNSPECIFIED) {
    Store(origin, response, /*dry_run=*/false);
    return;
  }
  const absl::Status error = FromGrpc(grpc::Status(
      static_cast<grpc::StatusCode>(response.error().code()),
      response.error().message(), response.error().SerializeAsString()));
  absl::MutexLock lock(&mutex_);
  FailLocked(origin, response.document_id(), StageOf(response.error()), error);
}

void IngestOutcomes::Foresee(const std::string& origin,
                             const std::string& document_id,
                             v1::IngestResponse::Outcome outcome) {
  v1::IngestResponse response;
  response.set_document_id(document_id);
  response.set_outcome(outcome);
  Store(origin, response, /*dry_run=*/true);
}

void IngestOutcomes::Store(const std::string& origin,
                           const v1::IngestResponse& response, bool dry_run) {
  absl::MutexLock lock(&mutex_);
  const v1::IngestResponse::Outcome outcome = response.outcome();
  if (outcome == v1::IngestResponse::OUTCOME_CREATED) ++counts_.created;
  if (outcome == v1::IngestResponse::OUTCOME_REPLACED) ++counts_.replaced;
  if (outcome == v1::IngestResponse::OUTCOME_UNCHANGED) {
    ++counts_.unchanged;
  } else {
    counts_.chunks += response.chunk_count();
  }
  counts_.last_sequence =
      std::max<uint64_t>(counts_.last_sequence, response.sequence());
  Json line = {{"document_id", response.document_id()},
               {"outcome", OutcomeName(outcome)}};
  if (!dry_run) {
    line["version"] = response.version();
    line["sequence"] = response.sequence();
    line["chunks"] = response.chunk_count();
  }
  Write(origin, std::move(line));
  progress_.Update(counts_.done());
}

void IngestOutcomes::Delete(const std::string& document_id, uint64_t sequence) {
  absl::MutexLock lock(&mutex_);
  ++counts_.deleted;
  counts_.last_sequence = std::max(counts_.last_sequence, sequence);
  Json line = {{"document_id", document_id}, {"outcome", "deleted"}};
  if (sequence != 0) line["sequence"] = sequence;
  Write("", std::move(line));
}

void IngestOutcomes::FailToRead(const std::string& origin,
                                const absl::Status& error) {
  absl::MutexLock lock(&mutex_);
  FailLocked(origin, origin, "read", error);
}

void IngestOutcomes::Unanswered(const std::string& origin,
                                const absl::Status& why) {
  absl::MutexLock lock(&mutex_);
  ++counts_.unanswered;
  if (report_ == nullptr) return;
  WriteReport({{"path", origin},
               {"outcome", "unanswered"},
               {"stage", "send"},
               {"error", ToJson(why)}});
}

void IngestOutcomes::FailLocked(const std::string& origin,
                                const std::string& document_id,
                                const std::string& stage,
                                const absl::Status& error) {
  ++counts_.failed;
  if (!json_) {
    progress_.Clear();
    std::fprintf(stderr, "braid: %s: %s: %s\n",
                 PrintableText(document_id, false).c_str(),
                 absl::StatusCodeToString(error.code()).c_str(),
                 PrintableText(error.message(), true).c_str());
  }
  Write(origin, {{"document_id", document_id},
                 {"outcome", "failed"},
                 {"stage", stage},
                 {"error", ToJson(error)}});
  progress_.Update(counts_.done());
}

void IngestOutcomes::Write(const std::string& origin, Json line) {
  if (json_) PrintJsonLine(line);
  if (report_ == nullptr) return;
  if (!origin.empty()) line["path"] = origin;
  WriteReport(line);
}

void IngestOutcomes::WriteReport(const Json& line) {
  // Bytes that are not UTF-8 are replaced: a file's name may be any bytes.
  const std::string text =
      line.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::fprintf(report_, "%s\n", text.c_str());
  std::fflush(report_);
}

IngestCounts IngestOutcomes::counts() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

void IngestOutcomes::Finish() {
  absl::MutexLock lock(&mutex_);
  progress_.Finish();
}

}  // namespace braid::services::cli
