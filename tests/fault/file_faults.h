// Faults of the file system for a whole test process: calls that fail, that do
// less than was asked, at which the process is killed, or at which the power
// goes off.
//
// The functions of libc that change or read files (open, write, fsync, rename
// and so on) are defined anew in the test's executable. They come before libc's
// for everything in the process: for RocksDB, for FAISS, for Rust's standard
// library in Tantivy. So what is tested is the product as it is shipped; it has
// no hook that could be left in.
#ifndef BRAID_TESTS_FAULT_FILE_FAULTS_H_
#define BRAID_TESTS_FAULT_FILE_FAULTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace braid::testing {

enum class FileOperation {
  kCreate,
  kRead,
  kWrite,
  kSync,  // of a file or a directory
  kRename,
  kLink,
  kUnlink,
};

struct FileCall {
  FileOperation operation;
  std::string path;  // the new one of kRename and kLink
  size_t bytes = 0;  // of kRead and kWrite
};

struct FileFault {
  enum class Kind {
    kNone,
    kError,       // the call fails with `error` and does nothing
    kShort,       // kRead, kWrite: only half of the bytes
    kKillBefore,  // SIGKILL
    kKillAfter,
    // What was not synced is lost, or part of it, and then SIGKILL; a write
    // that meets this is cut short.
    kPowerCut,
  };
  Kind kind = Kind::kNone;
  int error = 0;  // errno
};

// From now on asks `decide` about every call on a file below `root`, from any
// thread; `decide` must not use files there. Syncs only remember what was
// synced: a process that is killed loses nothing that it has written. `seed`
// decides what of the unsynced part survives a power cut.
void WatchFiles(const std::string& root, uint64_t seed,
                std::function<FileFault(const FileCall&)> decide);
// Back to normal.
void StopWatchingFiles();

}  // namespace braid::testing

#endif  // BRAID_TESTS_FAULT_FILE_FAULTS_H_
