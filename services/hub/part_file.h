// A file that is not whole yet: `FILE.part`, which becomes FILE when its
// checksum is right.
#ifndef BRAID_SERVICES_HUB_PART_FILE_H_
#define BRAID_SERVICES_HUB_PART_FILE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/hub/hub_client.h"

namespace braid::services::hub {

// Bytes of the file that have passed by: checksummed or written.
using ByteObserver = std::function<void(uint64_t)>;

// Not thread-safe, and one process at a time: FetchModel locks the directory.
class PartFile : public ResumableSink {
 public:
  // Opens or creates `directory`/NAME.part and checksums what is there, telling
  // `on_checked`. `on_written` is told of every piece that arrives later.
  static absl::StatusOr<std::unique_ptr<PartFile>> Open(
      const std::string& directory, const HubFile& file,
      ByteObserver on_checked, ByteObserver on_written, std::stop_token stop);
  ~PartFile() override;

  uint64_t offset() const override { return offset_; }
  // Whether it began with bytes of an earlier run.
  bool resumed() const { return resumed_; }
  // Bytes that arrived, those that had to be dropped again included.
  uint64_t received() const { return received_; }

  // Goes on where the file ends, or from its start if the server ignored the
  // range that was asked for.
  absl::Status Begin(const HttpResponse& response) override;
  // DATA_LOSS, and the file is deleted, when there is more than was listed;
  // RESOURCE_EXHAUSTED for a full disk.
  absl::Status Write(absl::string_view bytes) override;
  absl::Status Restart() override;
  absl::Status End() override;

  // Gives the file its name, durably. DATA_LOSS if the checksum is wrong: then
  // the file is deleted.
  absl::Status Publish();

 private:
  PartFile(std::string directory, const HubFile& file, int fd,
           ByteObserver on_written);
  absl::Status Discard(const std::string& why);

  const std::string directory_;
  const HubFile file_;
  const std::string path_;  // of the .part
  const int fd_;
  const ByteObserver on_written_;
  StreamDigest digest_;
  uint64_t offset_ = 0;
  uint64_t received_ = 0;
  bool resumed_ = false;
};

// Whether `directory`/NAME is there, whole and right. CANCELLED after a stop.
absl::StatusOr<bool> IsThere(const std::string& directory, const HubFile& file,
                             const ByteObserver& on_checked,
                             std::stop_token stop);

// Bytes of NAME.part; 0 if there is none.
uint64_t PartBytes(const std::string& directory, const HubFile& file);

}  // namespace braid::services::hub

#endif  // BRAID_SERVICES_HUB_PART_FILE_H_
