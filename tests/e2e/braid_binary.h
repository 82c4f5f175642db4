// Runs the real `braid` binary.
#ifndef BRAID_TESTS_E2E_BRAID_BINARY_H_
#define BRAID_TESTS_E2E_BRAID_BINARY_H_

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace braid::testing {

using Json = nlohmann::json;

// A directory below the test's temporary one that is empty now and removed at
// the end.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  std::string operator/(const std::string& name) const {
    return path_ + "/" + name;
  }
  // Writes a file and returns its path.
  std::string Write(const std::string& name, const std::string& content) const;

 private:
  std::string path_;
};

std::string ReadFile(const std::string& path);

// What a process that ended said.
struct Output {
  int exit_code = -1;  // 128 + signal where one ended it
  std::string out;
  std::string err;

  // The last line of stdout as JSON; discarded if it is none.
  Json LastJson() const;
  // Every line of stdout as JSON.
  std::vector<Json> JsonLines() const;
};

// A running `braid`.
class BraidProcess {
 public:
  // `input` becomes its stdin.
  explicit BraidProcess(const std::vector<std::string>& arguments,
                        const std::string& input = "");
  // Kills it if it still runs.
  ~BraidProcess();
  BraidProcess(const BraidProcess&) = delete;
  BraidProcess& operator=(const BraidProcess&) = delete;

  void Signal(int signal) const;
  // Waits for its end.
  Output Wait();
  // What it has printed so far.
  std::string OutSoFar() const { return ReadFile(scratch_ / "out"); }
  bool Running();

 private:
  ScratchDirectory scratch_;
  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

// Runs it to its end.
Output RunBraid(const std::vector<std::string>& arguments,
                const std::string& input = "");

// Starts `braid serve` on a free port, with `more` arguments, and waits until
// it is ready. Empty address if it is not within a minute.
class ServerProcess {
 public:
  explicit ServerProcess(const std::string& data,
                         const std::vector<std::string>& more = {});

  const std::string& address() const { return address_; }
  BraidProcess& process() { return process_; }

 private:
  BraidProcess process_;
  std::string address_;
};

}  // namespace braid::testing

#endif  // BRAID_TESTS_E2E_BRAID_BINARY_H_
