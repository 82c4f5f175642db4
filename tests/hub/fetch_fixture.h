// A fake hub, an empty directory, and a fetch from one into the other.
#ifndef BRAID_TESTS_HUB_FETCH_FIXTURE_H_
#define BRAID_TESTS_HUB_FETCH_FIXTURE_H_

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "services/hub/fetch_model.h"
#include "tests/checkpoint/test_directory.h"
#include "tests/hub/fake_hub.h"

namespace braid::services::hub {

inline constexpr char kWeights[] = "model.safetensors";

// `size` bytes that do not repeat soon.
inline std::string Noise(size_t size) {
  std::string noise;
  uint32_t state = 1;
  for (size_t i = 0; i < size; ++i) {
    state = state * 1664525 + 1013904223;
    noise.push_back(static_cast<char>(state >> 24));
  }
  return noise;
}

class FetchTest : public testing::Test {
 protected:
  FetchTest()
      : directory_(model::NewDirectory("fetched")),
        weights_(Noise(300'000)),
        hub_({{"config.json", "{}"},
              {"tokenizer.json", "[\"t\"]"},
              {"README.md", "read me"},
              {kWeights, weights_}}) {
    options_.endpoint = hub_.url();
    options_.backoff = absl::Milliseconds(1);
    options_.max_backoff = absl::Milliseconds(4);
    options_.max_attempts = 4;
  }

  absl::StatusOr<FetchReport> Fetch(std::stop_token stop = {}) {
    auto client = HubClient::Create(options_);
    if (!client.ok()) return client.status();
    FetchRequest request;
    request.repository = repository_;
    request.revision = revision_;
    request.directory = directory_;
    return FetchModel(request, client->get(), observer_, stop);
  }

  std::string Path(const std::string& name) const {
    return directory_ + "/" + name;
  }
  // What stands there; "(none)" if there is no such file.
  std::string Read(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    if (!file) return "(none)";
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::binary) << text;
  }
  // Answers the `n`-th download of the weights (from 0) by `change`d content.
  void Spoil(size_t n, std::function<void(HttpReply*)> change) {
    hub_.intercept =
        [this, n,
         change](const HttpRequest& request) -> std::optional<HttpReply> {
      if (request.target != ContentPath(kWeights) || asked_++ != n) {
        return std::nullopt;
      }
      HttpReply reply = hub_.Content(request, kWeights);
      change(&reply);
      return reply;
    };
  }
  // The Range headers of the downloads of the weights, "" for none.
  std::vector<std::string> Ranges() const {
    std::vector<std::string> ranges;
    for (const HttpRequest& request : hub_.Downloads(kWeights)) {
      const auto range = request.headers.find("range");
      ranges.push_back(range == request.headers.end() ? "" : range->second);
    }
    return ranges;
  }

  std::string repository_ = kRepository;
  std::string revision_ = "main";
  std::string directory_;
  const std::string weights_;
  size_t asked_ = 0;  // used by the hub's thread
  FakeHub hub_;
  HubOptions options_;
  FetchObserver observer_;
};

}  // namespace braid::services::hub

#endif  // BRAID_TESTS_HUB_FETCH_FIXTURE_H_
