#include "retrieval/ingest/formats/zip_archive.h"

#include <zip.h>

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {
namespace {

std::string DecodePercent(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned int byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        absl::ascii_isxdigit(text[i + 1]) &&
        absl::ascii_isxdigit(text[i + 2]) &&
        absl::SimpleHexAtoi(text.substr(i + 1, 2), &byte)) {
      decoded.push_back(static_cast<char>(byte));
      i += 2;
    } else {
      decoded.push_back(text[i]);
    }
  }
  return decoded;
}

struct FileCloser {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

}  // namespace

void ZipArchive::Closer::operator()(zip* archive) const {
  zip_discard(archive);
}

absl::StatusOr<ZipArchive> ZipArchive::Open(absl::string_view name,
                                            absl::string_view source) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* bytes =
      zip_source_buffer_create(source.data(), source.size(), 0, &error);
  zip_t* archive = bytes == nullptr
                       ? nullptr
                       : zip_open_from_source(bytes, ZIP_RDONLY, &error);
  if (archive == nullptr) {
    const std::string why = zip_error_strerror(&error);
    zip_error_fini(&error);
    if (bytes != nullptr) zip_source_free(bytes);
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": no zip archive, or a damaged one: ", why));
  }
  zip_error_fini(&error);
  return ZipArchive(std::unique_ptr<zip, Closer>(archive), name, source.size());
}

bool ZipArchive::Has(const std::string& member) const {
  return zip_name_locate(archive_.get(), member.c_str(), 0) >= 0;
}

absl::StatusOr<std::string> ZipArchive::Read(const std::string& member) {
  auto damaged = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(
        name_, ": the archive's ", absl::CHexEscape(member), ": ", why));
  };
  const zip_int64_t index = zip_name_locate(archive_.get(), member.c_str(), 0);
  if (index < 0) {
    return absl::NotFoundError(
        absl::StrCat(name_, ": the archive has no ", absl::CHexEscape(member)));
  }
  zip_stat_t stat;
  if (zip_stat_index(archive_.get(), index, 0, &stat) == 0 &&
      (stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 &&
      stat.encryption_method != ZIP_EM_NONE) {
    return damaged("is encrypted");
  }
  std::unique_ptr<zip_file_t, FileCloser> file(
      zip_fopen_index(archive_.get(), index, 0));
  if (file == nullptr) return damaged(zip_strerror(archive_.get()));
  std::string content;
  while (true) {
    char buffer[1 << 16];
    const zip_int64_t got = zip_fread(file.get(), buffer, sizeof(buffer));
    if (got < 0) return damaged(zip_file_strerror(file.get()));
    if (got == 0) return content;
    unpacked_bytes_ += got;
    if (unpacked_bytes_ > OutputLimit(source_bytes_)) {
      return OutputLimitError(name_, source_bytes_);
    }
    content.append(buffer, got);
  }
}

std::string ResolveZipPath(absl::string_view from, absl::string_view target) {
  target = target.substr(0, target.find('#'));
  const std::string decoded = DecodePercent(target);
  std::vector<absl::string_view> parts;
  if (!absl::StartsWith(decoded, "/")) {
    parts = absl::StrSplit(from, '/');
    parts.pop_back();
  }
  for (absl::string_view part : absl::StrSplit(decoded, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  return absl::StrJoin(parts, "/");
}

}  // namespace braid::retrieval
