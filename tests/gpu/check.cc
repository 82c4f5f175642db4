#include "tests/gpu/check.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace braid::gpu_check {

void Require(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

void Require(const kernels::cuda::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

void Checks::Expect(const std::string& name, bool holds) {
  ++(holds ? passed_ : failed_);
  if (!holds) std::printf("FAILED  %s\n", name.c_str());
}

void Checks::CompareWide(const std::string& name,
                         const std::vector<float>& actual, int64_t rows,
                         int64_t dim, int64_t ld,
                         const std::vector<double>& expected, double bound) {
  double difference = 0;
  double norm = 0;
  double worst = 0;
  int64_t written = 0;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < dim; ++column) {
      const double value = actual[static_cast<size_t>(row * ld + column)];
      const double wanted = expected[static_cast<size_t>(row * dim + column)];
      const double error = value - wanted;
      difference += error * error;
      norm += wanted * wanted;
      worst = std::max(worst, std::fabs(error));
    }
    for (int64_t column = dim; column < ld; ++column) {
      const auto at = static_cast<size_t>(row * ld + column);
      if (at < actual.size() && !std::isnan(actual[at])) ++written;
    }
  }
  const double count = static_cast<double>(std::max<int64_t>(1, rows * dim));
  const double root = std::sqrt(norm / count);  // root mean square
  const double relative = std::sqrt(difference / std::max(norm, 1e-30));
  double largest = 0;
  for (const double value : expected) {
    largest = std::max(largest, std::fabs(value));
  }
  // Written so that NaN fails.
  const bool close = relative <= bound &&
                     worst <= 16 * bound * std::max(root, 0.25 * largest) &&
                     norm > 0;
  ++(close && written == 0 ? passed_ : failed_);
  std::printf("%s  %-58s error %.1e of %.0e, worst %.1e of root %.1e%s\n",
              close && written == 0 ? "ok    " : "FAILED", name.c_str(),
              relative, bound, worst, root,
              written == 0 ? "" : ", wrote between the rows");
}

double Checks::MedianSeconds(const std::function<void()>& body) {
  constexpr int kRuns = 15;
  const DeviceArray<uint8_t> other(size_t{256} << 20);
  cudaEvent_t begin[kRuns];
  cudaEvent_t end[kRuns];
  for (int i = 0; i < 3; ++i) body();
  for (int i = 0; i < kRuns; ++i) {
    Require(cudaEventCreate(&begin[i]), "cudaEventCreate");
    Require(cudaEventCreate(&end[i]), "cudaEventCreate");
    Require(cudaMemsetAsync(other.data(), i, other.size(), stream_),
            "cudaMemsetAsync");
    Require(cudaEventRecord(begin[i], stream_), "cudaEventRecord");
    body();
    Require(cudaEventRecord(end[i], stream_), "cudaEventRecord");
  }
  Require(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  std::vector<float> times(kRuns);
  for (int i = 0; i < kRuns; ++i) {
    Require(cudaEventElapsedTime(&times[i], begin[i], end[i]),
            "cudaEventElapsedTime");
    static_cast<void>(cudaEventDestroy(begin[i]));
    static_cast<void>(cudaEventDestroy(end[i]));
  }
  std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
  return times[kRuns / 2] * 1e-3;
}

void Checks::Time(const std::string& name, double bytes, double operations,
                  const std::function<void()>& body) {
  if (small_) return;
  const double seconds = MedianSeconds(body);
  const double memory = bytes / floors_.copy_bytes_per_second;
  const double arithmetic = operations / floors_.bf16_flops;
  std::printf(
      "time    %-58s %9.1f us %7.0f GB/s %6.1f TFLOP/s  %3.0f%% of the "
      "%s floor\n",
      name.c_str(), seconds * 1e6, bytes / seconds * 1e-9,
      operations / seconds * 1e-12,
      100 * std::max(memory, arithmetic) / seconds,
      memory > arithmetic ? "copy" : "cuBLAS");
}

void Parallel(int64_t count, const std::function<void(int64_t)>& body) {
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    for (int64_t i = next++; i < count; i = next++) body(i);
  };
  std::vector<std::thread> threads;
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  for (unsigned i = 1; i < cores; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace braid::gpu_check
