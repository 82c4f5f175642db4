// Shows the progress of evaluations and benchmarks on stderr.
#ifndef BRAID_SERVICES_CLI_PROGRESS_SINK_H_
#define BRAID_SERVICES_CLI_PROGRESS_SINK_H_

#include <optional>
#include <string>

#include "services/cli/terminal.h"
#include "services/eval/index_corpus.h"

namespace braid::services::cli {

// One bar after the other: a new `what` ends the bar before. Not thread-safe.
class ProgressReporter {
 public:
  // Must not outlive this.
  ProgressSink sink() {
    return [this](const std::string& what, uint64_t done, uint64_t total) {
      if (!progress_.has_value() || what != what_) {
        progress_.emplace(what, "items", total);
        what_ = what;
      }
      progress_->Update(done);
    };
  }
  void Finish() { progress_.reset(); }

 private:
  std::string what_;
  std::optional<Progress> progress_;
};

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_PROGRESS_SINK_H_
