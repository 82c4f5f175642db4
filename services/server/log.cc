#include "services/server/log.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/text.h"

namespace braid::services {
namespace {

constexpr size_t kMaxValueBytes = 512;

absl::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "DEBUG";
    case LogLevel::kInfo:
      return "INFO";
    case LogLevel::kWarning:
      return "WARNING";
    case LogLevel::kError:
      return "ERROR";
    case LogLevel::kOff:
      break;
  }
  return "OFF";
}

bool IsPlain(absl::string_view value) {
  for (const char c : value) {
    if (!absl::ascii_isalnum(c) &&
        absl::string_view("-_./:%+@[],").find(c) == absl::string_view::npos) {
      return false;
    }
  }
  return !value.empty();
}

void AppendValue(const std::string& value, std::string* line) {
  const std::string shown = ToPrintable(value, kMaxValueBytes);
  if (IsPlain(shown)) {
    line->append(shown);
    return;
  }
  line->push_back('"');
  for (const char c : shown) {
    if (c == '"' || c == '\\') line->push_back('\\');
    line->push_back(c);
  }
  line->push_back('"');
}

}  // namespace

LogLevel ParseLogLevel(absl::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  if (name == "off") return LogLevel::kOff;
  return LogLevel::kInfo;
}

void Logger::Write(LogLevel level, absl::string_view event,
                   absl::Span<const LogField> fields) const {
  if (!Enabled(level)) return;
  std::string line =
      absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(),
                                    absl::UTCTimeZone()),
                   " ", LevelName(level), " ", event);
  for (const auto& [key, value] : fields) {
    absl::StrAppend(&line, " ", key, "=");
    AppendValue(value, &line);
  }
  line.push_back('\n');
  std::fwrite(line.data(), 1, line.size(), out_);
  std::fflush(out_);
}

}  // namespace braid::services
