#include "services/cli/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "services/text.h"

namespace braid::services::cli {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr absl::Duration kPlainLine = absl::Seconds(5);
constexpr int kBarCells = 30;

// C0 and DEL, and C1 (U+0080 to U+009F), which terminals obey too.
bool IsControl(absl::string_view character) {
  const unsigned char lead = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return lead < 0x20 || lead == 0x7F;
  return character.size() == 2 && lead == 0xC2 &&
         static_cast<unsigned char>(character[1]) < 0xA0;
}

size_t CountCharacters(absl::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string PrintableText(absl::string_view text, bool keep_newlines) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const size_t length = Utf8CharacterLength(text);
    if (length == 0) {
      result.append("\xEF\xBF\xBD");  // U+FFFD
      text.remove_prefix(1);
      continue;
    }
    const absl::string_view character = text.substr(0, length);
    const bool kept = keep_newlines && (character == "\n" || character == "\t");
    if (IsControl(character) && !kept) {
      result.push_back(' ');
    } else {
      result.append(character.data(), character.size());
    }
    text.remove_prefix(length);
  }
  return result;
}

std::string Snippet(absl::string_view text, size_t max_characters) {
  std::string result;
  size_t characters = 0;
  bool blank = false;
  const std::string printable = PrintableText(text, /*keep_newlines=*/false);
  absl::string_view rest = printable;
  while (!rest.empty()) {
    const absl::string_view character =
        rest.substr(0, Utf8CharacterLength(rest));
    rest.remove_prefix(character.size());
    if (character == " ") {
      blank = !result.empty();
      continue;
    }
    if (characters + (blank ? 2 : 1) > max_characters) {
      return absl::StrCat(result, "…");
    }
    if (blank) {
      result.push_back(' ');
      ++characters;
      blank = false;
    }
    result.append(character.data(), character.size());
    ++characters;
  }
  return result;
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], CountCharacters(row[i]));
    }
  }
  std::string table;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&table, row[i]);
      if (i + 1 < row.size()) {
        table.append(widths[i] - CountCharacters(row[i]) + 2, ' ');
      }
    }
    table.push_back('\n');
  }
  return table;
}

Progress::Progress(std::string title, std::string unit, uint64_t total)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(absl::Now()),
      next_(start_ + (terminal_ ? kRedraw : kPlainLine)) {}

void Progress::Update(uint64_t done) {
  done_ = done;
  const absl::Time now = absl::Now();
  if (finished_ || now < next_) return;
  next_ = now + (terminal_ ? kRedraw : kPlainLine);
  Draw(now);
}

void Progress::Draw(absl::Time now) {
  const double seconds = absl::ToDoubleSeconds(now - start_);
  std::string line = absl::StrFormat("%s: ", title_);
  if (total_ > 0) {
    const double fraction =
        std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    if (terminal_) {
      const int filled = static_cast<int>(fraction * kBarCells);
      absl::StrAppend(&line, "[", std::string(filled, '#'),
                      std::string(kBarCells - filled, ' '), "] ");
    }
    absl::StrAppendFormat(&line, "%3.0f%% %d of %d %s", fraction * 100, done_,
                          total_, unit_);
  } else {
    absl::StrAppendFormat(&line, "%d %s", done_, unit_);
  }
  if (seconds > 0) {
    absl::StrAppendFormat(&line, ", %.1f/s",
                          static_cast<double>(done_) / seconds);
  }
  // ESC [ K clears what a longer line before left behind.
  std::fprintf(stderr, terminal_ ? "\r%s\x1b[K" : "%s\n", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::Clear() {
  if (!terminal_ || !drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

void Progress::Finish() {
  if (finished_) return;
  Clear();
  finished_ = true;
}

}  // namespace braid::services::cli
