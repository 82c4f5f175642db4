// Waiting on an absl::Mutex for a bounded time.
#ifndef BRAID_RETRIEVAL_STEADY_CONDITION_H_
#define BRAID_RETRIEVAL_STEADY_CONDITION_H_

#include <chrono>
#include <condition_variable>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace braid::retrieval {

// The timeouts of absl::Mutex are moments of the wall clock: where it is set
// back by an hour meanwhile, they come an hour late, and where it is set
// forward they come at once. These are of the steady clock. Unlike
// absl::Condition, who changes what others wait for has to say so.
class SteadyCondition {
 public:
  // Wakes all that wait. Called with their mutex held.
  void NotifyAll() { changed_.notify_all(); }

  // Releases `mutex`, which the caller holds, until `holds` (which is called
  // with it held) or until `deadline`; returns what `holds` says then.
  template <typename Holds>
  bool WaitUntil(absl::Mutex* mutex,
                 std::chrono::steady_clock::time_point deadline, Holds holds)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Held held{mutex};
    return changed_.wait_until(held, deadline, holds);
  }

 private:
  struct Held {
    absl::Mutex* mutex;
    void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Lock(); }
    void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Unlock(); }
  };
  std::condition_variable_any changed_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_STEADY_CONDITION_H_
