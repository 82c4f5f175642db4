// What a parser worker gives up before it reads the first byte of a document.
#ifndef BRAID_RETRIEVAL_INGEST_WORKER_SANDBOX_H_
#define BRAID_RETRIEVAL_INGEST_WORKER_SANDBOX_H_

#include <cstddef>

#include "absl/status/status.h"

namespace braid::retrieval {

// False in builds with sanitizers, which need what the sandbox takes away.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSandboxed = false;
#elif defined(__has_feature)
inline constexpr bool kSandboxed =
    !(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||
      __has_feature(undefined_behavior_sanitizer));
#else
inline constexpr bool kSandboxed = true;
#endif

// Limits this process, for good, to `memory_bytes` of address space and to the
// system calls that computing on memory and answering on open descriptors take:
// no sockets, no processes or threads, no writing of files, no core dumps.
// Reading of files ends at poppler's tables of Asian character sets where the
// kernel has Landlock (5.13), else at what the user may read. Also sees to it
// that the process ends within a second of its parent. UNAVAILABLE if the
// kernel refuses the system call filter. Where !kSandboxed, only the last.
absl::Status EnterSandbox(size_t memory_bytes);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_WORKER_SANDBOX_H_
