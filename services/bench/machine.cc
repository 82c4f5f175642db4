#include "services/bench/machine.h"

#include <stdlib.h>

#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "kernels/gemm.h"

namespace braid::services {
namespace {

// The value of a `Name: value` line.
std::string LineValue(const char* path, const std::string& name) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (parts.size() == 2 && absl::StripAsciiWhitespace(parts[0]) == name) {
      return std::string(absl::StripAsciiWhitespace(parts[1]));
    }
  }
  return "";
}

// A `VmHWM:  1234 kB` line of /proc/self/status.
uint64_t StatusBytes(const std::string& name) {
  const std::string value = LineValue("/proc/self/status", name);
  uint64_t kilobytes = 0;
  const std::vector<std::string> parts = absl::StrSplit(value, ' ');
  return absl::SimpleAtoi(parts[0], &kilobytes) ? kilobytes * 1024 : 0;
}

}  // namespace

Json DescribeMachine(int threads) {
  std::string cpu = LineValue("/proc/cpuinfo", "model name");
  if (cpu.empty()) cpu = "unknown";
  double load[3] = {0, 0, 0};
  const int known = getloadavg(load, 3);
  Json averages = Json::array();
  for (int i = 0; i < known; ++i) averages.push_back(load[i]);
  return {{"cpu", cpu},
          {"cores", std::thread::hardware_concurrency()},
          {"kernel_target", kernels::KernelTarget()},
          {"threads", threads},
          {"load_average", averages}};
}

bool ResetPeakResidentBytes() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return static_cast<bool>(file);
}

uint64_t PeakResidentBytes() { return StatusBytes("VmHWM"); }

uint64_t AnonymousBytes() { return StatusBytes("RssAnon"); }

}  // namespace braid::services
