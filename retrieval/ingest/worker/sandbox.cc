#include "retrieval/ingest/worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

// Poppler's tables of Asian character sets; Debian keeps a part of them with
// the fonts.
constexpr const char* kReadableDirectories[] = {"/usr/share/poppler",
                                                "/usr/share/fonts/cMap"};

pid_t parent = 0;

void EndWithParent(int) {
  if (getppid() != parent) _exit(0);
}

// PR_SET_PDEATHSIG would fire when the thread that started us ends, and the
// pool's workers outlive its callers' threads. An idle worker ends anyway: its
// socket is closed.
void WatchParent() {
  parent = getppid();
  struct sigaction action = {};
  action.sa_handler = EndWithParent;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval second = {{1, 0}, {1, 0}};
  setitimer(ITIMER_REAL, &second, nullptr);
}

void Limit(int resource, rlim_t value) {
  const rlimit limit = {value, value};
  setrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
}

// Nothing of the file system but those. A kernel without Landlock goes
// without: the filter below allows only reading.
void RestrictFiles() {
  constexpr uint64_t kRead =
      LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
  landlock_ruleset_attr attributes = {};
  attributes.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  const long rules =
      syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
  if (rules < 0) return;
  for (const char* path : kReadableDirectories) {
    const int directory = open(path, O_PATH | O_CLOEXEC);
    if (directory < 0) continue;
    landlock_path_beneath_attr rule = {};
    rule.allowed_access = kRead;
    rule.parent_fd = directory;
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(directory);
  }
  syscall(SYS_landlock_restrict_self, rules, 0);
  close(static_cast<int>(rules));
}

absl::Status FilterSystemCalls() {
  // Everything else fails with EPERM, which libraries handle, where killing
  // would turn a harmless probe into a crash.
  std::unique_ptr<void, void (*)(void*)> filter(
      seccomp_init(SCMP_ACT_ERRNO(EPERM)),
      [](void* context) { seccomp_release(context); });
  if (filter == nullptr) return absl::UnavailableError("no memory");
  constexpr int kAllowed[] = {
      // Memory.
      SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap),
      SCMP_SYS(mprotect), SCMP_SYS(madvise),
      // Open descriptors.
      SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write),
      SCMP_SYS(writev), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(fstat),
      SCMP_SYS(newfstatat), SCMP_SYS(fcntl), SCMP_SYS(dup2),
      SCMP_SYS(getdents64), SCMP_SYS(poll), SCMP_SYS(ppoll),
      // Looking at paths.
      SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
      SCMP_SYS(stat), SCMP_SYS(statx), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
      SCMP_SYS(getcwd),
      // Time, locks, ends.
      SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time),
      SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(times),
      SCMP_SYS(getrusage), SCMP_SYS(futex), SCMP_SYS(sched_yield),
      SCMP_SYS(sched_getaffinity), SCMP_SYS(getrandom), SCMP_SYS(sysinfo),
      SCMP_SYS(uname), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid),
      SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
      SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
      SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(exit),
      SCMP_SYS(exit_group)};
  int error = 0;
  for (const int call : kAllowed) {
    error = std::min(error,
                     seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0));
  }
  constexpr scmp_datum_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC;
  error = std::min(
      {error,
       // Reading only.
       seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
                        SCMP_A1(SCMP_CMP_MASKED_EQ, kWriting, O_RDONLY)),
       seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                        SCMP_A2(SCMP_CMP_MASKED_EQ, kWriting, O_RDONLY)),
       // abort().
       seccomp_rule_add(
           filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
           SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid())))});
  if (error == 0) error = seccomp_load(filter.get());
  if (error == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("no system call filter: ", std::strerror(-error)));
}

}  // namespace

absl::Status EnterSandbox(size_t memory_bytes) {
  WatchParent();
  if (!kSandboxed) return absl::OkStatus();
  Limit(RLIMIT_AS, memory_bytes);
  Limit(RLIMIT_FSIZE, 0);
  signal(SIGXFSZ, SIG_IGN);
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_NOFILE, 64);
  // Libraries complain there, at the will of who wrote the document.
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  RestrictFiles();
  absl::Status status = FilterSystemCalls();
  if (status.ok() && nowhere >= 0) {
    dup2(nowhere, STDERR_FILENO);
    close(nowhere);
  }
  return status;
}

}  // namespace braid::retrieval
