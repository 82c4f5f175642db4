// What format a file has.
#ifndef BRAID_RETRIEVAL_INGEST_MEDIA_TYPE_H_
#define BRAID_RETRIEVAL_INGEST_MEDIA_TYPE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace braid::retrieval {

namespace media_type {

inline constexpr absl::string_view kText = "text/plain";
inline constexpr absl::string_view kMarkdown = "text/markdown";
inline constexpr absl::string_view kHtml = "text/html";
inline constexpr absl::string_view kRestructuredText = "text/x-rst";
inline constexpr absl::string_view kOrg = "text/x-org";
inline constexpr absl::string_view kCsv = "text/csv";
inline constexpr absl::string_view kTsv = "text/tab-separated-values";
inline constexpr absl::string_view kJson = "application/json";
inline constexpr absl::string_view kJsonLines = "application/jsonl";
inline constexpr absl::string_view kEmail = "message/rfc822";
inline constexpr absl::string_view kRtf = "application/rtf";
inline constexpr absl::string_view kPdf = "application/pdf";
inline constexpr absl::string_view kWord = "application/msword";
inline constexpr absl::string_view kDocx =
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
inline constexpr absl::string_view kXlsx =
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
inline constexpr absl::string_view kPptx =
    "application/vnd.openxmlformats-officedocument.presentationml.presentation";
inline constexpr absl::string_view kOpenDocumentText =
    "application/vnd.oasis.opendocument.text";
inline constexpr absl::string_view kOpenDocumentPresentation =
    "application/vnd.oasis.opendocument.presentation";
inline constexpr absl::string_view kEpub = "application/epub+zip";
inline constexpr absl::string_view kBinary = "application/octet-stream";

}  // namespace media_type

// The media type by content: what the first bytes say, what a zip archive
// holds, what the text looks like. The name decides only where the content
// cannot (Markdown, CSV and other text; a damaged file). Looks at little more
// than the beginning and the end, so it is cheap; parsing may still find that
// the file is not what it looks like.
std::string DetectMediaType(absl::string_view file_name,
                            absl::string_view content);

// "text/html; charset=x" and "Text/HTML" to "text/html"; known aliases too.
std::string NormalizeMediaType(absl::string_view media_type);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_MEDIA_TYPE_H_
