// Stage times of one request.
#ifndef BRAID_SERVICES_PIPELINE_STAGE_CLOCK_H_
#define BRAID_SERVICES_PIPELINE_STAGE_CLOCK_H_

#include <chrono>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "services/pipeline/search_pipeline.h"

namespace braid::services {

// Counts from one moment on the monotonic clock: the wall clock may jump.
class StageClock {
 public:
  using Clock = std::chrono::steady_clock;

  explicit StageClock(Clock::time_point begin) : begin_(begin) {}

  absl::Duration Now() const { return absl::FromChrono(Clock::now() - begin_); }

  // The stage that began at `start` and ends now.
  StageTime End(std::string stage, absl::Duration start) const {
    return {std::move(stage), start, Now() - start};
  }

 private:
  const Clock::time_point begin_;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_PIPELINE_STAGE_CLOCK_H_
