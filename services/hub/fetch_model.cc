#include "services/hub/fetch_model.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/hub/part_file.h"

namespace braid::services::hub {
namespace {

namespace fs = std::filesystem;

// What stays free on the disk.
constexpr uint64_t kSpareBytes = 64 << 20;

constexpr absl::string_view kSmallFiles[] = {"config.json",
                                             "generation_config.json",
                                             "tokenizer.json",
                                             "tokenizer_config.json",
                                             "chat_template.jinja",
                                             "special_tokens_map.json",
                                             "model.safetensors.index.json"};

bool IsWeights(const HubFile& file) {
  return absl::EndsWith(file.name, ".safetensors");
}

bool IsSmall(const HubFile& file) {
  return std::find(std::begin(kSmallFiles), std::end(kSmallFiles), file.name) !=
         std::end(kSmallFiles);
}

// Holds a directory for this process; -1 if another one does.
int LockDirectory(const std::string& directory) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

// Bytes of `file` that are still to come.
uint64_t MissingBytes(const std::string& directory, const HubFile& file) {
  const uint64_t there = PartBytes(directory, file);
  return there <= file.bytes ? file.bytes - there : file.bytes;
}

class Fetch {
 public:
  Fetch(const FetchRequest& request, HubClient* hub,
        const FetchObserver& observer, std::stop_token stop)
      : request_(request), hub_(hub), observer_(observer), stop_(stop) {}

  absl::StatusOr<FetchReport> Run(std::vector<HubFile> files,
                                  std::string commit);

 private:
  using Stage = FetchProgress::Stage;

  // Finds out which files are there already.
  absl::Status Check(const std::vector<HubFile>& files);
  absl::Status CheckSpace(uint64_t wanted) const;
  absl::Status FetchFile(const HubFile& file);
  void Tell(Stage stage, uint64_t done, uint64_t total) const {
    if (observer_) observer_({stage, done, total});
  }

  const FetchRequest& request_;
  HubClient* const hub_;
  const FetchObserver& observer_;
  const std::stop_token stop_;
  FetchReport report_;
  uint64_t fetched_ = 0;  // bytes of the fetching stage
  uint64_t wanted_ = 0;
};

absl::Status Fetch::Check(const std::vector<HubFile>& files) {
  uint64_t total = 0;
  std::error_code ignored;
  for (const HubFile& file : files) {
    if (fs::exists(fs::path(request_.directory) / file.name, ignored)) {
      total += file.bytes;
    }
  }
  uint64_t before = 0;
  for (const HubFile& file : files) {
    uint64_t checked = 0;
    absl::StatusOr<bool> there = IsThere(
        request_.directory, file,
        [&](uint64_t bytes) {
          checked = bytes;
          Tell(Stage::kChecking, before + bytes, total);
        },
        stop_);
    if (!there.ok()) return there.status();
    before += checked;
    report_.files.push_back({file.name, file.bytes, *there});
    report_.bytes += file.bytes;
    if (!*there) wanted_ += MissingBytes(request_.directory, file);
  }
  return absl::OkStatus();
}

absl::Status Fetch::CheckSpace(uint64_t wanted) const {
  std::error_code error;
  const fs::space_info space = fs::space(request_.directory, error);
  if (error || wanted == 0) return absl::OkStatus();
  if (space.available > kSpareBytes &&
      space.available - kSpareBytes >= wanted) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      request_.directory, ": ", wanted, " bytes are to come, and ",
      space.available, " are free (", kSpareBytes, " of them stay free)"));
}

absl::Status Fetch::FetchFile(const HubFile& file) {
  // Twice if the bytes of an earlier run turn out to be of another version.
  for (bool again = false;; again = true) {
    absl::StatusOr<std::unique_ptr<PartFile>> part = PartFile::Open(
        request_.directory, file,
        [&](uint64_t bytes) { Tell(Stage::kChecking, bytes, file.bytes); },
        [&](uint64_t bytes) {
          fetched_ += bytes;
          // What has to be fetched a second time was not counted on.
          wanted_ = std::max(wanted_, fetched_);
          Tell(Stage::kFetching, fetched_, wanted_);
        },
        stop_);
    if (!part.ok()) return part.status();
    absl::Status status;
    if ((*part)->offset() < file.bytes) {
      status = hub_->Download(request_.repository, report_.commit, file.name,
                              part->get(), stop_);
    }
    report_.received_bytes += (*part)->received();
    const bool resumed = (*part)->resumed();
    if (status.ok()) status = (*part)->Publish();
    if (absl::IsDataLoss(status) && resumed && !again) continue;
    return status;
  }
}

absl::StatusOr<FetchReport> Fetch::Run(std::vector<HubFile> files,
                                       std::string commit) {
  report_.commit = std::move(commit);
  std::error_code error;
  fs::create_directories(request_.directory, error);
  const int lock = LockDirectory(request_.directory);
  if (lock < 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        request_.directory, ": ",
        error ? absl::StrCat("cannot be created: ", error.message())
              : "not a directory, or another process is fetching into it"));
  }
  const auto unlock = absl::MakeCleanup([lock] { close(lock); });
  absl::Status status = Check(files);
  if (status.ok()) status = CheckSpace(wanted_);
  for (size_t i = 0; status.ok() && i < files.size(); ++i) {
    if (!report_.files[i].kept) status = FetchFile(files[i]);
  }
  if (!status.ok()) return status;
  return std::move(report_);
}

}  // namespace

absl::StatusOr<std::vector<HubFile>> SelectFiles(std::vector<HubFile> listed) {
  const auto is_named = [&](absl::string_view name) {
    return std::any_of(listed.begin(), listed.end(),
                       [&](const HubFile& file) { return file.name == name; });
  };
  if (!is_named("config.json")) {
    return absl::FailedPreconditionError(
        "no config.json: not a model of the transformers library");
  }
  const bool usual =
      is_named("model.safetensors") || is_named("model.safetensors.index.json");
  std::vector<HubFile> files;
  uint64_t weights = 0;
  for (HubFile& file : listed) {
    // Some writers add the same weights in a second layout.
    const bool twin = usual && absl::StartsWith(file.name, "consolidated");
    if (IsWeights(file) && !twin) {
      ++weights;
    } else if (!IsSmall(file)) {
      continue;
    }
    files.push_back(std::move(file));
  }
  if (weights == 0) {
    return absl::FailedPreconditionError(
        "no *.safetensors: weights in other formats cannot be read");
  }
  std::stable_sort(files.begin(), files.end(),
                   [](const HubFile& a, const HubFile& b) {
                     return IsWeights(a) < IsWeights(b);
                   });
  return files;
}

absl::StatusOr<FetchReport> FetchModel(const FetchRequest& request,
                                       HubClient* hub,
                                       const FetchObserver& observer,
                                       std::stop_token stop) {
  absl::Status status = CheckRepository(request.repository);
  if (status.ok()) status = CheckRevision(request.revision);
  if (!status.ok()) return status;
  absl::StatusOr<std::string> commit =
      hub->ResolveCommit(request.repository, request.revision, stop);
  if (!commit.ok()) return commit.status();
  absl::StatusOr<std::vector<HubFile>> listed =
      hub->ListFiles(request.repository, *commit, stop);
  if (!listed.ok()) return listed.status();
  absl::StatusOr<std::vector<HubFile>> files = SelectFiles(*std::move(listed));
  if (!files.ok()) {
    return absl::Status(
        files.status().code(),
        absl::StrCat(request.repository, ": ", files.status().message()));
  }
  return Fetch(request, hub, observer, stop).Run(*std::move(files), *commit);
}

}  // namespace braid::services::hub
