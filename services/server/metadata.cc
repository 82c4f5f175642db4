#include "services/server/metadata.h"

#include <cmath>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "services/text.h"

namespace braid::services {
namespace {

using google::protobuf::Value;

// The error's message is the description of the violation.
absl::StatusOr<retrieval::MetadataValue> Convert(const Value& value,
                                                 const Limits& limits) {
  const auto refuse = [](absl::string_view why) {
    return absl::InvalidArgumentError(why);
  };
  switch (value.kind_case()) {
    case Value::kBoolValue:
      return value.bool_value();
    case Value::kNumberValue:
      if (!std::isfinite(value.number_value())) {
        return refuse("must be a finite number");
      }
      return value.number_value();
    case Value::kStringValue:
      return value.string_value();
    case Value::kListValue: {
      const auto& list = value.list_value().values();
      if (static_cast<size_t>(list.size()) > limits.max_metadata_list_items) {
        return refuse(absl::StrCat("has more than ",
                                   limits.max_metadata_list_items, " items"));
      }
      std::vector<std::string> strings;
      strings.reserve(list.size());
      for (const Value& item : list) {
        if (item.kind_case() != Value::kStringValue) {
          return refuse("must be a list of strings");
        }
        strings.push_back(item.string_value());
      }
      return strings;
    }
    case Value::kStructValue:
      return refuse("must not be a nested structure");
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      break;
  }
  return refuse("must not be null");
}

}  // namespace

retrieval::Metadata ToMetadata(const google::protobuf::Struct& proto,
                               const std::string& field, const Limits& limits,
                               std::vector<FieldViolation>* violations) {
  retrieval::Metadata metadata;
  if (static_cast<size_t>(proto.fields_size()) > limits.max_metadata_fields) {
    violations->push_back(
        {field, absl::StrCat("has more than ", limits.max_metadata_fields,
                             " fields")});
    return metadata;
  }
  for (const auto& [key, value] : proto.fields()) {
    const std::string path = absl::StrCat(field, ".", key);
    if (key.empty() || key.size() > limits.max_metadata_key_bytes ||
        HasControlCharacters(key)) {
      violations->push_back(
          {path, absl::StrCat("a name is 1 to ", limits.max_metadata_key_bytes,
                              " bytes without control characters")});
      continue;
    }
    absl::StatusOr<retrieval::MetadataValue> converted = Convert(value, limits);
    if (!converted.ok()) {
      violations->push_back({path, std::string(converted.status().message())});
      continue;
    }
    metadata.emplace(key, *std::move(converted));
  }
  return metadata;
}

void ToProto(const retrieval::Metadata& metadata,
             google::protobuf::Struct* proto) {
  for (const auto& [key, value] : metadata) {
    Value& out = (*proto->mutable_fields())[key];
    if (const auto* boolean = std::get_if<bool>(&value)) {
      out.set_bool_value(*boolean);
    } else if (const auto* number = std::get_if<double>(&value)) {
      out.set_number_value(*number);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      out.set_string_value(*text);
    } else {
      auto* list = out.mutable_list_value();
      for (const auto& item : std::get<std::vector<std::string>>(value)) {
        list->add_values()->set_string_value(item);
      }
    }
  }
}

}  // namespace braid::services
