#include "services/adapters/json.h"

#include <exception>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"

namespace braid::services::adapters {
namespace {

constexpr int kMaxDepth = 64;

absl::Status TooDeep() {
  return absl::InvalidArgumentError(
      absl::StrCat("JSON that nests deeper than ", kMaxDepth));
}

// Walks over JSON outside of its strings. `visit(i, depth)` is called for each
// bracket and comma, with the depth inside of an opening one and outside of a
// closing one. False if it nests too deep.
template <typename Visit>
bool Walk(absl::string_view json, Visit visit) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return false;
      visit(i, depth);
    } else if (c == ']' || c == '}') {
      visit(i, --depth);
    } else if (c == ',') {
      visit(i, depth);
    }
  }
  return true;
}

}  // namespace

std::string ToJson(const google::protobuf::Message& message) {
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json).ok()) {
    return "{}";
  }
  return json;
}

absl::Status FromJson(absl::string_view json,
                      google::protobuf::Message* message) {
  if (!Walk(json, [](size_t, int) {})) return TooDeep();
  const auto status = google::protobuf::util::JsonStringToMessage(
      {json.data(), json.size()}, message);
  if (status.ok()) return absl::OkStatus();
  const auto why = status.message();
  return absl::InvalidArgumentError(
      absl::StrCat("not JSON of a ", message->GetDescriptor()->name(), ": ",
                   absl::string_view(why.data(), why.size())));
}

absl::StatusOr<std::vector<absl::string_view>> SplitJsonArray(
    absl::string_view json) {
  json = absl::StripAsciiWhitespace(json);
  if (json.empty() || json[0] != '[') return std::vector{json};
  std::vector<absl::string_view> elements;
  size_t begin = 1;
  size_t end = 0;
  const bool within = Walk(json, [&](size_t at, int depth) {
    const bool comma = json[at] == ',' && depth == 1;
    const bool close = json[at] == ']' && depth == 0;
    if (end != 0 || !(comma || close)) return;
    elements.push_back(
        absl::StripAsciiWhitespace(json.substr(begin, at - begin)));
    begin = at + 1;
    if (close) end = at;
  });
  if (!within) return TooDeep();
  if (end != json.size() - 1) {
    return absl::InvalidArgumentError("not a JSON array");
  }
  if (elements.size() == 1 && elements[0].empty()) elements.clear();
  return elements;
}

absl::StatusOr<Json> ParseJsonObject(absl::string_view json) {
  if (!Walk(json, [](size_t, int) {})) return TooDeep();
  try {
    Json parsed = Json::parse(json.begin(), json.end());
    if (!parsed.is_object()) {
      return absl::InvalidArgumentError("not a JSON object");
    }
    return parsed;
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("not JSON: ", error.what()));
  }
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace braid::services::adapters
