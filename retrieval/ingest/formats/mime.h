// The layers of an internet message: header fields, parts, encodings.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_MIME_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_MIME_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "retrieval/types.h"

namespace braid::retrieval {

// A field's value with its parameters: "text/plain; charset=utf-8".
struct MimeValue {
  std::string value;                              // in lower case
  std::map<std::string, std::string> parameters;  // names in lower case
};

// Header fields by name in lower case; unfolded, encoded words (RFC 2047)
// decoded, in UTF-8. Of a field that is there twice the first.
using MimeHeader = std::map<std::string, std::string>;

// A leaf of a message: not multipart.
struct MimePart {
  MimeHeader header;
  MimeValue type;         // text/plain if the header gives none
  std::string file_name;  // empty if it has none
  bool attachment = false;
  // Whether another part before it stands for the same (multipart/alternative).
  size_t alternative_to = 0;  // number of its multipart/alternative; 0 for none
  ByteRange body;             // in the source, as it was sent
};

struct MimeMessage {
  MimeHeader header;
  ByteRange header_range;
  std::vector<MimePart> parts;  // in order, those of nested multiparts too
};

// Reads the structure, not what is in the bodies. Parts nested deeper than 20
// levels and beyond the 1,000th are left out; never fails.
MimeMessage ParseMime(absl::string_view source);

// A body without its transfer encoding. Damaged base64 ends where the damage
// begins.
std::string DecodeTransfer(const MimePart& part, absl::string_view body);

// Whether DecodeTransfer would give the body as it is.
bool IsIdentity(const MimePart& part);

MimeValue ParseMimeValue(absl::string_view field);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_MIME_H_
