#include "services/eval/text_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace braid::services {

absl::Status CheckOutputPath(const std::string& path,
                             absl::Span<const absl::string_view> endings) {
  if (std::none_of(endings.begin(), endings.end(),
                   [&](auto ending) { return absl::EndsWith(path, ending); })) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": the name must end in ", absl::StrJoin(endings, " or ")));
  }
  const std::filesystem::path parent =
      std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!parent.empty() && !std::filesystem::is_directory(parent, error)) {
    return absl::NotFoundError(
        absl::StrCat(path, ": there is no directory ", parent.string()));
  }
  return absl::OkStatus();
}

absl::Status WriteTextFile(const std::string& path, absl::string_view text) {
  const std::string partial = absl::StrCat(path, ".partial");
  const auto reason = [&path] {
    return absl::StrCat(path, ": cannot write: ", std::strerror(errno));
  };
  std::FILE* const file = std::fopen(partial.c_str(), "wb");
  if (file == nullptr) return absl::FailedPreconditionError(reason());
  bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  written = std::fflush(file) == 0 && written;
  written = ::fsync(::fileno(file)) == 0 && written;
  absl::Status status =
      written ? absl::OkStatus() : absl::DataLossError(reason());
  if (std::fclose(file) != 0 && status.ok()) {
    status = absl::DataLossError(reason());
  }
  if (status.ok() && std::rename(partial.c_str(), path.c_str()) != 0) {
    status = absl::FailedPreconditionError(reason());
  }
  if (!status.ok()) ::unlink(partial.c_str());
  return status;
}

}  // namespace braid::services
