// What an operation of the CUDA backend answers. The backend depends on the
// CUDA toolkit alone, so that it builds where no other library is; the layers
// above turn this into their own status.
#ifndef BRAID_KERNELS_CUDA_STATUS_H_
#define BRAID_KERNELS_CUDA_STATUS_H_

#include <cuda_runtime_api.h>

#include <string>
#include <utility>

namespace braid::kernels::cuda {

class [[nodiscard]] Status {
 public:
  enum class Code {
    kOk,
    kInvalidArgument,  // parameters that the operation does not support
    kOutOfMemory,      // of the device or of a pool
    kDevice,           // everything else that the CUDA runtime reports
  };

  Status() = default;  // kOk

  static Status InvalidArgument(std::string message) {
    return Status(Code::kInvalidArgument, std::move(message));
  }
  static Status Device(std::string message) {
    return Status(Code::kDevice, std::move(message));
  }
  // kOk for cudaSuccess. `what` says what was tried.
  static Status FromCuda(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return Status();
    return Status(
        error == cudaErrorMemoryAllocation ? Code::kOutOfMemory : Code::kDevice,
        std::string(what) + ": " + cudaGetErrorString(error));
  }

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }  // empty if ok()

 private:
  Status(Code code, std::string message)
      : code_(code), message_(std::move(message)) {}

  Code code_ = Code::kOk;
  std::string message_;
};

}  // namespace braid::kernels::cuda

// Leaves the function with the status of `expression` unless that is ok.
#define BRAID_CUDA_RETURN_IF_ERROR(expression)                  \
  do {                                                          \
    ::braid::kernels::cuda::Status braid_status = (expression); \
    if (!braid_status.ok()) return braid_status;                \
  } while (false)

// Leaves the function unless `condition` holds: a check of parameters.
#define BRAID_CUDA_REQUIRE(condition, message)                         \
  do {                                                                 \
    if (!(condition)) {                                                \
      return ::braid::kernels::cuda::Status::InvalidArgument(message); \
    }                                                                  \
  } while (false)

#endif  // BRAID_KERNELS_CUDA_STATUS_H_
