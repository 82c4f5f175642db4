// What the machine can do at best, measured: the yardstick of benchmarks.
#ifndef BRAID_KERNELS_FLOORS_H_
#define BRAID_KERNELS_FLOORS_H_

namespace braid::kernels {

struct Floors {
  int threads = 0;
  // f32 fused multiply-adds out of registers, two operations each, summed over
  // the threads.
  double fma_gflops = 0;
  // The same of products of 8-bit integers, in the best way of this processor.
  double int8_gops = 0;
  // Sequential reads of arrays far larger than the caches, in huge pages where
  // the system has them, summed over the
  // threads, in 10^9 bytes per second.
  double read_gigabytes_per_second = 0;
};

// Takes about 0.5 s and 64 MB per thread. Reports the best of several short
// runs, because a busy machine only ever makes a run slower.
Floors MeasureFloors(int threads);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_FLOORS_H_
