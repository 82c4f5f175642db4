#include "services/eval/line_reader.h"

#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace braid::services {
namespace {

struct GzClose {
  void operator()(gzFile file) const { gzclose(file); }
};
using GzHandle = std::unique_ptr<std::remove_pointer_t<gzFile>, GzClose>;

absl::Status At(const std::string& path, size_t number,
                const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(path, ":", number, ": ", status.message()));
}

}  // namespace

absl::Status ForEachLine(
    const std::string& path,
    const std::function<absl::Status(size_t, absl::string_view)>& visit) {
  errno = 0;
  const GzHandle file(gzopen(path.c_str(), "rb"));
  if (file == nullptr) {
    const int error = errno;
    const std::string message = absl::StrCat(
        path, ": ", error == 0 ? "out of memory" : std::strerror(error));
    return error == ENOENT ? absl::NotFoundError(message)
                           : absl::FailedPreconditionError(message);
  }
  gzbuffer(file.get(), 256 << 10);

  std::string line;
  std::string block(64 << 10, '\0');
  size_t number = 1;
  const auto finish_line = [&]() -> absl::Status {
    absl::string_view text = line;
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    absl::Status status;
    if (!absl::StripAsciiWhitespace(text).empty()) {
      status = visit(number, text);
    }
    return status.ok() ? status : At(path, number, status);
  };
  for (;;) {
    const int count =
        gzread(file.get(), block.data(), static_cast<unsigned>(block.size()));
    if (count < 0) {
      int code = 0;
      return absl::DataLossError(
          absl::StrCat(path, ": ", gzerror(file.get(), &code)));
    }
    if (count == 0) break;
    absl::string_view rest(block.data(), static_cast<size_t>(count));
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      const absl::string_view piece = rest.substr(0, end);
      if (line.size() + piece.size() > kMaxLineBytes) {
        return At(path, number,
                  absl::ResourceExhaustedError(absl::StrCat(
                      "the line is longer than ", kMaxLineBytes, " bytes")));
      }
      line.append(piece.data(), piece.size());
      if (end == absl::string_view::npos) break;
      if (absl::Status status = finish_line(); !status.ok()) return status;
      line.clear();
      ++number;
      rest.remove_prefix(end + 1);
    }
  }
  // A gzip file that was cut off ends without an error from gzread.
  int code = 0;
  const char* reason = gzerror(file.get(), &code);
  if (code != Z_OK && code != Z_STREAM_END) {
    return absl::DataLossError(absl::StrCat(path, ": ", reason));
  }
  return line.empty() ? absl::OkStatus() : finish_line();
}

}  // namespace braid::services
