// Structured log lines on stderr.
#ifndef BRAID_SERVICES_SERVER_LOG_H_
#define BRAID_SERVICES_SERVER_LOG_H_

#include <cstdio>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace braid::services {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// Of the names that Config::log_level allows; kInfo for any other.
LogLevel ParseLogLevel(absl::string_view name);

using LogField = std::pair<absl::string_view, std::string>;

// Writes one line per event: time, level, event, then `key=value` pairs, values
// quoted where they hold more than plain characters, so that nothing a client
// sends can make a line of its own. Thread-safe: a line is one write.
class Logger {
 public:
  explicit Logger(LogLevel level, std::FILE* out = stderr)
      : level_(level), out_(out) {}

  bool Enabled(LogLevel level) const {
    return level >= level_ && level_ != LogLevel::kOff;
  }
  void Write(LogLevel level, absl::string_view event,
             absl::Span<const LogField> fields) const;

 private:
  const LogLevel level_;
  std::FILE* const out_;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_LOG_H_
