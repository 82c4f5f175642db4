#include "generation/checkpoint/safetensors_header.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace braid::model {
namespace {

constexpr size_t kMaxRank = 16;
constexpr absl::string_view kMetadata = "__metadata__";

// Receives the parser's events. Every method returns false to stop.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<HeaderEntry> entries;
  std::string problem;

  bool null() override { return Fail("null is not expected"); }
  bool boolean(bool) override { return Fail("a boolean is not expected"); }
  bool number_float(double, const std::string& text) override {
    return Fail(absl::StrCat("the number ", text, " is not a whole number"));
  }
  bool number_integer(int64_t value) override {
    return Fail(absl::StrCat("the number ", value, " is negative"));
  }
  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::kArray) return Fail("a number is not expected");
    if (field_ == "shape") {
      if (entries.back().shape.size() == kMaxRank) {
        return Fail(absl::StrCat("more than ", kMaxRank, " dimensions"));
      }
      entries.back().shape.push_back(value);
      return true;
    }
    if (offsets_ == 2) return Fail("data_offsets must hold two numbers");
    (offsets_ == 0 ? entries.back().begin : entries.back().end) = value;
    ++offsets_;
    return true;
  }
  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) return true;
    if (place_ != Place::kTensor || field_ != "dtype") {
      return Fail("a string is not expected");
    }
    entries.back().dtype = std::move(value);
    return true;
  }
  bool binary(nlohmann::json::binary_t&) override {
    return Fail("binary data is not expected");
  }
  bool start_object(std::size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kRoot;
    } else if (place_ == Place::kRoot && field_ == kMetadata) {
      if (metadata_seen_) return Fail("__metadata__ is repeated");
      metadata_seen_ = true;
      place_ = Place::kMetadata;
    } else if (place_ == Place::kRoot) {
      place_ = Place::kTensor;
      entries.emplace_back();
      entries.back().name = field_;
      seen_dtype_ = seen_shape_ = seen_offsets_ = false;
    } else {
      return Fail("an object is not expected");
    }
    return true;
  }
  bool key(std::string& value) override {
    field_ = std::move(value);
    if (place_ != Place::kTensor) return true;
    bool* seen = field_ == "dtype"          ? &seen_dtype_
                 : field_ == "shape"        ? &seen_shape_
                 : field_ == "data_offsets" ? &seen_offsets_
                                            : nullptr;
    if (seen == nullptr) {
      return Fail(absl::StrCat("unknown field \"", field_, "\""));
    }
    if (*seen) return Fail(absl::StrCat(field_, " is repeated"));
    *seen = true;
    return true;
  }
  bool end_object() override {
    if (place_ == Place::kTensor &&
        !(seen_dtype_ && seen_shape_ && seen_offsets_)) {
      return Fail("needs dtype, shape and data_offsets");
    }
    place_ = place_ == Place::kRoot ? Place::kDone : Place::kRoot;
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor || field_ == "dtype") {
      return Fail("an array is not expected");
    }
    place_ = Place::kArray;
    offsets_ = 0;
    return true;
  }
  bool end_array() override {
    if (field_ == "data_offsets" && offsets_ != 2) {
      return Fail("data_offsets must hold two numbers");
    }
    place_ = Place::kTensor;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    return Fail(absl::StrCat("malformed JSON at byte ", position));
  }

  bool done() const { return place_ == Place::kDone; }

 private:
  enum class Place { kStart, kRoot, kMetadata, kTensor, kArray, kDone };

  bool Fail(std::string what) {
    if (problem.empty()) {
      const bool in_tensor =
          (place_ == Place::kTensor || place_ == Place::kArray);
      problem = in_tensor ? absl::StrCat("tensor \"", entries.back().name,
                                         "\": ", what)
                          : std::move(what);
    }
    return false;
  }

  Place place_ = Place::kStart;
  std::string field_;
  bool metadata_seen_ = false;
  bool seen_dtype_ = false;
  bool seen_shape_ = false;
  bool seen_offsets_ = false;
  int offsets_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<HeaderEntry>> ParseSafetensorsHeader(
    absl::string_view header, const std::string& path) {
  HeaderReader reader;
  const bool parsed =
      nlohmann::json::sax_parse(header.begin(), header.end(), &reader);
  if (!parsed || !reader.done()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": header: ",
        reader.problem.empty() ? "not a JSON object" : reader.problem));
  }
  return std::move(reader.entries);
}

}  // namespace braid::model
