#include "generation/checkpoint/json_file.h"

#include <sys/stat.h>

#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace braid::model {
namespace {

constexpr int kMaxDepth = 64;

// Replaces bare Infinity, -Infinity and NaN outside strings.
std::string QuoteNonFinite(absl::string_view text) {
  static constexpr absl::string_view kWords[] = {"-Infinity", "Infinity",
                                                 "NaN"};
  std::string out;
  out.reserve(text.size());
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\' && i + 1 < text.size()) {
        out.append(text.data() + i, 2);
        i += 2;
        continue;
      }
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '-' || c == 'I' || c == 'N') {
      bool replaced = false;
      for (const absl::string_view word : kWords) {
        if (!absl::StartsWith(text.substr(i), word)) continue;
        absl::StrAppend(&out, "{\"__float__\":\"", word, "\"}");
        i += word.size();
        replaced = true;
        break;
      }
      if (replaced) continue;
    }
    out.push_back(c);
    ++i;
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path,
                                          uint64_t max_bytes) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not a regular file"));
  }
  if (static_cast<uint64_t>(info.st_size) > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", info.st_size,
                     " bytes, more than the limit of ", max_bytes));
  }
  std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path.c_str(), "rb"),
                                             &fclose);
  if (file == nullptr) {
    return absl::PermissionDeniedError(absl::StrCat(path, ": cannot be read"));
  }
  std::string text(info.st_size, '\0');
  if (fread(text.data(), 1, text.size(), file.get()) != text.size()) {
    return absl::DataLossError(absl::StrCat(path, ": short read"));
  }
  return text;
}

absl::StatusOr<nlohmann::json> ParseJsonObject(const std::string& text,
                                               const std::string& path) {
  // The parser itself keeps the last of two equal keys, so two readers of one
  // file could see different values: refuse them.
  std::vector<std::set<std::string>> keys;
  std::string repeated;
  bool too_deep = false;
  const auto callback = [&](int depth, nlohmann::json::parse_event_t event,
                            nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (depth > kMaxDepth) {
      too_deep = true;
      return false;  // drops the value: memory stays bounded
    }
    if (event == Event::object_start) {
      if (keys.size() <= static_cast<size_t>(depth)) keys.resize(depth + 1);
      keys[depth].clear();
    } else if (event == Event::key) {
      // Keys are one deeper than the object that holds them.
      if (!keys[depth - 1].insert(value.get_ref<const std::string&>()).second &&
          repeated.empty()) {
        repeated = value.get_ref<const std::string&>();
      }
    }
    return true;
  };
  nlohmann::json json = nlohmann::json::parse(QuoteNonFinite(text), callback,
                                              /*allow_exceptions=*/false);
  if (too_deep) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": nested deeper than ", kMaxDepth, " levels"));
  }
  if (json.is_discarded() || !json.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not a JSON object"));
  }
  if (!repeated.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the key \"", repeated, "\" is repeated"));
  }
  return json;
}

absl::StatusOr<nlohmann::json> ReadJsonObject(const std::string& path,
                                              uint64_t max_bytes) {
  absl::StatusOr<std::string> text = ReadSmallFile(path, max_bytes);
  if (!text.ok()) return text.status();
  return ParseJsonObject(*text, path);
}

}  // namespace braid::model
