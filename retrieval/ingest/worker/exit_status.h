// How a parser worker says why it ended.
#ifndef BRAID_RETRIEVAL_INGEST_WORKER_EXIT_STATUS_H_
#define BRAID_RETRIEVAL_INGEST_WORKER_EXIT_STATUS_H_

namespace braid::retrieval {

inline constexpr int kExitNoMoreWork = 0;
inline constexpr int kExitNotFromPool = 64;  // started by hand
inline constexpr int kExitBadRequest = 65;
inline constexpr int kExitOutOfMemory = 66;
inline constexpr int kExitNoSandbox = 67;
inline constexpr int kExitCannotLoad = 127;  // of the dynamic loader

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_WORKER_EXIT_STATUS_H_
