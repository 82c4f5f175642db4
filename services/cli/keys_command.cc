// `braid keys`: bearer keys in an access file.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/auth/access_file.h"
#include "services/auth/authenticator.h"
#include "services/cli/commands.h"
#include "services/cli/render.h"

namespace braid::services::cli {
namespace {

struct KeyFlags {
  std::string file;
  std::string name;
  std::string role = "reader";
  std::vector<std::string> collections;
  std::string expires;
};

// A TOML basic string.
std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump();
}

std::string EntryOf(const KeyFlags& flags, const std::string& digest) {
  std::string entry = absl::StrCat("[[key]]\nname = ", Quoted(flags.name),
                                   "\nsha256 = \"", digest, "\"\n");
  if (!flags.expires.empty()) {
    absl::StrAppend(&entry, "expires = ", flags.expires, "\n");
  }
  const std::string collections = absl::StrJoin(
      flags.collections, ", ", [](std::string* out, const std::string& id) {
        absl::StrAppend(out, Quoted(id));
      });
  absl::StrAppend(&entry, "grants = [{ role = ", Quoted(flags.role),
                  ", collections = [", collections, "] }]\n");
  return entry;
}

// Empty if there is no such file yet.
absl::StatusOr<std::string> ReadIfThere(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  if (!file) return absl::UnavailableError(absl::StrCat("cannot read ", path));
  return content;
}

// A server that reads the file meanwhile sees the old content or the new.
absl::Status Replace(const std::string& path, const std::string& content) {
  const std::string next = absl::StrCat(path, ".new");
  const auto fail = [&](const char* what) {
    const int error = errno;
    unlink(next.c_str());
    return absl::UnavailableError(
        absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(error)));
  };
  const int fd =
      open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return fail("write");
  const bool written = write(fd, content.data(), content.size()) ==
                           static_cast<ssize_t>(content.size()) &&
                       fsync(fd) == 0;
  if (close(fd) != 0 || !written) return fail("write");
  if (rename(next.c_str(), path.c_str()) != 0) return fail("replace");
  return absl::OkStatus();
}

ExitCode RunCreate(const Context& context, const KeyFlags& flags) {
  const auto key = auth::MakeKey();
  if (!key.ok()) return ReportError(key.status());
  const auto digest = auth::HashKey(*key);
  if (!digest.ok()) return ReportError(digest.status());
  auto content = ReadIfThere(flags.file);
  if (!content.ok()) return ReportError(content.status());
  if (!content->empty()) absl::StrAppend(&*content, "\n");
  absl::StrAppend(&*content, EntryOf(flags, *digest));
  // Whatever was wrong before, or is with the flags, is told before it matters.
  const auto policy = auth::ParseAccess(*content, flags.file);
  if (!policy.ok()) return ReportError(policy.status());
  const absl::Status written = Replace(flags.file, *content);
  if (!written.ok()) return ReportError(written);
  if (context.options.json) {
    PrintJsonLine({{"name", flags.name}, {"key", *key}, {"file", flags.file}});
  } else {
    std::printf("%s\n", key->c_str());
    std::fprintf(stderr,
                 "Only its hash is kept, in %s: it cannot be shown again.\n",
                 flags.file.c_str());
  }
  return kExitOk;
}

ExitCode RunCheck(const Context& context, const KeyFlags& flags) {
  const auto content = ReadIfThere(flags.file);
  if (!content.ok()) return ReportError(content.status());
  if (content->empty()) {
    return ReportError(absl::NotFoundError(
        absl::StrCat(flags.file, ": is not there, or empty")));
  }
  const auto policy = auth::ParseAccess(*content, flags.file);
  if (!policy.ok()) return ReportError(policy.status());
  if (context.options.json) {
    PrintJsonLine({{"keys", policy->keys.size()},
                   {"certificates", policy->certificates.size()},
                   {"groups", policy->groups.size()}});
  } else {
    std::printf("%zu keys, %zu certificates, %zu groups\n", policy->keys.size(),
                policy->certificates.size(), policy->groups.size());
  }
  return kExitOk;
}

}  // namespace

void AddKeys(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "keys", "Bearer keys, and the file that says what they may do");
  verb->require_subcommand(1);
  const auto flags = std::make_shared<KeyFlags>();

  CLI::App* create = verb->add_subcommand(
      "create", "Make a key and add its hash to an access file");
  AddBasicFlags(create, common);
  create->add_option("NAME", flags->name, "Whose key it is")->required();
  create->add_option("--file", flags->file, "Access file; made if absent")
      ->type_name("FILE")
      ->required();
  create->add_option("--role", flags->role, "What it may do")
      ->check(CLI::IsMember({"reader", "writer", "admin"}))
      ->capture_default_str();
  create
      ->add_option("--collection", flags->collections,
                   "Where: an id, a prefix and *, or * (may be repeated)")
      ->type_name("ID")
      ->required();
  create
      ->add_option("--expires", flags->expires,
                   "Until when, such as 2027-06-30T00:00:00Z")
      ->type_name("TIME");
  create->callback([action, flags] {
    *action = [flags](const Context& context) {
      return RunCreate(context, *flags);
    };
  });

  CLI::App* check =
      verb->add_subcommand("check", "Read an access file as the server does");
  AddBasicFlags(check, common);
  check->add_option("FILE", flags->file, "Access file")->required();
  check->callback([action, flags] {
    *action = [flags](const Context& context) {
      return RunCheck(context, *flags);
    };
  });
}

}  // namespace braid::services::cli
