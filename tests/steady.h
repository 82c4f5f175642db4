// Deadlines of tests, on the steady clock.
#ifndef BRAID_TESTS_STEADY_H_
#define BRAID_TESTS_STEADY_H_

#include <chrono>

#include "absl/time/time.h"

namespace braid {

inline constexpr std::chrono::steady_clock::time_point kNever =
    std::chrono::steady_clock::time_point::max();

// So long from now; ago if negative.
inline std::chrono::steady_clock::time_point SteadyIn(absl::Duration duration) {
  return std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(duration);
}

}  // namespace braid

#endif  // BRAID_TESTS_STEADY_H_
