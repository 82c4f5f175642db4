// Fields of a JSON object, with their types checked.
#ifndef BRAID_SERVICES_ADAPTERS_JSON_FIELDS_H_
#define BRAID_SERVICES_ADAPTERS_JSON_FIELDS_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "braid/v1/generation_service.pb.h"
#include "services/adapters/json.h"

namespace braid::services::adapters {

// Collects the first error, `FIELD: must be ...`. A field that is not there, or
// is null, leaves the value as it is.
class JsonFields {
 public:
  explicit JsonFields(const Json& object) : object_(object) {}

  void Take(const char* name, std::string* value) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_string()) return Fail(name, "a string");
    *value = field->get<std::string>();
  }
  void Take(const char* name, bool* value) {
    std::optional<bool> taken;
    Take(name, &taken);
    if (taken.has_value()) *value = *taken;
  }
  void Take(const char* name, std::optional<bool>* value) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_boolean()) return Fail(name, "true or false");
    *value = field->get<bool>();
  }
  void Take(const char* name, double* value) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_number()) return Fail(name, "a number");
    *value = field->get<double>();
  }
  void Take(const char* name, int32_t* value) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_number_integer() ||
        *field < std::numeric_limits<int32_t>::min() ||
        *field > std::numeric_limits<int32_t>::max()) {
      return Fail(name, "an integer");
    }
    *value = field->get<int32_t>();
  }
  void Take(const char* name, uint64_t* value) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_number_unsigned()) return Fail(name, "an integer from 0");
    *value = field->get<uint64_t>();
  }

  // "extractive" or "generator".
  void Take(const char* name, v1::Answerer* value) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (*field == "extractive") {
      *value = v1::ANSWERER_EXTRACTIVE;
    } else if (*field == "generator") {
      *value = v1::ANSWERER_GENERATOR;
    } else {
      Fail(name, "extractive or generator");
    }
  }

  // Null if it is not there, or null.
  const Json* Find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  void Fail(const char* name, absl::string_view must_be) {
    if (!status_.ok()) return;
    status_ =
        absl::InvalidArgumentError(absl::StrCat(name, ": must be ", must_be));
  }
  const absl::Status& status() const { return status_; }

 private:
  const Json& object_;
  absl::Status status_;
};

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_JSON_FIELDS_H_
