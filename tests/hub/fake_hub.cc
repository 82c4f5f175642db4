#include "tests/hub/fake_hub.h"

#include <openssl/sha.h>

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace braid::services::hub {

std::string Sha256Of(const std::string& content) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(),
         digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

std::string GitSha1Of(const std::string& content) {
  const std::string blob =
      absl::StrCat("blob ", content.size(), std::string(1, '\0'), content);
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(blob.data()), blob.size(),
       digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

std::string ContentPath(const std::string& name) {
  return absl::StrCat("/", kRepository, "/resolve/", kCommit, "/", name);
}

FakeHub::FakeHub(std::map<std::string, std::string> files)
    : listing(nlohmann::json::array()),
      files_(std::move(files)),
      server_([this](const HttpRequest& request) { return Handle(request); }) {
  for (const auto& [name, content] : files_) {
    nlohmann::json entry = {{"type", "file"},
                            {"path", name},
                            {"size", content.size()},
                            {"oid", GitSha1Of(content)}};
    if (absl::EndsWith(name, ".safetensors")) {
      // The blob that git holds is a pointer of another size.
      entry["oid"] = std::string(40, 'a');
      entry["lfs"] = {{"oid", Sha256Of(content)},
                      {"size", content.size()},
                      {"pointerSize", 135}};
    }
    listing.push_back(entry);
  }
}

std::vector<HttpRequest> FakeHub::Downloads(const std::string& name) const {
  std::vector<HttpRequest> found;
  for (const HttpRequest& request : requests()) {
    if (request.target == ContentPath(name)) found.push_back(request);
  }
  return found;
}

HttpReply FakeHub::Content(const HttpRequest& request,
                           const std::string& name) const {
  const std::string& content = files_.at(name);
  HttpReply reply;
  reply.headers = {absl::StrCat("X-Repo-Commit: ", kCommit)};
  const auto range = request.headers.find("range");
  if (range == request.headers.end()) {
    reply.body = content;
    return reply;
  }
  // bytes=N-
  const size_t from = std::strtoull(range->second.c_str() + 6, nullptr, 10);
  if (from >= content.size()) {
    reply.status = 416;
    return reply;
  }
  reply.status = 206;
  reply.headers.push_back(absl::StrCat("Content-Range: bytes ", from, "-",
                                       content.size() - 1, "/",
                                       content.size()));
  reply.body = content.substr(from);
  return reply;
}

HttpReply FakeHub::Handle(const HttpRequest& request) const {
  if (intercept) {
    std::optional<HttpReply> reply = intercept(request);
    if (reply.has_value()) return *std::move(reply);
  }
  const std::string api = absl::StrCat("/api/models/", kRepository);
  if (request.target == absl::StrCat(api, "/revision/main") ||
      request.target == absl::StrCat(api, "/revision/", kCommit) ||
      request.target == absl::StrCat(api, "/revision/refs%2Fpr%2F1")) {
    return {200, {}, nlohmann::json{{"sha", kCommit}}.dump(), {}, false};
  }
  if (request.target ==
      absl::StrCat(api, "/tree/", kCommit, "?recursive=true")) {
    return {200, {}, listing.dump(), {}, false};
  }
  for (const auto& file : files_) {
    if (request.target == ContentPath(file.first)) {
      return Content(request, file.first);
    }
  }
  return {404, {}, R"({"error":"Repository not found"})", {}, false};
}

}  // namespace braid::services::hub
