// Brings a model's checkpoint from a hub into a directory that
// `generation::Generator` can load.
#ifndef BRAID_SERVICES_HUB_FETCH_MODEL_H_
#define BRAID_SERVICES_HUB_FETCH_MODEL_H_

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/hub/hub_client.h"

namespace braid::services::hub {

struct FetchRequest {
  std::string repository;         // ORG/NAME
  std::string revision = "main";  // branch, tag or commit
  std::string directory;          // created if it does not exist
};

struct FetchProgress {
  // kChecking: files, and parts of files, that are there already.
  enum class Stage { kChecking, kFetching };
  Stage stage = Stage::kChecking;
  uint64_t done_bytes = 0;  // of this stage
  uint64_t total_bytes = 0;
};
using FetchObserver = std::function<void(const FetchProgress&)>;

struct FetchReport {
  struct File {
    std::string name;
    uint64_t bytes = 0;
    bool kept = false;  // was there already, whole and right
  };
  std::string commit;
  std::vector<File> files;
  uint64_t bytes = 0;           // of all files
  uint64_t received_bytes = 0;  // in this run
};

// The files among `listed` that a checkpoint needs: configuration, tokenizer,
// chat template, and the weights as safetensors. Small ones come first, so that
// a mistake shows before the weights have come. FAILED_PRECONDITION if there is
// no config.json or no safetensors file.
absl::StatusOr<std::vector<HubFile>> SelectFiles(std::vector<HubFile> listed);

// All files come from the one commit that the revision names at the start, and
// bear their names only once their checksums are right; files that are right
// already are not fetched. What an interrupted or failed run leaves (FILE.part)
// is taken up by the next. INVALID_ARGUMENT for a malformed repository or
// revision; RESOURCE_EXHAUSTED, before anything is fetched, if the disk lacks
// room; FAILED_PRECONDITION if another process fetches into the directory;
// otherwise as HubClient, naming the file.
absl::StatusOr<FetchReport> FetchModel(const FetchRequest& request,
                                       HubClient* hub,
                                       const FetchObserver& observer,
                                       std::stop_token stop);

}  // namespace braid::services::hub

#endif  // BRAID_SERVICES_HUB_FETCH_MODEL_H_
