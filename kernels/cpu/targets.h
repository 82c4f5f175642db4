// Instruction sets to compile for. Include before any Highway header.
//
// Left out on purpose: steps that change nothing for the arithmetic at hand
// (SSE4 over SSSE3; AVX3_DL over AVX3, unless products of 8-bit integers are
// wanted, which it adds: BRAID_WANT_DOT_PRODUCTS), and vectors of unknown
// length (SVE, RVV), which cannot lie in the arrays that the micro-kernels keep
// their accumulators in; such CPUs run NEON.
#ifndef BRAID_KERNELS_CPU_TARGETS_H_
#define BRAID_KERNELS_CPU_TARGETS_H_

#define BRAID_NEVER_TARGETS \
  (HWY_SSE4 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

#if defined(BRAID_WANT_DOT_PRODUCTS)
#define HWY_WANT_AVX3_DL 1
#define HWY_DISABLED_TARGETS BRAID_NEVER_TARGETS
#else
#define HWY_DISABLED_TARGETS (BRAID_NEVER_TARGETS | HWY_AVX3_DL)
#endif

#if defined(__clang__)
#define BRAID_UNROLL _Pragma("unroll")
#else
#define BRAID_UNROLL _Pragma("GCC unroll 32")
#endif

#endif  // BRAID_KERNELS_CPU_TARGETS_H_
