#include "tests/e2e/braid_binary.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

extern char** environ;

namespace braid::testing {

ScratchDirectory::ScratchDirectory() {
  path_ =
      (std::filesystem::temp_directory_path() / "braid-e2e-XXXXXX").string();
  if (mkdtemp(path_.data()) == nullptr) {
    throw std::runtime_error("cannot create " + path_);
  }
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string ScratchDirectory::Write(const std::string& name,
                                    const std::string& content) const {
  const std::filesystem::path path = *this / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
  return path.string();
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::vector<Json> Output::JsonLines() const {
  std::vector<Json> lines;
  std::istringstream stream(out);
  std::string line;
  while (std::getline(stream, line)) {
    lines.push_back(Json::parse(line, nullptr, false));
  }
  return lines;
}

Json Output::LastJson() const {
  const std::vector<Json> lines = JsonLines();
  return lines.empty() ? Json(Json::value_t::discarded) : lines.back();
}

BraidProcess::BraidProcess(const std::vector<std::string>& arguments,
                           const std::string& input) {
  const std::string in = scratch_.Write("in", input);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, in.c_str(), O_RDONLY,
                                   0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO,
                                   (scratch_ / "out").c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO,
                                   (scratch_ / "err").c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  std::vector<std::string> all = {BRAID_BINARY};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int error =
      posix_spawn(&pid_, BRAID_BINARY, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot run " BRAID_BINARY);
}

BraidProcess::~BraidProcess() {
  if (ended_) return;
  Signal(SIGKILL);
  waitpid(pid_, &status_, 0);
}

void BraidProcess::Signal(int signal) const { kill(pid_, signal); }

bool BraidProcess::Running() {
  if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
  return !ended_;
}

Output BraidProcess::Wait() {
  if (!ended_) waitpid(pid_, &status_, 0);
  ended_ = true;
  return {WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_),
          ReadFile(scratch_ / "out"), ReadFile(scratch_ / "err")};
}

Output RunBraid(const std::vector<std::string>& arguments,
                const std::string& input) {
  return BraidProcess(arguments, input).Wait();
}

ServerProcess::ServerProcess(const std::string& data,
                             const std::vector<std::string>& more)
    : process_([&] {
        std::vector<std::string> arguments = {
            "serve", "--data", data, "--address", "127.0.0.1:0", "--json"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return arguments;
      }()) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (process_.Running() && std::chrono::steady_clock::now() < deadline) {
    const std::string out = process_.OutSoFar();
    const size_t end = out.find('\n');
    if (end != std::string::npos) {
      const Json ready = Json::parse(out.substr(0, end), nullptr, false);
      if (ready.is_object()) address_ = ready.value("address", "");
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace braid::testing
