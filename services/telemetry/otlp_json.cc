#include "services/telemetry/otlp_json.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace braid::services::telemetry {
namespace {

using Json = nlohmann::json;

// Of opentelemetry.proto.trace.v1.
constexpr int kKindInternal = 1;
constexpr int kKindServer = 2;
constexpr int kStatusError = 2;

Json Text(const char* key, const std::string& value) {
  return {{"key", key}, {"value", {{"stringValue", value}}}};
}

// 64-bit numbers are strings in protobuf's JSON.
Json ToJson(const std::string& key,
            const std::variant<std::string, int64_t>& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    return Text(key.c_str(), *text);
  }
  return {{"key", key},
          {"value", {{"intValue", absl::StrCat(std::get<int64_t>(value))}}}};
}

std::string Nanos(absl::Time time) {
  return absl::StrCat(absl::ToUnixNanos(time));
}

Json ToJson(const Span& span) {
  Json json = {
      {"traceId", ToHex(span.context.trace_id)},
      {"spanId", ToHex(span.context.span_id)},
      {"name", span.name},
      {"kind", span.kind == Span::Kind::kServer ? kKindServer : kKindInternal},
      {"startTimeUnixNano", Nanos(span.start)},
      {"endTimeUnixNano", Nanos(span.end)}};
  if (!span.parent.IsZero()) json["parentSpanId"] = ToHex(span.parent);
  if (!span.context.state.empty()) json["traceState"] = span.context.state;
  if (span.error) json["status"] = {{"code", kStatusError}};
  for (const auto& [key, value] : span.attributes) {
    json["attributes"].push_back(ToJson(key, value));
  }
  return json;
}

}  // namespace

std::string ToOtlpJson(const Resource& resource, absl::Span<const Span> spans) {
  Json attributes = {Text("service.name", resource.service),
                     Text("service.version", resource.version)};
  if (!resource.host.empty()) {
    attributes.push_back(Text("host.name", resource.host));
  }
  Json list = Json::array();
  for (const Span& span : spans) list.push_back(ToJson(span));
  Json scope_spans = {
      {"scope", {{"name", resource.service}, {"version", resource.version}}},
      {"spans", std::move(list)}};
  const Json request = {
      {"resourceSpans",
       Json::array({{{"resource", {{"attributes", std::move(attributes)}}},
                     {"scopeSpans", Json::array({std::move(scope_spans)})}}})}};
  // A host name is the system's: bytes that are no UTF-8 must not throw.
  return request.dump(-1, ' ', /*ensure_ascii=*/false,
                      Json::error_handler_t::replace);
}

}  // namespace braid::services::telemetry
