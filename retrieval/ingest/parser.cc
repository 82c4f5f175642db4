#include "retrieval/ingest/parser.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "retrieval/ingest/charset.h"
#include "retrieval/ingest/formats/csv_parser.h"
#include "retrieval/ingest/formats/doc_parser.h"
#include "retrieval/ingest/formats/docx_parser.h"
#include "retrieval/ingest/formats/email_parser.h"
#include "retrieval/ingest/formats/epub_parser.h"
#include "retrieval/ingest/formats/json_parser.h"
#include "retrieval/ingest/formats/odp_parser.h"
#include "retrieval/ingest/formats/odt_parser.h"
#include "retrieval/ingest/formats/outline_parser.h"
#include "retrieval/ingest/formats/pptx_parser.h"
#include "retrieval/ingest/formats/rtf_parser.h"
#include "retrieval/ingest/formats/xlsx_parser.h"
#include "retrieval/ingest/html_parser.h"
#include "retrieval/ingest/markdown_parser.h"
#include "retrieval/ingest/media_type.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxTitleBytes = 1024;

// A parser of bytes: INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED
// starting with `name`.
using BytesParser = absl::StatusOr<ParsedDocument> (*)(
    absl::string_view name, absl::string_view source);

struct Format {
  absl::string_view media_type;
  BytesParser parse;
  bool is_text;  // `parse` takes UTF-8, and gives ranges in it
};

absl::StatusOr<ParsedDocument> ParsePlainText(absl::string_view,
                                              absl::string_view source) {
  ParsedDocument document;
  document.text = std::string(source);
  document.blocks = PlainTextBlocks(source);
  return document;
}

constexpr Format kFormats[] = {
    {media_type::kText, ParsePlainText, true},
    {media_type::kMarkdown, ParseMarkdown, true},
    {media_type::kRestructuredText, ParseRestructuredText, true},
    {media_type::kOrg, ParseOrg, true},
    {media_type::kCsv, ParseCsv, true},
    {media_type::kTsv, ParseCsv, true},
    {media_type::kJson, ParseJson, true},
    {media_type::kJsonLines, ParseJsonLines, true},
    {media_type::kHtml, ParseHtml, false},
    {media_type::kEmail, ParseEmail, false},
    {media_type::kRtf, ParseRtf, false},
    {media_type::kDocx, ParseDocx, false},
    {media_type::kXlsx, ParseXlsx, false},
    {media_type::kPptx, ParsePptx, false},
    {media_type::kWord, ParseDoc, false},
    {media_type::kOpenDocumentText, ParseOdt, false},
    {media_type::kOpenDocumentPresentation, ParseOdp, false},
    {media_type::kEpub, ParseEpub, false},
};

absl::string_view BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

// Brings the source to UTF-8, parses that and maps the positions back.
absl::StatusOr<ParsedDocument> ParseDecoded(const Format& format,
                                            absl::string_view name,
                                            absl::string_view source) {
  absl::StatusOr<DecodedText> decoded = DecodedText::Decode(name, source);
  if (!decoded.ok()) return decoded.status();
  // The byte order mark of UTF-8 stays: then the text is the source.
  const bool is_source = decoded->is_source();
  absl::StatusOr<ParsedDocument> document =
      format.parse(name, is_source ? source : decoded->text());
  if (!document.ok() || is_source) return document;
  if (document->source_map.empty()) {
    document->source_map = decoded->SourceMap();
  } else {
    for (SourceRun& run : document->source_map) {
      run.source = {decoded->SourceOffset(run.source.begin),
                    decoded->SourceOffset(run.source.end)};
    }
  }
  for (Block& block : document->blocks) {
    block.source_range = {decoded->SourceOffset(block.source_range.begin),
                          decoded->SourceOffset(block.source_range.end)};
  }
  return document;
}

absl::StatusOr<ParsedDocument> ParseAs(const std::string& media_type,
                                       absl::string_view name,
                                       absl::string_view source,
                                       PdfParser parse_pdf) {
  for (const Format& format : kFormats) {
    if (format.media_type != media_type) continue;
    return format.is_text ? ParseDecoded(format, name, source)
                          : format.parse(name, source);
  }
  if (media_type == media_type::kPdf && parse_pdf != nullptr) {
    return parse_pdf(name, source);
  }
  if (media_type == media_type::kBinary) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": binary data, not text (NUL byte at offset ",
                     source.find('\0'), ")"));
  }
  if (media_type == "application/x-ole-encrypted") {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": is encrypted: it needs a password"));
  }
  return absl::UnimplementedError(
      absl::StrCat(name, ": the format ", media_type, " is not read"));
}

}  // namespace

absl::StatusOr<ParsedDocument> ParseSource(const SourceFile& source,
                                           PdfParser parse_pdf) {
  const std::string& name = SourceName(source);
  const absl::string_view content = source.content;
  absl::string_view visible = content;
  absl::ConsumePrefix(&visible, kUtf8Bom);
  if (absl::StripAsciiWhitespace(visible).empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": is empty"));
  }
  const std::string media_type =
      source.media_type.empty() ? DetectMediaType(source.file_name, content)
                                : NormalizeMediaType(source.media_type);
  absl::StatusOr<ParsedDocument> document =
      ParseAs(media_type, name, content, parse_pdf);
  if (!document.ok()) return document.status();

  document->media_type = media_type;
  if (document->title.empty()) {
    document->title = std::string(BaseName(source.file_name));
  }
  document->title = std::string(TruncateUtf8(document->title, kMaxTitleBytes));
  AddSourceMetadata(source, &*document);
  if (document->blocks.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": has no text to read"));
  }
  return document;
}

}  // namespace braid::retrieval
