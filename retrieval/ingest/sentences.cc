#include "retrieval/ingest/sentences.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace braid::retrieval {
namespace {

// Length of an ideographic full stop, question or exclamation mark at `text`.
size_t WideStop(absl::string_view text) {
  for (absl::string_view stop : {"\u3002", "\uFF01", "\uFF1F"}) {
    if (absl::StartsWith(text, stop)) return stop.size();
  }
  return 0;
}

// Length of a closing quote or bracket at `text`.
size_t Closer(absl::string_view text) {
  for (absl::string_view closer :
       {"\"", "'", ")", "]", "\u201D", "\u2019", "\u300D", "\u300F", "\uFF09",
        "*", "_", "`"}) {
    if (absl::StartsWith(text, closer)) return closer.size();
  }
  return 0;
}

// "J." and "e.g.": a single letter before the full stop.
bool IsInitial(absl::string_view text, size_t begin, size_t stop) {
  return text[stop] == '.' && stop > begin &&
         absl::ascii_isalpha(text[stop - 1]) &&
         (stop - 1 == begin || !absl::ascii_isalnum(text[stop - 2]));
}

}  // namespace

uint64_t FirstSentenceEnd(absl::string_view text, ByteRange range) {
  const absl::string_view all = text.substr(0, range.end);
  uint64_t i = range.begin;
  while (i < range.end) {
    const char c = all[i];
    const size_t wide = WideStop(all.substr(i));
    const bool stop = wide > 0 || c == '.' || c == '!' || c == '?';
    uint64_t next = i + (wide > 0 ? wide : 1);
    if (!stop && c != '\n') {
      i = next;
      continue;
    }
    while (stop && next < range.end) {
      const size_t closer = Closer(all.substr(next));
      const size_t more = closer > 0 ? closer : WideStop(all.substr(next));
      if (more == 0 && all[next] != '.' && all[next] != '!' &&
          all[next] != '?') {
        break;
      }
      next += more > 0 ? more : 1;
    }
    const uint64_t blanks = next;
    bool empty_line = false;
    while (next < range.end && absl::ascii_isspace(all[next])) {
      empty_line = empty_line || (all[next] == '\n' && c == '\n');
      ++next;
    }
    if (next >= range.end) break;
    const bool before_blank = stop && next > blanks &&
                              !absl::ascii_islower(all[next]) &&
                              !IsInitial(all, range.begin, i);
    if (wide > 0 || before_blank || empty_line) return next;
    i = next;
  }
  return range.end;
}

uint64_t FirstLineEnd(absl::string_view text, ByteRange range) {
  const size_t at = text.substr(0, range.end).find('\n', range.begin);
  return at == absl::string_view::npos ? range.end : at + 1;
}

}  // namespace braid::retrieval
