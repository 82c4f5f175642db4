#include "services/bench/served_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "services/hub/http_client.h"

extern char** environ;

namespace braid::services {
namespace {

constexpr absl::Duration kMaxStart = absl::Minutes(2);

class Body final : public hub::BodySink {
 public:
  absl::Status Begin(const hub::HttpResponse&) override {
    text.clear();
    return absl::OkStatus();
  }
  absl::Status Write(absl::string_view bytes) override {
    absl::StrAppend(&text, bytes);
    return absl::OkStatus();
  }
  std::string text;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ServedProcess>> ServedProcess::Start(
    const std::string& config_file) {
  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) {
    return absl::InternalError("no pipe to the server");
  }
  std::string program = "/proc/self/exe";
  std::string arguments[] = {"braid",     "serve",     "--config",
                             config_file, "--address", "127.0.0.1:0",
                             "--json"};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  std::unique_ptr<ServedProcess> process(new ServedProcess());
  const int error = posix_spawn(&process->pid_, program.c_str(), &actions,
                                nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(output[1]);
  absl::Status status = error == 0
                            ? process->WaitUntilReady(output[0])
                            : absl::InternalError("cannot start the server");
  close(output[0]);
  if (!status.ok()) return status;
  return process;
}

absl::Status ServedProcess::WaitUntilReady(int output) {
  const absl::Time deadline = absl::Now() + kMaxStart;
  std::string line;
  while (line.find('\n') == std::string::npos) {
    pollfd wait = {.fd = output, .events = POLLIN, .revents = 0};
    const int left =
        static_cast<int>(absl::ToInt64Milliseconds(deadline - absl::Now()));
    char buffer[512];
    const ssize_t count = left > 0 && poll(&wait, 1, left) > 0
                              ? read(output, buffer, sizeof(buffer))
                              : 0;
    if (count <= 0) return absl::InternalError("the server does not start");
    line.append(buffer, static_cast<size_t>(count));
  }
  const auto ready = nlohmann::json::parse(line, nullptr, false);
  if (!ready.is_object()) return absl::InternalError("the server says nothing");
  address_ = ready.value("address", "");
  metrics_address_ = ready.value("metrics_address", "");
  return absl::OkStatus();
}

ServedProcess::~ServedProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

uint64_t ServedProcess::ResidentBytes() const {
  std::ifstream statm(absl::StrCat("/proc/", pid_, "/statm"));
  uint64_t total = 0;
  uint64_t resident = 0;
  if (!(statm >> total >> resident)) return 0;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

absl::StatusOr<std::map<std::string, double>> ServedProcess::ReadMetrics()
    const {
  const std::string url = absl::StrCat("http://", metrics_address_);
  auto client = hub::HttpClient::Create({.origin = url});
  if (!client.ok()) return client.status();
  Body body;
  const auto response =
      (*client)->Get(url + "/metrics", 0, &body, std::stop_token());
  if (!response.ok()) return response.status();
  std::map<std::string, double> samples;
  for (const absl::string_view line : absl::StrSplit(body.text, '\n')) {
    const size_t space = line.rfind(' ');
    double value = 0;
    if (line.empty() || line[0] == '#' || space == absl::string_view::npos ||
        !absl::SimpleAtod(line.substr(space + 1), &value)) {
      continue;
    }
    samples[std::string(line.substr(0, space))] = value;
  }
  return samples;
}

int ServedProcess::Stop() {
  int status = 0;
  kill(pid_, SIGTERM);
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace braid::services
