#include "retrieval/ingest/formats/xlsx_parser.h"

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "retrieval/ingest/formats/document_builder.h"
#include "retrieval/ingest/formats/ooxml.h"
#include "retrieval/ingest/formats/table_text.h"
#include "retrieval/ingest/formats/xml_reader.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxColumns = 16384;  // of the format

// Texts that cells refer to by number.
class SharedStringsHandler : public XmlHandler {
 public:
  void Start(const XmlElement& element) override {
    if (element.name() == "si") strings.emplace_back();
    if (element.name() == "rPh") ++phonetic_;
    in_text_ = element.name() == "t" && phonetic_ == 0;
  }
  void End(absl::string_view name) override {
    in_text_ = false;
    if (name == "rPh") --phonetic_;
  }
  void Text(absl::string_view text) override {
    if (in_text_ && !strings.empty()) absl::StrAppend(&strings.back(), text);
  }

  std::vector<std::string> strings;

 private:
  int phonetic_ = 0;
  bool in_text_ = false;
};

// Which cell formats are dates.
class StylesHandler : public XmlHandler {
 public:
  void Start(const XmlElement& element) override {
    int id = 0;
    if (element.name() == "numFmt" &&
        absl::SimpleAtoi(element.attribute("numFmtId"), &id)) {
      custom_[id] = IsDateFormat(element.attribute("formatCode"));
    } else if (element.name() == "cellXfs") {
      in_cells_ = true;
    } else if (element.name() == "xf" && in_cells_) {
      is_date.push_back(absl::SimpleAtoi(element.attribute("numFmtId"), &id) &&
                        IsDate(id));
    }
  }
  void End(absl::string_view name) override {
    if (name == "cellXfs") in_cells_ = false;
  }
  void Text(absl::string_view) override {}

  std::vector<bool> is_date;  // by style number

 private:
  bool IsDate(int id) const {
    const auto custom = custom_.find(id);
    if (custom != custom_.end()) return custom->second;
    return id >= 14 && id <= 22;
  }
  // Has years or days outside of quotes, brackets and escapes.
  static bool IsDateFormat(absl::string_view code) {
    char close = '\0';
    for (size_t i = 0; i < code.size(); ++i) {
      const char c = absl::ascii_tolower(code[i]);
      if (close != '\0') {
        if (c == close) close = '\0';
      } else if (c == '"') {
        close = '"';
      } else if (c == '[') {
        close = ']';
      } else if (c == '\\') {
        ++i;
      } else if (c == 'y' || c == 'd') {
        return true;
      }
    }
    return false;
  }

  std::map<int, bool> custom_;
  bool in_cells_ = false;
};

class WorkbookHandler : public XmlHandler {
 public:
  void Start(const XmlElement& element) override {
    if (element.name() != "sheet") return;
    sheets.emplace_back(element.attribute("name"),
                        element.attribute("relationships:id"));
  }
  void End(absl::string_view) override {}
  void Text(absl::string_view) override {}

  std::vector<std::pair<std::string, std::string>> sheets;  // name, relation
};

// Days since the beginning of 1900 as Excel counts them (with a day that never
// was, 1900-02-29) to ISO 8601; the number itself if it is no date.
std::string DateOf(const std::string& serial) {
  double days = 0;
  if (!absl::SimpleAtod(serial, &days) || !(days >= 61 && days < 2958466)) {
    return serial;
  }
  const auto seconds =
      static_cast<int64_t>(std::llround((days - std::floor(days)) * 86400));
  const absl::CivilSecond time =
      absl::CivilSecond(absl::CivilDay(1899, 12, 30) +
                        static_cast<int64_t>(std::floor(days))) +
      seconds;
  return seconds == 0 ? absl::FormatCivilTime(absl::CivilDay(time))
                      : absl::FormatCivilTime(time);
}

// Column of a reference such as "AB12", from 0.
size_t ColumnOf(absl::string_view reference, size_t otherwise) {
  size_t column = 0;
  for (const char c : reference) {
    if (!absl::ascii_isupper(c)) break;
    column = column * 26 + static_cast<size_t>(c - 'A' + 1);
    if (column > kMaxColumns) return otherwise;
  }
  return column == 0 ? otherwise : column - 1;
}

class SheetHandler : public XmlHandler {
 public:
  SheetHandler(const std::vector<std::string>& strings,
               const std::vector<bool>& is_date, DocumentBuilder* builder)
      : strings_(strings), is_date_(is_date), builder_(builder) {}

  void Start(const XmlElement& element) override {
    const absl::string_view name = element.name();
    if (name == "row") {
      row_.clear();
    } else if (name == "c") {
      value_.clear();
      type_ = std::string(element.attribute("t"));
      column_ = ColumnOf(element.attribute("r"), row_.size());
      int style = 0;
      date_ = absl::SimpleAtoi(element.attribute("s"), &style) && style >= 0 &&
              static_cast<size_t>(style) < is_date_.size() && is_date_[style];
    } else if (name == "v" || name == "t") {
      in_value_ = true;
    }
  }
  void End(absl::string_view name) override {
    if (name == "v" || name == "t") {
      in_value_ = false;
    } else if (name == "c") {
      EndCell();
    } else if (name == "row") {
      EndRow();
    }
  }
  void Text(absl::string_view text) override {
    if (in_value_) absl::StrAppend(&value_, text);
  }

  void Finish() {
    if (!first_.empty()) AddLine(TableLine({}, first_));
    builder_->Add(BlockKind::kTable, text_);
  }

 private:
  void EndCell() {
    if (value_.empty() || column_ >= kMaxColumns) return;
    size_t index = 0;
    if (type_ == "s") {
      value_ = absl::SimpleAtoi(value_, &index) && index < strings_.size()
                   ? strings_[index]
                   : "";
    } else if (type_ == "b") {
      value_ = value_ == "0" ? "FALSE" : "TRUE";
    } else if (date_ && (type_.empty() || type_ == "n")) {
      value_ = DateOf(value_);
    }
    if (row_.size() <= column_) row_.resize(column_ + 1);
    row_[column_] = value_;
  }

  void EndRow() {
    if (row_.empty()) return;
    if (!begun_) {
      // Whether it names the columns shows with the next row.
      begun_ = true;
      first_ = std::move(row_);
    } else {
      if (!first_.empty()) {
        AddLine(TableLine({}, first_));
        if (HasHeaderRow({first_, row_})) header_ = CleanRow(first_);
        first_.clear();
      }
      AddLine(TableLine(header_, row_));
    }
    row_.clear();
  }

  void AddLine(const std::string& line) {
    if (line.empty() || !builder_->status().ok()) return;
    if (!text_.empty()) text_ += '\n';
    text_ += line;
    if (text_.size() > kMaxBlockBytes) {
      builder_->Add(BlockKind::kTable, text_);
      text_.clear();
    }
  }

  static constexpr size_t kMaxBlockBytes = 64 << 10;

  const std::vector<std::string>& strings_;
  const std::vector<bool>& is_date_;
  DocumentBuilder* const builder_;
  bool begun_ = false;
  TableRow first_;
  TableRow header_;
  TableRow row_;
  std::string text_;
  std::string value_;
  std::string type_;
  size_t column_ = 0;
  bool date_ = false;
  bool in_value_ = false;
};

class XlsxReader {
 public:
  XlsxReader(absl::string_view name, absl::string_view source,
             ZipArchive* archive)
      : name_(name), archive_(archive), builder_(name, source) {}

  absl::StatusOr<ParsedDocument> Read() {
    absl::StatusOr<OoxmlContent> content =
        FindContent(name_, archive_, "xl/workbook.xml");
    if (!content.ok()) return content.status();
    WorkbookHandler workbook;
    SharedStringsHandler strings;
    StylesHandler styles;
    absl::Status status = ReadPart(content->part, &workbook);
    if (status.ok()) {
      status = ReadPart(content->relations.by_kind["sharedStrings"], &strings);
    }
    if (status.ok())
      status = ReadPart(content->relations.by_kind["styles"], &styles);
    if (!status.ok()) return status;
    for (const auto& [sheet, relation] : workbook.sheets) {
      const std::string& part = content->relations.by_id[relation];
      builder_.AddHeading(1, sheet);
      SheetHandler handler(strings.strings, styles.is_date, &builder_);
      status = ReadPart(part, &handler);
      if (!status.ok()) return status;
      handler.Finish();
      if (!builder_.status().ok()) return builder_.status();
    }
    status = ReadProperties(name_, archive_, content->properties, &builder_);
    if (!status.ok()) return status;
    return builder_.Finish();
  }

 private:
  // A part that the book does without is none.
  absl::Status ReadPart(const std::string& part, XmlHandler* handler) {
    if (part.empty() || !archive_->Has(part)) return absl::OkStatus();
    return ReadXmlPart(name_, archive_, part, handler);
  }

  const absl::string_view name_;
  ZipArchive* const archive_;
  DocumentBuilder builder_;
};

}  // namespace

absl::StatusOr<ParsedDocument> ParseXlsx(absl::string_view name,
                                         absl::string_view source) {
  absl::StatusOr<ZipArchive> archive = ZipArchive::Open(name, source);
  if (!archive.ok()) return archive.status();
  return XlsxReader(name, source, &*archive).Read();
}

}  // namespace braid::retrieval
