#include "generation/text/detokenizer.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace braid::model {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
// A character has at most four bytes, and a token at least one of them: text
// that still ends in U+FFFD after so many tokens really is malformed.
constexpr size_t kMaxPending = 4;

}  // namespace

absl::StatusOr<std::string> Detokenizer::Add(int32_t id) {
  window_.push_back(id);
  return Advance(/*finish=*/false);
}

absl::StatusOr<std::string> Detokenizer::Finish() {
  return Advance(/*finish=*/true);
}

absl::StatusOr<std::string> Detokenizer::Advance(bool finish) {
  const absl::Span<const int32_t> window(window_);
  absl::StatusOr<std::string> before =
      tokenizer_->Decode(window.subspan(0, shown_), true);
  if (!before.ok()) return before.status();
  absl::StatusOr<std::string> all = tokenizer_->Decode(window, true);
  if (!all.ok()) return all.status();
  const bool unfinished = absl::EndsWith(*all, kReplacement) &&
                          window_.size() - shown_ < kMaxPending;
  if (all->size() <= before->size() || (unfinished && !finish)) {
    return std::string();
  }
  std::string text = all->substr(before->size());
  window_.erase(window_.begin(), window_.begin() + shown_);
  shown_ = window_.size();
  return text;
}

}  // namespace braid::model
