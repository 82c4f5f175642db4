#include "services/server/deadline.h"

namespace braid::services {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

}  // namespace

// Both are CLOCK_MONOTONIC: gRPC's clock of that name, and the one of
// libstdc++.
gpr_timespec ToGrpc(SteadyTime time) {
  const nanoseconds since = time.time_since_epoch();
  const auto whole = std::chrono::floor<seconds>(since);
  return {whole.count(), static_cast<int32_t>((since - whole).count()),
          GPR_CLOCK_MONOTONIC};
}

SteadyTime After(absl::Duration timeout) {
  const SteadyTime now = SteadyTime::clock::now();
  if (timeout >= absl::FromChrono(SteadyTime::max() - now)) {
    return SteadyTime::max();
  }
  return now + absl::ToChronoNanoseconds(timeout);
}

std::optional<SteadyTime> DeadlineOf(const grpc::ServerContextBase& context) {
  const gpr_timespec raw = context.raw_deadline();
  if (gpr_time_cmp(raw, gpr_inf_future(raw.clock_type)) == 0) {
    return std::nullopt;
  }
  const gpr_timespec steady = gpr_convert_clock_type(raw, GPR_CLOCK_MONOTONIC);
  return SteadyTime(seconds(steady.tv_sec) + nanoseconds(steady.tv_nsec));
}

void SetDeadline(SteadyTime deadline, grpc::ClientContext* context) {
  if (deadline != SteadyTime::max()) context->set_deadline(ToGrpc(deadline));
}

}  // namespace braid::services
