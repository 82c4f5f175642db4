#include "services/cli/render.h"

#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "services/cli/context.h"

namespace braid::services::cli {
namespace {

Json ToJson(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kNumberValue:
      return value.number_value();
    case google::protobuf::Value::kStringValue:
      return value.string_value();
    case google::protobuf::Value::kBoolValue:
      return value.bool_value();
    case google::protobuf::Value::kStructValue:
      return cli::ToJson(value.struct_value());
    case google::protobuf::Value::kListValue: {
      Json list = Json::array();
      for (const auto& element : value.list_value().values()) {
        list.push_back(ToJson(element));
      }
      return list;
    }
    case google::protobuf::Value::kNullValue:
    case google::protobuf::Value::KIND_NOT_SET:
      break;
  }
  return nullptr;
}

// RFC 3339; null where the message has no time.
Json ToJson(bool present, const google::protobuf::Timestamp& timestamp) {
  if (!present) return nullptr;
  const absl::Time time = absl::FromUnixSeconds(timestamp.seconds()) +
                          absl::Nanoseconds(timestamp.nanos());
  return absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone());
}

}  // namespace

Json ToJson(const google::protobuf::Struct& metadata) {
  // Sorted: a protobuf map has no order of its own.
  Json object = Json::object();
  const std::map<std::string, google::protobuf::Value> sorted(
      metadata.fields().begin(), metadata.fields().end());
  for (const auto& [name, value] : sorted) object[name] = ToJson(value);
  return object;
}

Json ToJson(const v1::ByteRange& range) {
  return {{"begin", range.begin()}, {"end", range.end()}};
}

Json ToJson(const v1::Collection& collection) {
  const v1::Chunking& chunking = collection.chunking();
  return {{"name", collection.name()},
          {"language", collection.language()},
          {"chunking",
           {{"strategy", StrategyName(chunking.strategy())},
            {"max_tokens", chunking.max_tokens()},
            {"overlap_tokens", chunking.overlap_tokens()},
            {"parent_tokens", chunking.parent_tokens()}}},
          {"encoder", collection.encoder()},
          {"dimension", collection.dimension()},
          {"document_count", collection.document_count()},
          {"chunk_count", collection.chunk_count()},
          {"last_sequence", collection.last_sequence()},
          {"visible_sequence", collection.visible_sequence()},
          {"index_error", collection.index_error()},
          {"oldest_sequence", collection.oldest_sequence()},
          {"document_access", collection.document_access()},
          {"create_time",
           ToJson(collection.has_create_time(), collection.create_time())}};
}

Json ToJson(const v1::Document& document) {
  Json readers = Json::array();
  for (const std::string& reader : document.readers()) {
    readers.push_back(reader);
  }
  Json json = {{"name", document.name()},
               {"document_id", document.document_id()},
               {"version", document.version()},
               {"title", document.title()},
               {"media_type", document.media_type()},
               {"content_hash", document.content_hash()},
               {"metadata", ToJson(document.metadata())},
               {"readers", readers},
               {"sequence", document.sequence()},
               {"chunk_count", document.chunk_count()},
               {"create_time",
                ToJson(document.has_create_time(), document.create_time())},
               {"update_time",
                ToJson(document.has_update_time(), document.update_time())}};
  if (!document.text().empty()) json["text"] = document.text();
  return json;
}

Json ToJson(const v1::Chunk& chunk) {
  Json headings = Json::array();
  for (const std::string& heading : chunk.headings()) {
    headings.push_back(heading);
  }
  return {{"chunk_id", chunk.chunk_id()},
          {"document", chunk.document()},
          {"document_id", DocumentIdOf(chunk.document())},
          {"version", chunk.version()},
          {"ordinal", chunk.ordinal()},
          {"text_range", ToJson(chunk.text_range())},
          {"source_range", ToJson(chunk.source_range())},
          {"headings", headings},
          {"page", chunk.page()},
          {"token_count", chunk.token_count()}};
}

Json ToJson(const v1::Passage& passage) {
  Json json = {{"rank", passage.rank()}, {"score", passage.score()}};
  json.update(ToJson(passage.chunk()));
  json["title"] = passage.title();
  json["text"] = passage.text();
  json["metadata"] = ToJson(passage.metadata());
  Json legs = Json::object();
  for (const v1::LegScore& leg : passage.leg_scores()) {
    legs[LegName(leg.leg())] = {{"rank", leg.rank()},
                                {"score", leg.score()},
                                {"contribution", leg.contribution()}};
  }
  json["legs"] = legs;
  if (passage.has_explanation()) {
    const v1::Explanation& explanation = passage.explanation();
    Json merged = Json::array();
    for (const uint64_t id : explanation.merged_chunk_ids()) {
      merged.push_back(id);
    }
    json["explanation"] = {{"fused_rank", explanation.fused_rank()},
                           {"fused_score", explanation.fused_score()},
                           {"merged_chunk_ids", merged}};
    if (explanation.has_rerank_logit()) {
      json["explanation"]["rerank_logit"] = explanation.rerank_logit();
    }
  }
  return json;
}

Json ToJson(const v1::Citation& citation) {
  return {{"number", citation.number()},
          {"document", citation.document()},
          {"document_id", DocumentIdOf(citation.document())},
          {"version", citation.version()},
          {"title", citation.title()},
          {"chunk_id", citation.chunk_id()},
          {"source_range", ToJson(citation.text_range())},
          {"answer_range", ToJson(citation.answer_range())},
          {"quote", citation.quote()}};
}

Json ToJson(const v1::Operation& operation) {
  const v1::OperationProgress& progress = operation.progress();
  Json total;
  if (progress.has_total()) total = progress.total();
  Json error;
  if (operation.has_error()) {
    const auto code = static_cast<absl::StatusCode>(operation.error().code());
    error = {{"code", absl::StatusCodeToString(code)},
             {"message", operation.error().message()}};
  }
  return {
      {"name", operation.name()},
      {"kind", EnumSuffix(v1::Operation::Kind_Name(operation.kind()), "KIND_")},
      {"collection", operation.collection()},
      {"state",
       EnumSuffix(v1::Operation::State_Name(operation.state()), "STATE_")},
      {"cancel_requested", operation.cancel_requested()},
      {"start_time", ToJson(true, operation.start_time())},
      {"end_time", ToJson(operation.has_end_time(), operation.end_time())},
      {"progress",
       {{"done", progress.done()},
        {"failed", progress.failed()},
        {"total", total},
        {"unit", progress.unit()}}},
      {"request_id", operation.request_id()},
      {"error", error}};
}

double ToMilliseconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) * 1e3 +
         static_cast<double>(duration.nanos()) * 1e-6;
}

std::string EnumSuffix(const std::string& name, const std::string& prefix) {
  return absl::AsciiStrToLower(
      absl::StartsWith(name, prefix) ? name.substr(prefix.size()) : name);
}

std::string LegName(v1::Leg leg) {
  return EnumSuffix(v1::Leg_Name(leg), "LEG_");
}

std::string StrategyName(v1::Chunking::Strategy strategy) {
  return EnumSuffix(v1::Chunking::Strategy_Name(strategy), "STRATEGY_");
}

void PrintJsonLine(const Json& value) {
  const std::string line =
      value.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

}  // namespace braid::services::cli
