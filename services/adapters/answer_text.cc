#include "services/adapters/answer_text.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace braid::services::adapters {
namespace {

// Characters in the first `bytes` of UTF-8 text.
size_t CharactersBefore(absl::string_view text, uint64_t bytes) {
  text = text.substr(0, std::min<uint64_t>(bytes, text.size()));
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// A resource's name as a path, RFC 3986.
std::string EncodePath(absl::string_view name) {
  std::string path;
  for (const char c : name) {
    if (absl::ascii_isalnum(c) ||
        absl::string_view("-._~/").find(c) != absl::string_view::npos) {
      path.push_back(c);
    } else {
      absl::StrAppendFormat(&path, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return path;
}

Json RangeOf(const v1::ByteRange& range) {
  return Json::array({range.begin(), range.end()});
}

}  // namespace

void AnswerText::Add(const v1::AnswerResponse& event) {
  switch (event.event_case()) {
    case v1::AnswerResponse::kDelta:
      text_ += event.delta();
      break;
    case v1::AnswerResponse::kCitation:
      last_ = event.citation();
      citations_.push_back({{"number", last_.number()},
                            {"document", last_.document()},
                            {"version", last_.version()},
                            {"title", last_.title()},
                            {"quote", last_.quote()},
                            {"text_range", RangeOf(last_.text_range())},
                            {"answer_range", RangeOf(last_.answer_range())}});
      break;
    case v1::AnswerResponse::kUsage:
      usage_ = event.usage();
      break;
    case v1::AnswerResponse::kFinal:
      final_ = event.final();
      break;
    default:
      break;
  }
}

std::string AnswerText::finish_reason() const {
  return absl::AsciiStrToLower(absl::StripPrefix(
      v1::FinishReason_Name(final_.finish_reason()), "FINISH_REASON_"));
}

std::string AnswerText::refusal() const {
  return absl::StrCat("The documents hold no answer to this (",
                      final_.abstain_reason(), ").");
}

Json AnswerText::LastAnnotation() const {
  return {
      {"type", "url_citation"},
      {"url_citation",
       {{"start_index", CharactersBefore(text_, last_.answer_range().begin())},
        {"end_index", CharactersBefore(text_, last_.answer_range().end())},
        {"title", last_.title()},
        {"url", absl::StrCat("/v1/", EncodePath(last_.document()),
                             "?version=", last_.version())}}}};
}

}  // namespace braid::services::adapters
