// A semaphore whose waiters look whether they are still wanted.
#ifndef BRAID_SERVICES_TURNS_H_
#define BRAID_SERVICES_TURNS_H_

#include <algorithm>
#include <chrono>
#include <functional>
#include <semaphore>

namespace braid::services {

// Bounds how many threads compute at once where steps cannot be interrupted: of
// many that are cancelled together, only those who have a turn finish their
// step. Thread-safe.
class Turns {
 public:
  explicit Turns(int count) : free_(std::max(1, count)) {}

  // One turn. Converts to false if `go_on` said no first: then there is none.
  class Turn {
   public:
    Turn(Turns* turns, const std::function<bool()>& go_on) {
      do {
        if (!go_on()) return;
      } while (!turns->free_.try_acquire_for(kLook));
      turns_ = turns;
    }
    ~Turn() {
      if (turns_ != nullptr) turns_->free_.release();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    explicit operator bool() const { return turns_ != nullptr; }

   private:
    Turns* turns_ = nullptr;
  };

 private:
  // How often a waiter looks.
  static constexpr std::chrono::milliseconds kLook{10};

  std::counting_semaphore<> free_;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_TURNS_H_
