// What reaches a terminal: safe text, tables, progress.
#ifndef BRAID_SERVICES_CLI_TERMINAL_H_
#define BRAID_SERVICES_CLI_TERMINAL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace braid::services::cli {

// `text` as valid UTF-8 with every control character replaced by a blank (a
// document must not be able to move the cursor or change colours). Line feeds
// and tabs stay with `keep_newlines`.
std::string PrintableText(absl::string_view text, bool keep_newlines);

// One line of at most `max_characters` characters: white space is collapsed, a
// cut is marked with an ellipsis.
std::string Snippet(absl::string_view text, size_t max_characters);

// Lines up columns; the last column is not padded. Cells are printed as they
// are: make them printable first.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

// Progress on stderr: a bar that is redrawn on a terminal, otherwise a plain
// line every few seconds. Not thread-safe.
class Progress {
 public:
  // `total` 0 means unknown. `unit` is plural: "documents".
  Progress(std::string title, std::string unit, uint64_t total);
  ~Progress() { Finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void set_total(uint64_t total) { total_ = total; }
  void Update(uint64_t done);
  // Takes the bar away until the next update, so that a line can be printed.
  void Clear();
  // Removes the bar. Nothing is drawn afterwards.
  void Finish();

 private:
  void Draw(absl::Time now);

  const std::string title_;
  const std::string unit_;
  uint64_t total_;
  uint64_t done_ = 0;
  const bool terminal_;
  const absl::Time start_;
  absl::Time next_;
  bool drawn_ = false;
  bool finished_ = false;
};

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_TERMINAL_H_
