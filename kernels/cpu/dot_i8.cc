#include "kernels/dot_i8.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/dot_i8.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D32 = hn::CappedTag<int32_t, 16>;
using D16 = hn::Repartition<int16_t, D32>;
using D8 = hn::Rebind<int8_t, D16>;
static_assert(kDotI8Multiple % hn::MaxLanes(D8()) == 0);

template <size_t kRows>
HWY_INLINE void Dot(const int8_t* query, const int8_t* const* rows, size_t size,
                    int32_t* out) {
  const D32 d32;
  const D16 d16;
  const D8 d8;
  hn::Vec<D32> even[kRows];
  hn::Vec<D32> odd[kRows];
  for (size_t j = 0; j < kRows; ++j) even[j] = odd[j] = hn::Zero(d32);
  for (size_t i = 0; i < size; i += hn::Lanes(d8)) {
    const auto q = hn::PromoteTo(d16, hn::LoadU(d8, query + i));
    BRAID_UNROLL for (size_t j = 0; j < kRows; ++j) {
      const auto row = hn::PromoteTo(d16, hn::LoadU(d8, rows[j] + i));
      even[j] = hn::ReorderWidenMulAccumulate(d32, q, row, even[j], odd[j]);
    }
  }
  for (size_t j = 0; j < kRows; ++j) {
    out[j] = hn::GetLane(hn::SumOfLanes(d32, hn::Add(even[j], odd[j])));
  }
}

void Dot1(const int8_t* query, const int8_t* row, size_t size, int32_t* out) {
  Dot<1>(query, &row, size, out);
}

void Dot4(const int8_t* query, const int8_t* const* rows, size_t size,
          int32_t* out) {
  Dot<4>(query, rows, size, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {

HWY_EXPORT(Dot1);
HWY_EXPORT(Dot4);

int32_t DotI8(const int8_t* a, const int8_t* b, size_t size) {
  int32_t out = 0;
  HWY_DYNAMIC_DISPATCH(Dot1)(a, b, size, &out);
  return out;
}

void DotI8x4(const int8_t* query, const int8_t* const rows[4], size_t size,
             int32_t out[4]) {
  HWY_DYNAMIC_DISPATCH(Dot4)(query, rows, size, out);
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
