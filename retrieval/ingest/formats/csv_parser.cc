#include "retrieval/ingest/formats/csv_parser.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "retrieval/ingest/formats/document_builder.h"
#include "retrieval/ingest/formats/table_text.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

// The separator of the first line, quoted parts aside.
char FindSeparator(absl::string_view text) {
  constexpr absl::string_view kSeparators = ",;\t|";
  size_t counts[4] = {};
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (c == '\n' && !quoted) break;
    const size_t i = kSeparators.find(c);
    if (i != absl::string_view::npos && !quoted) ++counts[i];
  }
  return kSeparators[std::max_element(counts, counts + 4) - counts];
}

class CsvReader {
 public:
  CsvReader(absl::string_view text, size_t at)
      : text_(text), at_(at), separator_(FindSeparator(text.substr(at))) {}

  // The next record and where it is; false at the end.
  bool Next(TableRow* row, ByteRange* source) {
    row->clear();
    while (at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
    if (at_ >= text_.size()) return false;
    source->begin = at_;
    do {
      row->push_back(Field());
    } while (at_ < text_.size() && text_[at_] == separator_ && ++at_ > 0);
    source->end = at_;
    return true;
  }

 private:
  // Reads up to a separator, the end of the line or of the text.
  std::string Field() {
    std::string field;
    if (at_ < text_.size() && text_[at_] == '"' && !unclosed_) {
      if (!QuotedField(&field)) return field;
    }
    while (at_ < text_.size() && text_[at_] != separator_ &&
           text_[at_] != '\n' && text_[at_] != '\r') {
      field.push_back(text_[at_++]);
    }
    return field;
  }

  // The part between quotes; false where the end of text cuts it off, which
  // takes the rest of the line only.
  bool QuotedField(std::string* field) {
    const size_t begin = at_++;
    while (at_ < text_.size()) {
      const size_t quote = text_.find('"', at_);
      if (quote == absl::string_view::npos) break;
      field->append(text_.data() + at_, quote - at_);
      at_ = quote + 1;
      if (at_ >= text_.size() || text_[at_] != '"') return true;
      field->push_back('"');
      ++at_;
    }
    at_ = std::min(text_.find_first_of("\r\n", begin), text_.size());
    *field = std::string(text_.substr(begin + 1, at_ - begin - 1));
    // No further field may run to the end in search of a quote.
    unclosed_ = true;
    return false;
  }

  const absl::string_view text_;
  size_t at_;
  const char separator_;
  bool unclosed_ = false;  // a quote was: quotes are characters from then on
};

}  // namespace

absl::StatusOr<ParsedDocument> ParseCsv(absl::string_view name,
                                        absl::string_view source) {
  DocumentBuilder builder(name, source);
  CsvReader reader(source,
                   absl::StartsWith(source, kUtf8Bom) ? kUtf8Bom.size() : 0);
  TableRow first;
  ByteRange first_range;
  if (!reader.Next(&first, &first_range)) return builder.Finish();
  builder.Add(BlockKind::kTable, TableLine({}, first), first_range);
  TableRow header;
  TableRow row;
  ByteRange range;
  for (bool second = true; reader.Next(&row, &range); second = false) {
    if (second && HasHeaderRow({first, row})) header = CleanRow(first);
    builder.Add(BlockKind::kTable, TableLine(header, row), range);
    if (!builder.status().ok()) break;
  }
  return builder.Finish();
}

}  // namespace braid::retrieval
