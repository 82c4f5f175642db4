// Typed access to the fields of a `config.json`.
#ifndef BRAID_GENERATION_CHECKPOINT_CONFIG_READER_H_
#define BRAID_GENERATION_CHECKPOINT_CONFIG_READER_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace braid::model {

// Collects the first error instead of returning one from every call, so that a
// family file reads as the list of its fields: read them all, then look at
// status(). After an error the values are harmless defaults. null counts as
// absent, as it does in Python's configs.
class ConfigReader {
 public:
  // `json` must be an object and outlive the reader; `path` is for messages.
  ConfigReader(const nlohmann::json& json, std::string path)
      : json_(json), path_(std::move(path)) {}

  // Whole number in [min, max]; an error if absent and without a default.
  int64_t Int(absl::string_view field, int64_t min, int64_t max,
              std::optional<int64_t> absent = std::nullopt);
  // Finite number.
  double Number(absl::string_view field,
                std::optional<double> absent = std::nullopt);
  bool Bool(absl::string_view field, bool absent);
  std::string String(absl::string_view field, absl::string_view absent);
  std::vector<std::string> Strings(absl::string_view field);
  // Lists of whole numbers in [min, max], and of finite numbers; empty if
  // absent.
  std::vector<int64_t> Ints(absl::string_view field, int64_t min, int64_t max);
  std::vector<double> Numbers(absl::string_view field);
  // A pair of numbers that may be infinite.
  std::pair<double, double> Limits(absl::string_view field,
                                   std::pair<double, double> absent);
  // One id or a list of them; empty if absent.
  std::vector<int32_t> Ids(absl::string_view field);

  // A reader of the object in `field`; nullopt, without an error, if absent.
  // Hand its status() to Adopt() when done.
  std::optional<ConfigReader> Part(absl::string_view field);
  void Adopt(const absl::Status& part);

  // Null if absent.
  const nlohmann::json* Find(absl::string_view field) const;
  // There, but null: for the few fields where that is not the same as absent.
  bool IsNull(absl::string_view field) const;
  // For fields of several spellings: the first that is there, else the first.
  absl::string_view Spelling(
      std::initializer_list<absl::string_view> fields) const;

  // Records an error of our own: INVALID_ARGUMENT "path: field: what".
  void Fail(absl::string_view field, absl::string_view what);
  // The same as UNIMPLEMENTED, for what the format allows and we lack.
  void Unsupported(absl::string_view field, absl::string_view what);
  const absl::Status& status() const { return status_; }
  const std::string& path() const { return path_; }

 private:
  const nlohmann::json& json_;
  std::string path_;
  absl::Status status_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_CONFIG_READER_H_
