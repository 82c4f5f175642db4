#include "services/hub/listing.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace braid::services::hub {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxNameBytes = 200;  // with ".part", below what a name may be
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 44;

absl::Status Malformed(absl::string_view path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("the hub's listing: \"",
                                          absl::CHexEscape(path.substr(0, 100)),
                                          "\": ", what));
}

// Whether a path could mean another place than it says.
bool IsTrick(absl::string_view path) {
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\') {
      return true;
    }
  }
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") return true;
  }
  return false;
}

const Json* Field(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string TextField(const Json& object, const char* name) {
  const Json* field = Field(object, name);
  return field != nullptr && field->is_string() ? field->get<std::string>()
                                                : std::string();
}

std::optional<uint64_t> SizeField(const Json& object) {
  const Json* field = Field(object, "size");
  if (field == nullptr || !field->is_number_unsigned()) return std::nullopt;
  const uint64_t size = field->get<uint64_t>();
  if (size > kMaxFileBytes) return std::nullopt;
  return size;
}

absl::StatusOr<HubFile> ParseFile(const Json& entry, const std::string& path) {
  HubFile file;
  file.name = path;
  const Json* lfs = Field(entry, "lfs");
  const bool large = lfs != nullptr && lfs->is_object();
  const Json& facts = large ? *lfs : entry;
  file.digest_kind = large ? DigestKind::kSha256 : DigestKind::kGitBlobSha1;
  const std::optional<uint64_t> size = SizeField(facts);
  if (!size.has_value()) return Malformed(path, "no size, or a senseless one");
  file.bytes = *size;
  file.digest = TextField(facts, "oid");
  if (!IsDigest(file.digest_kind, file.digest)) {
    return Malformed(path, absl::StrCat("no ", DigestName(file.digest_kind)));
  }
  return file;
}

}  // namespace

absl::StatusOr<std::string> ParseCommit(const std::string& json) {
  const Json answer = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  std::string commit = TextField(answer, "sha");
  if (!IsDigest(DigestKind::kGitBlobSha1, commit)) {
    return absl::DataLossError("the hub names no commit for the revision");
  }
  return commit;
}

absl::Status ParseListing(const std::string& json,
                          std::vector<HubFile>* files) {
  const Json entries = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!entries.is_array()) {
    return absl::DataLossError("the hub's listing is not a JSON array");
  }
  for (const Json& entry : entries) {
    const std::string path = TextField(entry, "path");
    if (IsTrick(path)) return Malformed(path, "not a plain path");
    if (TextField(entry, "type") != "file") continue;
    // Of folders and hidden files there is none that a model needs.
    if (absl::StrContains(path, '/') || path[0] == '.') continue;
    if (path.size() > kMaxNameBytes) return Malformed(path, "name too long");
    const auto same = [&](const HubFile& file) { return file.name == path; };
    if (std::any_of(files->begin(), files->end(), same)) {
      return Malformed(path, "listed twice");
    }
    absl::StatusOr<HubFile> file = ParseFile(entry, path);
    if (!file.ok()) return file.status();
    files->push_back(*std::move(file));
  }
  return absl::OkStatus();
}

std::string NextPageQuery(absl::string_view link) {
  // <URL>; rel="next", <URL>; rel="last"
  while (!link.empty()) {
    const size_t open = link.find('<');
    if (open == absl::string_view::npos) return "";
    const size_t close = link.find('>', open);
    if (close == absl::string_view::npos) return "";
    const absl::string_view url = link.substr(open + 1, close - open - 1);
    const size_t end = std::min(link.find('<', close), link.size());
    const std::string parameters =
        absl::AsciiStrToLower(link.substr(close + 1, end - close - 1));
    if (absl::StrContains(parameters, "rel=\"next\"") ||
        absl::StrContains(parameters, "rel=next")) {
      const size_t query = url.find('?');
      return query == absl::string_view::npos
                 ? ""
                 : std::string(url.substr(query + 1));
    }
    link.remove_prefix(end);
  }
  return "";
}

}  // namespace braid::services::hub
