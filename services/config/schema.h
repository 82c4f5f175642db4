// The settings as a table: name, place, range. The file and the environment are
// both read through it, so a setting exists once.
#ifndef BRAID_SERVICES_CONFIG_SCHEMA_H_
#define BRAID_SERVICES_CONFIG_SCHEMA_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "services/config/config.h"

namespace braid::services {

// The field a setting lands in.
using SettingTarget =
    std::variant<std::string Config::*, int Config::*, double Config::*,
                 absl::Duration Config::*, int Limits::*, uint32_t Limits::*,
                 size_t Limits::*, double Limits::*, absl::Duration Limits::*>;

struct Setting {
  absl::string_view table;  // empty for the top level
  absl::string_view key;
  SettingTarget target;
  double min = 0;  // of numbers; of durations, in seconds
  double max = 0;
  std::vector<absl::string_view> choices;  // of strings; empty for any

  // `limits.max_top_k`.
  std::string Name() const;
  // `BRAID_LIMITS_MAX_TOP_K`.
  std::string EnvironmentName() const;
};

// All settings, in the order of the structs.
absl::Span<const Setting> Settings();

// A value as it was written, before its type is known to fit. Durations are
// written as strings, such as `200ms`.
using SettingValue = std::variant<std::string, int64_t, double, bool>;

// Checks type and range and stores the value. INVALID_ARGUMENT that says what
// was expected; it does not name the setting (the caller knows the place too).
absl::Status Assign(const Setting& setting, const SettingValue& value,
                    Config* config);

// As Assign, for a value that is text whatever its type (the environment).
absl::Status AssignText(const Setting& setting, const std::string& text,
                        Config* config);

}  // namespace braid::services

#endif  // BRAID_SERVICES_CONFIG_SCHEMA_H_
