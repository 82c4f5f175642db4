#include "tests/telemetry/exposition.h"

#include <limits>
#include <optional>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace braid::services::telemetry {
namespace {

class Reader {
 public:
  absl::Status Read(const std::string& line) {
    static const std::regex help(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) .+)");
    static const std::regex type(
        R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram))");
    static const std::regex sample(
        R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\[\\n"])*",?)*\})? ([^ ]+))re");
    std::smatch match;
    if (std::regex_match(line, match, help)) {
      helped_ = match[1];
      return absl::OkStatus();
    }
    if (std::regex_match(line, match, type)) {
      family_ = match[1];
      type_ = match[2];
      if (family_ != helped_) return Bad("TYPE without HELP");
      if (!out.types.emplace(family_, type_).second) return Bad("TYPE twice");
      return absl::OkStatus();
    }
    if (!std::regex_match(line, match, sample)) return Bad("not the format");
    double value;
    if (!absl::SimpleAtod(std::string(match[3]), &value)) {
      return Bad("no number");
    }
    if (!out.samples
             .emplace(absl::StrCat(match[1].str(), match[2].str()), value)
             .second) {
      return Bad("the same sample twice");
    }
    return Check(match[1], match[2], value);
  }

  Exposition out;

 private:
  static absl::Status Bad(const char* why) {
    return absl::InvalidArgumentError(why);
  }

  absl::Status Check(const std::string& name, const std::string& labels,
                     double value) {
    if (type_ != "histogram") {
      if (name != family_) return Bad("a sample of another family");
      if (type_ == "counter" && !(value >= 0)) return Bad("counter below 0");
      return absl::OkStatus();
    }
    if (name == family_ + "_sum") return absl::OkStatus();
    if (name == family_ + "_count") {
      count_ = value;
      return absl::OkStatus();
    }
    if (name != family_ + "_bucket") return Bad("a sample of another family");
    const size_t at = labels.find("le=\"");
    if (at == std::string::npos) return Bad("a bucket without le");
    const std::string bound =
        labels.substr(at + 4, labels.find('"', at + 4) - at - 4);
    double above;
    if (!absl::SimpleAtod(bound, &above)) return Bad("le is no number");
    if (above <= above_ && value < in_bucket_) return Bad("le falls");
    if (above > above_ && value < in_bucket_) return Bad("buckets fall");
    const bool last = bound == "+Inf";
    if (last && count_ != value) return Bad("+Inf is not the count");
    above_ = last ? -1 : above;
    in_bucket_ = last ? 0 : value;
    return absl::OkStatus();
  }

  std::string helped_;
  std::string family_;
  std::string type_;
  double above_ = -1;
  double in_bucket_ = 0;
  std::optional<double> count_;
};

}  // namespace

absl::StatusOr<Exposition> ParseExposition(const std::string& text) {
  if (!absl::EndsWith(text, "\n")) {
    return absl::InvalidArgumentError("the last line does not end");
  }
  Reader reader;
  for (const absl::string_view line :
       absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    absl::Status status = reader.Read(std::string(line));
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(status.message(), ": ", line));
    }
  }
  return std::move(reader.out);
}

}  // namespace braid::services::telemetry
