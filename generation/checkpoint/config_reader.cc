#include "generation/checkpoint/config_reader.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace braid::model {
namespace {

// A JSON number, or {"__float__": "Infinity"} as newer writers spell it.
std::optional<double> AnyFloat(const nlohmann::json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_object() || !value.contains("__float__")) return std::nullopt;
  const nlohmann::json& name = value["__float__"];
  if (name == "Infinity") return std::numeric_limits<double>::infinity();
  if (name == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

// Nothing if it is not a whole number in [min, max].
std::optional<int64_t> WholeNumber(const nlohmann::json& value, int64_t min,
                                   int64_t max) {
  const bool fits =
      value.is_number_unsigned()
          ? value.get<uint64_t>() <=
                static_cast<uint64_t>(std::numeric_limits<int64_t>::max())
          : value.is_number_integer();
  if (!fits) return std::nullopt;
  const int64_t number = value.get<int64_t>();
  if (number < min || number > max) return std::nullopt;
  return number;
}

}  // namespace

const nlohmann::json* ConfigReader::Find(absl::string_view field) const {
  const auto found = json_.find(std::string(field));
  if (found == json_.end() || found->is_null()) return nullptr;
  return &*found;
}

bool ConfigReader::IsNull(absl::string_view field) const {
  const auto found = json_.find(std::string(field));
  return found != json_.end() && found->is_null();
}

void ConfigReader::Fail(absl::string_view field, absl::string_view what) {
  if (!status_.ok()) return;
  status_ =
      absl::InvalidArgumentError(absl::StrCat(path_, ": ", field, ": ", what));
}

void ConfigReader::Unsupported(absl::string_view field,
                               absl::string_view what) {
  if (!status_.ok()) return;
  status_ =
      absl::UnimplementedError(absl::StrCat(path_, ": ", field, ": ", what));
}

std::optional<ConfigReader> ConfigReader::Part(absl::string_view field) {
  const nlohmann::json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) {
    Fail(field, "must be an object");
    return std::nullopt;
  }
  return ConfigReader(*value, absl::StrCat(path_, ": ", field));
}

void ConfigReader::Adopt(const absl::Status& part) { status_.Update(part); }

absl::string_view ConfigReader::Spelling(
    std::initializer_list<absl::string_view> fields) const {
  for (absl::string_view field : fields) {
    if (Find(field) != nullptr) return field;
  }
  return *fields.begin();
}

int64_t ConfigReader::Int(absl::string_view field, int64_t min, int64_t max,
                          std::optional<int64_t> absent) {
  const nlohmann::json* value = Find(field);
  if (value == nullptr) {
    if (absent.has_value()) return *absent;
    Fail(field, "is missing");
    return min;
  }
  const std::optional<int64_t> number = WholeNumber(*value, min, max);
  if (!number.has_value()) {
    Fail(field, absl::StrCat("must be a whole number from ", min, " to ", max));
    return min;
  }
  return *number;
}

std::vector<int64_t> ConfigReader::Ints(absl::string_view field, int64_t min,
                                        int64_t max) {
  const nlohmann::json* value = Find(field);
  std::vector<int64_t> numbers;
  if (value == nullptr) return numbers;
  if (!value->is_array()) {
    Fail(field, "must be a list");
    return numbers;
  }
  for (const nlohmann::json& item : *value) {
    const std::optional<int64_t> number = WholeNumber(item, min, max);
    if (!number.has_value()) {
      Fail(field, absl::StrCat("must be a list of whole numbers from ", min,
                               " to ", max));
      return {};
    }
    numbers.push_back(*number);
  }
  return numbers;
}

std::vector<double> ConfigReader::Numbers(absl::string_view field) {
  const nlohmann::json* value = Find(field);
  std::vector<double> numbers;
  if (value == nullptr) return numbers;
  if (!value->is_array()) {
    Fail(field, "must be a list");
    return numbers;
  }
  for (const nlohmann::json& item : *value) {
    if (!item.is_number() || !std::isfinite(item.get<double>())) {
      Fail(field, "must be a list of finite numbers");
      return {};
    }
    numbers.push_back(item.get<double>());
  }
  return numbers;
}

double ConfigReader::Number(absl::string_view field,
                            std::optional<double> absent) {
  const nlohmann::json* value = Find(field);
  if (value == nullptr) {
    if (absent.has_value()) return *absent;
    Fail(field, "is missing");
    return 1;
  }
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    Fail(field, "must be a finite number");
    return 1;
  }
  return value->get<double>();
}

bool ConfigReader::Bool(absl::string_view field, bool absent) {
  const nlohmann::json* value = Find(field);
  if (value == nullptr) return absent;
  if (!value->is_boolean()) {
    Fail(field, "must be true or false");
    return absent;
  }
  return value->get<bool>();
}

std::string ConfigReader::String(absl::string_view field,
                                 absl::string_view absent) {
  const nlohmann::json* value = Find(field);
  if (value == nullptr) return std::string(absent);
  if (!value->is_string()) {
    Fail(field, "must be a text");
    return std::string(absent);
  }
  return value->get<std::string>();
}

std::vector<std::string> ConfigReader::Strings(absl::string_view field) {
  const nlohmann::json* value = Find(field);
  std::vector<std::string> strings;
  if (value == nullptr || !value->is_array()) {
    Fail(field, value == nullptr ? "is missing" : "must be a list");
    return strings;
  }
  for (const nlohmann::json& item : *value) {
    if (!item.is_string()) {
      Fail(field, "must be a list of texts");
      return {};
    }
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

std::pair<double, double> ConfigReader::Limits(
    absl::string_view field, std::pair<double, double> absent) {
  const nlohmann::json* value = Find(field);
  if (value == nullptr) return absent;
  if (value->is_array() && value->size() == 2) {
    const std::optional<double> low = AnyFloat((*value)[0]);
    const std::optional<double> high = AnyFloat((*value)[1]);
    if (low.has_value() && high.has_value() && *low <= *high) {
      return {*low, *high};
    }
  }
  Fail(field, "must be two numbers, the smaller one first");
  return absent;
}

std::vector<int32_t> ConfigReader::Ids(absl::string_view field) {
  const nlohmann::json* value = Find(field);
  std::vector<int32_t> ids;
  if (value == nullptr) return ids;
  const nlohmann::json list =
      value->is_array() ? *value : nlohmann::json::array({*value});
  for (const nlohmann::json& id : list) {
    if (!id.is_number_unsigned() ||
        id.get<uint64_t>() > std::numeric_limits<int32_t>::max()) {
      Fail(field, "must be a token id or a list of token ids");
      return {};
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

}  // namespace braid::model
