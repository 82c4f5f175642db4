#include "retrieval/ingest/formats/email_parser.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "retrieval/ingest/charset.h"
#include "retrieval/ingest/formats/document_builder.h"
#include "retrieval/ingest/formats/mime.h"
#include "retrieval/ingest/html_parser.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

class EmailReader {
 public:
  EmailReader(absl::string_view name, absl::string_view source)
      : name_(name), source_(source), builder_(name, source) {}

  absl::StatusOr<ParsedDocument> Read() {
    const MimeMessage message = ParseMime(source_);
    AddHeader(message);
    // Alternatives of which plain text is there: their HTML says the same.
    std::set<size_t> has_plain;
    for (const MimePart& part : message.parts) {
      if (part.type.value == "text/plain" && !part.attachment) {
        has_plain.insert(part.alternative_to);
      }
    }
    std::vector<std::string> attachments;
    for (const MimePart& part : message.parts) {
      const bool plain = part.type.value == "text/plain";
      const bool html = part.type.value == "text/html";
      if (part.attachment || (!plain && !html)) {
        attachments.push_back(part.file_name.empty() ? part.type.value
                                                     : part.file_name);
      } else if (plain) {
        AddPlain(part);
      } else if (!SaysTheSame(message, part, has_plain)) {
        if (absl::Status status = AddHtml(part); !status.ok()) return status;
      }
      if (!builder_.status().ok()) break;
    }
    absl::StatusOr<ParsedDocument> document = AddAttachments(attachments);
    return document;
  }

 private:
  void AddHeader(const MimeMessage& message) {
    std::vector<std::string> lines;
    for (const auto& [field, label] :
         std::vector<std::pair<std::string, std::string>>{
             {"subject", "Subject"},
             {"from", "From"},
             {"to", "To"},
             {"cc", "Cc"},
             {"date", "Date"},
             {"message-id", ""}}) {
      const auto found = message.header.find(field);
      if (found == message.header.end() || found->second.empty()) continue;
      if (!label.empty()) {
        lines.push_back(absl::StrCat(label, ": ", found->second));
      }
      if (field == "subject") {
        builder_.SetTitle(found->second);
      } else {
        builder_.SetMetadata(field == "message-id" ? "message_id" : field,
                             found->second);
      }
    }
    builder_.Add(BlockKind::kParagraph, absl::StrJoin(lines, "\n"),
                 message.header_range);
  }

  // HTML beside plain text: as an alternative, or (as some programs write it)
  // just next to it in a mixed message of two parts.
  static bool SaysTheSame(const MimeMessage& message, const MimePart& part,
                          const std::set<size_t>& has_plain) {
    return has_plain.count(part.alternative_to) > 0 &&
           (part.alternative_to != 0 || message.parts.size() == 2);
  }

  static std::string Charset(const MimePart& part) {
    const auto charset = part.type.parameters.find("charset");
    return charset == part.type.parameters.end() ? "" : charset->second;
  }

  static std::string Decode(const MimePart& part, absl::string_view body) {
    const std::string bytes = DecodeTransfer(part, body);
    absl::StatusOr<DecodedText> decoded =
        DecodedText::DecodeAs("", bytes, Charset(part));
    if (!decoded.ok()) decoded = DecodedText::Decode("", bytes);
    return decoded.ok() ? std::string(decoded->text()) : CleanText(bytes);
  }

  void AddPlain(const MimePart& part) {
    const absl::string_view body =
        source_.substr(part.body.begin, part.body.size());
    const bool exact =
        IsIdentity(part) && FindInvalidUtf8(body) == absl::string_view::npos;
    const std::string text = exact ? std::string(body) : Decode(part, body);
    for (const Block& block : PlainTextBlocks(text)) {
      const ByteRange range = block.text_range;
      const absl::string_view paragraph =
          absl::string_view(text).substr(range.begin, range.size());
      const ByteRange source = exact ? ByteRange{part.body.begin + range.begin,
                                                 part.body.begin + range.end}
                                     : part.body;
      builder_.Add(BlockKind::kParagraph, paragraph, source);
    }
  }

  absl::Status AddHtml(const MimePart& part) {
    // In UTF-8, whatever a <meta> in it says.
    const std::string html = absl::StrCat(
        kUtf8Bom,
        Decode(part, source_.substr(part.body.begin, part.body.size())));
    absl::StatusOr<ParsedDocument> document = ParseHtml(name_, html);
    if (!document.ok()) return document.status();
    builder_.AddDocument(*document, part.body);
    return absl::OkStatus();
  }

  absl::StatusOr<ParsedDocument> AddAttachments(
      std::vector<std::string>& names) {
    if (!names.empty()) {
      for (std::string& name : names) name = CleanText(name);
      builder_.Add(BlockKind::kParagraph,
                   absl::StrCat("Attachments: ", absl::StrJoin(names, ", ")));
    }
    absl::StatusOr<ParsedDocument> document = builder_.Finish();
    if (document.ok() && !names.empty()) {
      document->metadata["attachments"] = names;
    }
    return document;
  }

  const absl::string_view name_;
  const absl::string_view source_;
  DocumentBuilder builder_;
};

}  // namespace

absl::StatusOr<ParsedDocument> ParseEmail(absl::string_view name,
                                          absl::string_view source) {
  return EmailReader(name, source).Read();
}

}  // namespace braid::retrieval
