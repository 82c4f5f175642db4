#include "tests/fault/file_faults.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <utility>
#include <vector>

namespace braid::testing {
namespace {

// libc's own.
template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}
#define REAL(name)                                                           \
  [] {                                                                       \
    static auto* const real = braid::testing::Real<decltype(::name)>(#name); \
    return real;                                                             \
  }()

// A change of a directory that is not synced, so that it can be undone.
struct NameChange {
  enum class Kind { kCreate, kRename, kUnlink } kind;
  std::string directory;
  std::string path;
  std::string from;   // kRename
  std::string saved;  // what was at `path` before; empty for nothing
};

struct Watched {
  std::string root;
  std::string saved;  // directory of what unsynced changes have removed
  std::function<FileFault(const FileCall&)> decide;
  // Held shared by every call, alone by a power cut: nothing else happens then.
  std::shared_mutex machine;
  std::mutex mutex;  // guards what follows
  std::mt19937_64 random;
  std::map<ino_t, off_t> synced;  // bytes; files that are not here are synced
  std::vector<NameChange> changes;
  uint64_t next_saved = 0;
};

// Never freed: threads may outlive main.
std::atomic<Watched*> watched = nullptr;
// Calls of this file are not watched.
thread_local bool inside = false;

struct Inside {
  Inside() : before(std::exchange(inside, true)) {}
  ~Inside() { inside = before; }
  const bool before;
};

std::string PathOf(int fd) {
  char link[64];
  char path[PATH_MAX];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof(path));
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : "";
}

std::string PathAt(int directory, const char* path) {
  if (path == nullptr) return "";
  if (path[0] == '/' || directory == AT_FDCWD) return path;
  return PathOf(directory) + "/" + path;
}

std::string Parent(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

Watched* Find(const std::string& path) {
  Watched* const state = watched.load();
  if (state == nullptr || path.rfind(state->root + "/", 0) != 0) return nullptr;
  return state;
}

[[noreturn]] void Kill() {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

void Rename(const std::string& from, const std::string& to) {
  REAL(rename)(from.c_str(), to.c_str());
}

// Cuts every file below `directory` to what survives.
void DropUnsynced(Watched* state, const std::string& directory) {
  DIR* const listing = opendir(directory.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = readdir(listing)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = directory + "/" + name;
    struct stat info;
    if (lstat(path.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) {
      DropUnsynced(state, path);
      continue;
    }
    const auto synced = state->synced.find(info.st_ino);
    if (synced == state->synced.end() || info.st_size <= synced->second) {
      continue;
    }
    const off_t lost = info.st_size - synced->second;
    const off_t kept = static_cast<off_t>(
        state->random() % 3 == 0 ? 0 : state->random() % (lost + 1));
    if (truncate(path.c_str(), synced->second + kept) != 0) continue;
    // Blocks that were allocated and not written.
    if (state->random() % 3 == 0 && kept > 0) {
      if (truncate(path.c_str(), synced->second) != 0) continue;
      if (truncate(path.c_str(), synced->second + kept) != 0) continue;
    }
  }
  closedir(listing);
}

[[noreturn]] void CutPower(Watched* state) {
  state->machine.lock();
  const std::lock_guard<std::mutex> lock(state->mutex);
  DropUnsynced(state, state->root);
  DropUnsynced(state, state->saved);
  // A journal keeps the order: the first changes of a directory may be durable,
  // and then no further one.
  std::map<std::string, size_t> left;
  for (const NameChange& change : state->changes) ++left[change.directory];
  for (auto& [directory, count] : left) count = state->random() % (count + 1);
  // The last `left` changes of each directory are undone, newest first.
  for (size_t i = state->changes.size(); i-- > 0;) {
    const NameChange& change = state->changes[i];
    size_t& undo = left[change.directory];
    if (undo == 0) continue;
    --undo;
    switch (change.kind) {
      case NameChange::Kind::kCreate:
        REAL(unlink)(change.path.c_str());
        break;
      case NameChange::Kind::kRename:
        Rename(change.path, change.from);
        break;
      case NameChange::Kind::kUnlink:
        break;
    }
    if (!change.saved.empty()) Rename(change.saved, change.path);
  }
  Kill();
}

// Keeps what is at `path` so that its removal can be undone; empty if nothing
// is there.
std::string Save(Watched* state, const std::string& path) {
  const std::string saved =
      state->saved + "/" + std::to_string(++state->next_saved);
  return REAL(link)(path.c_str(), saved.c_str()) == 0 ? saved : "";
}

FileFault Ask(Watched* state, FileOperation operation, const std::string& path,
              size_t bytes = 0) {
  const FileFault fault = state->decide({operation, path, bytes});
  if (fault.kind == FileFault::Kind::kKillBefore) Kill();
  if (fault.kind == FileFault::Kind::kPowerCut &&
      operation != FileOperation::kWrite) {
    CutPower(state);
  }
  return fault;
}

// Runs `call` for what `decide` lets through; `note` after it has succeeded.
template <typename Call, typename Note>
auto Guard(FileOperation operation, const std::string& path, size_t bytes,
           Call call, Note note) -> decltype(call(size_t{0})) {
  Watched* const state = inside ? nullptr : Find(path);
  if (state == nullptr) return call(bytes);
  const Inside guard;
  const FileFault fault = Ask(state, operation, path, bytes);
  if (fault.kind == FileFault::Kind::kError) {
    errno = fault.error;
    return -1;
  }
  const bool half = (fault.kind == FileFault::Kind::kShort ||
                     fault.kind == FileFault::Kind::kPowerCut) &&
                    bytes > 1;
  state->machine.lock_shared();
  const auto result = call(half ? bytes / 2 : bytes);
  const int error = errno;
  if (result >= 0) {
    const std::lock_guard<std::mutex> lock(state->mutex);
    note(state, result);
  }
  state->machine.unlock_shared();
  if (fault.kind == FileFault::Kind::kKillAfter) Kill();
  if (fault.kind == FileFault::Kind::kPowerCut) CutPower(state);
  errno = error;
  return result;
}

constexpr auto kNothing = [](Watched*, auto) {};

template <typename Call>
int Open(const std::string& path, int flags, Call call) {
  Watched* const state = inside ? nullptr : Find(path);
  if (state == nullptr || (flags & O_ACCMODE) == O_RDONLY) return call();
  struct stat before;
  const bool existed = lstat(path.c_str(), &before) == 0;
  const auto note = [&](Watched* machine, int fd) {
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return;
    if (!existed) {
      machine->synced[info.st_ino] = 0;
      machine->changes.push_back(
          {NameChange::Kind::kCreate, Parent(path), path, "", ""});
    } else {
      machine->synced.try_emplace(info.st_ino, before.st_size);
      if ((flags & O_TRUNC) != 0) machine->synced[info.st_ino] = 0;
    }
  };
  return Guard(
      FileOperation::kCreate, path, 0, [&](size_t) { return call(); }, note);
}

int Sync(int fd) {
  const std::string path = inside ? "" : PathOf(fd);
  struct stat info;
  if (fstat(fd, &info) != 0) return -1;
  if (Find(path) == nullptr && Find(path + "/") == nullptr) {
    return REAL(fsync)(fd);
  }
  return Guard(
      FileOperation::kSync, path, 0, [](size_t) { return 0; },
      [&](Watched* state, int) {
        if (!S_ISDIR(info.st_mode)) {
          const auto file = state->synced.find(info.st_ino);
          if (file != state->synced.end()) file->second = info.st_size;
          return;
        }
        std::erase_if(state->changes, [&](const NameChange& change) {
          if (change.directory != path) return false;
          if (!change.saved.empty()) REAL(unlink)(change.saved.c_str());
          return true;
        });
      });
}

template <typename Call>
int RenameTo(const std::string& from, const std::string& to, Call call) {
  std::string saved;
  return Guard(
      FileOperation::kRename, to, 0,
      [&](size_t) {
        Watched* const state = Find(to);
        if (state != nullptr) {
          const std::lock_guard<std::mutex> lock(state->mutex);
          saved = Save(state, to);
        }
        return call();
      },
      [&](Watched* state, int) {
        state->changes.push_back(
            {NameChange::Kind::kRename, Parent(to), to, from, saved});
      });
}

template <typename Call>
int Unlink(const std::string& path, Call call) {
  std::string saved;
  return Guard(
      FileOperation::kUnlink, path, 0,
      [&](size_t) {
        Watched* const state = Find(path);
        if (state != nullptr) {
          const std::lock_guard<std::mutex> lock(state->mutex);
          saved = Save(state, path);
        }
        return call();
      },
      [&](Watched* state, int) {
        state->changes.push_back(
            {NameChange::Kind::kUnlink, Parent(path), path, "", saved});
      });
}

ssize_t WritePart(int fd, size_t bytes,
                  const std::function<ssize_t(size_t)>& call) {
  if (inside || watched.load() == nullptr) return call(bytes);
  return Guard(FileOperation::kWrite, PathOf(fd), bytes, call, kNothing);
}

ssize_t ReadPart(int fd, size_t bytes,
                 const std::function<ssize_t(size_t)>& call) {
  if (inside || watched.load() == nullptr) return call(bytes);
  return Guard(FileOperation::kRead, PathOf(fd), bytes, call, kNothing);
}

mode_t ModeOf(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

void WatchFiles(const std::string& root, uint64_t seed,
                std::function<FileFault(const FileCall&)> decide) {
  auto* const state = new Watched();
  state->root = root;
  while (state->root.size() > 1 && state->root.back() == '/') {
    state->root.pop_back();
  }
  state->saved = state->root + ".saved";
  mkdir(state->saved.c_str(), 0755);
  state->random.seed(seed);
  state->decide = std::move(decide);
  watched.store(state);
}

void StopWatchingFiles() { watched.store(nullptr); }

}  // namespace braid::testing

using braid::testing::FileOperation;
namespace faults = braid::testing;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = faults::ModeOf(flags, arguments);
  va_end(arguments);
  return faults::Open(path, flags,
                      [&] { return REAL(open)(path, flags, mode); });
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = faults::ModeOf(flags, arguments);
  va_end(arguments);
  return faults::Open(path, flags,
                      [&] { return REAL(open64)(path, flags, mode); });
}
int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = faults::ModeOf(flags, arguments);
  va_end(arguments);
  return faults::Open(faults::PathAt(directory, path), flags, [&] {
    return REAL(openat)(directory, path, flags, mode);
  });
}
int openat64(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = faults::ModeOf(flags, arguments);
  va_end(arguments);
  return faults::Open(faults::PathAt(directory, path), flags, [&] {
    return REAL(openat64)(directory, path, flags, mode);
  });
}

ssize_t write(int fd, const void* data, size_t bytes) {
  return faults::WritePart(
      fd, bytes, [&](size_t part) { return REAL(write)(fd, data, part); });
}
ssize_t pwrite(int fd, const void* data, size_t bytes, off_t offset) {
  return faults::WritePart(fd, bytes, [&](size_t part) {
    return REAL(pwrite)(fd, data, part, offset);
  });
}
ssize_t pwrite64(int fd, const void* data, size_t bytes, off64_t offset) {
  return faults::WritePart(fd, bytes, [&](size_t part) {
    return REAL(pwrite64)(fd, data, part, offset);
  });
}
ssize_t writev(int fd, const iovec* parts, int count) {
  // As if for the first part alone, which is a short write too.
  if (count < 1) return REAL(writev)(fd, parts, count);
  return write(fd, parts[0].iov_base, parts[0].iov_len);
}
ssize_t read(int fd, void* data, size_t bytes) {
  return faults::ReadPart(
      fd, bytes, [&](size_t part) { return REAL(read)(fd, data, part); });
}
ssize_t pread(int fd, void* data, size_t bytes, off_t offset) {
  return faults::ReadPart(fd, bytes, [&](size_t part) {
    return REAL(pread)(fd, data, part, offset);
  });
}
ssize_t pread64(int fd, void* data, size_t bytes, off64_t offset) {
  return faults::ReadPart(fd, bytes, [&](size_t part) {
    return REAL(pread64)(fd, data, part, offset);
  });
}

int fsync(int fd) { return faults::Sync(fd); }
int fdatasync(int fd) { return faults::Sync(fd); }

int rename(const char* from, const char* to) {
  return faults::RenameTo(from, to, [&] { return REAL(rename)(from, to); });
}
int renameat(int from_directory, const char* from, int to_directory,
             const char* to) {
  return faults::RenameTo(
      faults::PathAt(from_directory, from), faults::PathAt(to_directory, to),
      [&] { return REAL(renameat)(from_directory, from, to_directory, to); });
}
int link(const char* from, const char* to) {
  return faults::Guard(
      FileOperation::kLink, to, 0, [&](size_t) { return REAL(link)(from, to); },
      faults::kNothing);
}
int unlink(const char* path) {
  return faults::Unlink(path, [&] { return REAL(unlink)(path); });
}
int unlinkat(int directory, const char* path, int flags) {
  if ((flags & AT_REMOVEDIR) != 0) {
    return REAL(unlinkat)(directory, path, flags);
  }
  return faults::Unlink(faults::PathAt(directory, path),
                        [&] { return REAL(unlinkat)(directory, path, flags); });
}

}  // extern "C"
