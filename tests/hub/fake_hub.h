// A Hugging Face hub with one model, inside a test.
#ifndef BRAID_TESTS_HUB_FAKE_HUB_H_
#define BRAID_TESTS_HUB_FAKE_HUB_H_

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/hub/http_server.h"

namespace braid::services::hub {

inline constexpr char kRepository[] = "org/tiny-model";
inline constexpr char kCommit[] = "0123456789abcdef0123456789abcdef01234567";

class FakeHub {
 public:
  // Files whose name ends in .safetensors are listed with a SHA-256, the others
  // with a git checksum.
  explicit FakeHub(std::map<std::string, std::string> files);

  std::string url() const { return server_.url(); }
  std::vector<HttpRequest> requests() const { return server_.requests(); }
  // Those for the content of `name`.
  std::vector<HttpRequest> Downloads(const std::string& name) const;

  // What the listing says; to be changed before the hub is asked.
  nlohmann::json listing;
  // Asked first; an empty answer leaves the request to the hub.
  std::function<std::optional<HttpReply>(const HttpRequest&)> intercept;
  // The answer for a file's content: honours Range, as the hub does.
  HttpReply Content(const HttpRequest& request, const std::string& name) const;

 private:
  HttpReply Handle(const HttpRequest& request) const;

  const std::map<std::string, std::string> files_;
  HttpServer server_;  // last: it serves the rest
};

// Path of a file's content on the hub.
std::string ContentPath(const std::string& name);
// Lower-case hex.
std::string Sha256Of(const std::string& content);
std::string GitSha1Of(const std::string& content);

}  // namespace braid::services::hub

#endif  // BRAID_TESTS_HUB_FAKE_HUB_H_
