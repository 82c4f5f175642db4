// Clocks that jump and stall. In a test that links clock_faults.cc, every look
// at a clock and every wait with a timeout that this process makes through libc
// (also those of gRPC, Abseil and Rust) goes by clocks that the test sets, as
// if the machine's had been set. The machine's own stay as they are.
#ifndef BRAID_TESTS_SERVICES_CLOCK_FAULTS_H_
#define BRAID_TESTS_SERVICES_CLOCK_FAULTS_H_

#include "absl/time/time.h"

namespace braid::testing {

// From now on the wall clock is so far ahead of the true one; behind it if
// negative.
void SetWallClock(absl::Duration ahead);

// The steady clock stands still for so long, and goes on from where it was, as
// after a virtual machine was stopped. Blocks meanwhile.
void StallSteadyClock(absl::Duration length);

// What the machine's steady clock says, since some moment.
absl::Duration TrueSteadyTime();

}  // namespace braid::testing

#endif  // BRAID_TESTS_SERVICES_CLOCK_FAULTS_H_
