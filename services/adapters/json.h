// JSON that comes from outside: bounded before anything parses it.
#ifndef BRAID_SERVICES_ADAPTERS_JSON_H_
#define BRAID_SERVICES_ADAPTERS_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace braid::services::adapters {

using Json = nlohmann::json;

inline constexpr char kJsonType[] = "application/json";

// protobuf's JSON mapping: lowerCamelCase names, numbers of 64 bits as texts,
// fields that are not set left out. What is broken is an empty object.
std::string ToJson(const google::protobuf::Message& message);

// INVALID_ARGUMENT saying what is wrong and where; unknown fields are errors.
absl::Status FromJson(absl::string_view json,
                      google::protobuf::Message* message);

// The elements of a JSON array, or the text itself if it is none. Only what
// separates them is looked at. INVALID_ARGUMENT for an array that is not
// closed, or what nests deeper than 64.
absl::StatusOr<std::vector<absl::string_view>> SplitJsonArray(
    absl::string_view json);

// A JSON object. INVALID_ARGUMENT for what is none, nests deeper than 64, or
// holds a string that is not UTF-8.
absl::StatusOr<Json> ParseJsonObject(absl::string_view json);

// As text; bytes that are not UTF-8 are replaced.
std::string Dump(const Json& json);

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_JSON_H_
