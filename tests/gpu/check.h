// The harness of the GPU's checks: arrays of device memory, random inputs,
// comparison with expected values in f64, timing. It needs a CUDA toolkit and
// nothing else, because machines with a GPU may have nothing else.
#ifndef BRAID_TESTS_GPU_CHECK_H_
#define BRAID_TESTS_GPU_CHECK_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/cuda/status.h"

namespace braid::gpu_check {

using bf16 = __nv_bfloat16;

// Ends the program with the message unless the call worked: nothing that comes
// after it would mean anything.
void Require(cudaError_t error, const char* what);
void Require(const kernels::cuda::Status& status);

// The value that an element of type T keeps of `value`.
template <class T>
T Rounded(float value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return __float2bfloat16_rn(value);
  } else {
    return static_cast<T>(value);
  }
}

template <class T>
float Widened(T value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return __bfloat162float(value);
  } else {
    return static_cast<float>(value);
  }
}

template <class T>
const char* TypeName() {
  return std::is_same_v<T, bf16> ? "bf16" : "f32";
}

// Memory of the device. Its bytes are all ones until they are written, which is
// NaN in f32 and bf16.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : size_(count) {
    void* data = nullptr;
    Require(cudaMalloc(&data, std::max<size_t>(1, count) * sizeof(T)),
            "cudaMalloc");
    data_ = static_cast<T*>(data);
    Poison();
  }
  explicit DeviceArray(const std::vector<T>& values)
      : DeviceArray(values.size()) {
    Write(values);
  }
  ~DeviceArray() { static_cast<void>(cudaFree(data_)); }
  DeviceArray(DeviceArray&& other) noexcept
      : data_(other.data_), size_(other.size_) {
    other.data_ = nullptr;
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  size_t size() const { return size_; }
  void Poison() {
    Require(cudaMemset(data_, 0xff, size_ * sizeof(T)), "cudaMemset");
  }
  void Write(const std::vector<T>& values) {
    Require(cudaMemcpy(data_, values.data(), values.size() * sizeof(T),
                       cudaMemcpyHostToDevice),
            "cudaMemcpy");
  }
  // Waits for all work of the device.
  std::vector<T> Read() const {
    std::vector<T> values(size_);
    Require(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    Require(cudaMemcpy(values.data(), data_, size_ * sizeof(T),
                       cudaMemcpyDeviceToHost),
            "cudaMemcpy");
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t size_;
};

// What the device can do at best, measured in this run.
struct Floors {
  double copy_bytes_per_second = 0;  // read and written
  double bf16_flops = 0;             // of cuBLAS
};

// A random matrix [rows, dim], rows `ld` apart, as the device has it and, in
// `host`, exactly the same values.
template <class T>
struct Input {
  int64_t ld;
  std::vector<float> host;
  DeviceArray<T> device;

  double at(int64_t row, int64_t column) const {
    return host[static_cast<size_t>(row * ld + column)];
  }
};

// SplitMix64 (Steele, Lea, Flood 2014): fast enough for gigabytes of inputs.
class Generator {
 public:
  using result_type = uint64_t;
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() {
    return std::numeric_limits<uint64_t>::max();
  }
  uint64_t operator()() {
    uint64_t bits = state_ += 0x9e3779b97f4a7c15u;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
  }
  float Between(float low, float high) {
    return low + (high - low) * static_cast<float>((*this)() >> 40) * 0x1p-24f;
  }

 private:
  uint64_t state_ = 20260101;
};

// One run of all checks.
class Checks {
 public:
  // Small: only the small shapes, and nothing is timed.
  Checks(bool small, cudaStream_t stream) : small_(small), stream_(stream) {}

  bool small() const { return small_; }
  cudaStream_t stream() const { return stream_; }
  Floors& floors() { return floors_; }
  int failed() const { return failed_; }
  int passed() const { return passed_; }

  // Values between low and high.
  template <class T>
  Input<T> Random(int64_t rows, int64_t ld, float low, float high) {
    std::vector<T> values(static_cast<size_t>(rows * ld));
    std::vector<float> host(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = Rounded<T>(random_.Between(low, high));
      host[i] = Widened(values[i]);
    }
    return {ld, std::move(host), DeviceArray<T>(values)};
  }
  Generator& random() { return random_; }

  // Passes if matrix `actual`, [rows, dim] with rows `ld` apart, differs from
  // `expected`, [rows, dim], by at most `bound` relative to its norm, no single
  // value by more than 16 times that, and what lies between the rows has not
  // been written.
  template <class T>
  void Compare(const std::string& name, const DeviceArray<T>& actual,
               int64_t rows, int64_t dim, int64_t ld,
               const std::vector<double>& expected, double bound) {
    const std::vector<T> values = actual.Read();
    std::vector<float> wide(values.size());
    for (size_t i = 0; i < values.size(); ++i) wide[i] = Widened(values[i]);
    CompareWide(name, wide, rows, dim, ld, expected, bound);
  }

  void Expect(const std::string& name, bool holds);

  // Passes if two runs gave the same bits.
  template <class T>
  void ExpectSame(const std::string& name, const std::vector<T>& first,
                  const std::vector<T>& second) {
    Expect(name + ": the same bits again",
           first.size() == second.size() &&
               std::memcmp(first.data(), second.data(),
                           first.size() * sizeof(T)) == 0);
  }

  // Prints the median time of `body`, which queues work on stream(), and its
  // ratio to the floor: the larger of bytes over copy bandwidth and operations
  // over cuBLAS's rate.
  void Time(const std::string& name, double bytes, double operations,
            const std::function<void()>& body);
  // Of runs that find the second-level cache full of something else.
  double MedianSeconds(const std::function<void()>& body);

 private:
  void CompareWide(const std::string& name, const std::vector<float>& actual,
                   int64_t rows, int64_t dim, int64_t ld,
                   const std::vector<double>& expected, double bound);

  bool small_;
  cudaStream_t stream_;
  Floors floors_;
  Generator random_;
  int failed_ = 0;
  int passed_ = 0;
};

// body(i) for i in [0, count), on all cores: references of large shapes.
void Parallel(int64_t count, const std::function<void(int64_t)>& body);

// The checks, one function per header of kernels/cuda.
void CheckAttention(Checks& checks);
void CheckConv1d(Checks& checks);
void CheckDeltaRule(Checks& checks);
void CheckElementwise(Checks& checks);
void CheckLinear(Checks& checks);
void CheckMemoryPool(Checks& checks);
void CheckNorm(Checks& checks);
void CheckQuantizedGemm(Checks& checks);
void CheckRouter(Checks& checks);
void CheckSelectiveScan(Checks& checks);
void CheckSsd(Checks& checks);

}  // namespace braid::gpu_check

#endif  // BRAID_TESTS_GPU_CHECK_H_
