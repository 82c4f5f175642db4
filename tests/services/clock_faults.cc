#include "tests/services/clock_faults.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>

namespace braid::testing {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// A wait looks at the clocks this often: they may have been set meanwhile.
constexpr int64_t kSlice = 5'000'000;

std::atomic<int64_t> wall_ahead{0};
std::atomic<int64_t> steady_lost{0};
std::atomic<int64_t> steady_stopped_at{0};  // 0: it runs

// libc's own. No static initialisation, which could wait: others' constructors
// look at clocks, too.
void* Real(std::atomic<void*>& known, const char* name) {
  void* real = known.load();
  if (real == nullptr) {
    real = dlsym(RTLD_NEXT, name);
    known.store(real);
  }
  return real;
}
#define REAL(name)                                      \
  reinterpret_cast<decltype(&::name)>([] {              \
    static constinit std::atomic<void*> known{nullptr}; \
    return braid::testing::Real(known, #name);          \
  }())

int64_t TrueTime(clockid_t clock) {
  timespec time;
  REAL(clock_gettime)(clock, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

bool IsWall(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}
bool IsSteady(clockid_t clock) {
  return clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ||
         clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_BOOTTIME;
}

int64_t ShownTime(clockid_t clock) {
  if (IsWall(clock)) return TrueTime(clock) + wall_ahead;
  if (IsSteady(clock)) {
    const int64_t stopped = steady_stopped_at;
    return stopped != 0 ? stopped : TrueTime(CLOCK_MONOTONIC) - steady_lost;
  }
  return TrueTime(clock);
}

int64_t Nanos(const timespec& time) {
  return time.tv_sec * kSecond + time.tv_nsec;
}
timespec ToTimespec(int64_t nanos) {
  return {static_cast<time_t>(nanos / kSecond),
          static_cast<long>(nanos % kSecond)};  // NOLINT(runtime/int)
}

bool IsPast(clockid_t clock, const timespec& end) {
  // Ends that no 64 bits of nanoseconds hold are never.
  return end.tv_sec < INT64_MAX / kSecond && ShownTime(clock) >= Nanos(end);
}

// Until `end` by the clocks of the test. A slice that ends looks like a wakeup
// without a reason, which every caller has to expect.
int WaitOnCondition(pthread_cond_t* condition, pthread_mutex_t* mutex,
                    clockid_t clock, const timespec& end) {
  if (IsPast(clock, end)) return ETIMEDOUT;
  const timespec slice = ToTimespec(TrueTime(CLOCK_MONOTONIC) + kSlice);
  const int result =
      REAL(pthread_cond_clockwait)(condition, mutex, CLOCK_MONOTONIC, &slice);
  if (result != ETIMEDOUT) return result;
  return IsPast(clock, end) ? ETIMEDOUT : 0;
}

}  // namespace

void SetWallClock(absl::Duration ahead) {
  wall_ahead = absl::ToInt64Nanoseconds(ahead);
}

void StallSteadyClock(absl::Duration length) {
  const int64_t begin = TrueTime(CLOCK_MONOTONIC);
  steady_stopped_at = begin - steady_lost;
  const timespec end = ToTimespec(begin + absl::ToInt64Nanoseconds(length));
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, nullptr) != 0) {
  }
  steady_lost += TrueTime(CLOCK_MONOTONIC) - begin;
  steady_stopped_at = 0;
}

absl::Duration TrueSteadyTime() {
  return absl::Nanoseconds(TrueTime(CLOCK_MONOTONIC));
}

}  // namespace braid::testing

using braid::testing::ShownTime;
using braid::testing::ToTimespec;

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  if (!braid::testing::IsWall(clock) && !braid::testing::IsSteady(clock)) {
    return REAL(clock_gettime)(clock, time);
  }
  *time = ToTimespec(ShownTime(clock));
  return 0;
}

int gettimeofday(timeval* time, void* /*zone*/) noexcept {
  const timespec now = ToTimespec(ShownTime(CLOCK_REALTIME));
  *time = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* time) noexcept {
  const time_t now = ToTimespec(ShownTime(CLOCK_REALTIME)).tv_sec;
  if (time != nullptr) *time = now;
  return now;
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                           const timespec* end) {
  return braid::testing::WaitOnCondition(condition, mutex, CLOCK_REALTIME,
                                         *end);
}

int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                           clockid_t clock, const timespec* end) {
  return braid::testing::WaitOnCondition(condition, mutex, clock, *end);
}

// Abseil waits with FUTEX_WAIT_BITSET until a moment of a clock.
long syscall(long number, ...) noexcept {  // NOLINT(runtime/int)
  va_list arguments;
  va_start(arguments, number);
  long a[6];  // NOLINT(runtime/int)
  for (long& argument : a) argument = va_arg(arguments, long);
  va_end(arguments);
  const auto real = REAL(syscall);
  const auto* end = reinterpret_cast<const timespec*>(a[3]);
  const long operation = a[1];  // NOLINT(runtime/int)
  if (number != SYS_futex || end == nullptr ||
      (operation & FUTEX_CMD_MASK) != FUTEX_WAIT_BITSET) {
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  }
  const clockid_t clock = (operation & FUTEX_CLOCK_REALTIME) != 0
                              ? CLOCK_REALTIME
                              : CLOCK_MONOTONIC;
  if (braid::testing::IsPast(clock, *end)) {
    errno = ETIMEDOUT;
    return -1;
  }
  const timespec slice = ToTimespec(braid::testing::TrueTime(CLOCK_MONOTONIC) +
                                    braid::testing::kSlice);
  const long result =  // NOLINT(runtime/int)
      real(number, a[0], operation & ~FUTEX_CLOCK_REALTIME, a[2], &slice, a[4],
           a[5]);
  if (result == -1 && errno == ETIMEDOUT &&
      !braid::testing::IsPast(clock, *end)) {
    errno = EINTR;
  }
  return result;
}

}  // extern "C"
