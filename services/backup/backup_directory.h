// A backup on the disk: the files of a store, and a list of them with sizes and
// checksums.
#ifndef BRAID_SERVICES_BACKUP_BACKUP_DIRECTORY_H_
#define BRAID_SERVICES_BACKUP_BACKUP_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/hub/digest.h"

namespace braid::services::backup {

struct BackupEntry {
  std::string name;  // in `store/`; letters, digits, `.`, `_` and `-`
  uint64_t bytes = 0;
  std::string sha256;  // lower-case hex
};

struct BackupManifest {
  std::string version;  // of the braid that wrote it
  absl::Time create_time;
  std::vector<BackupEntry> files;
  uint64_t TotalBytes() const;
};

// Writes a backup, file by file. It is there under its name only when it is
// complete: until then it is NAME.partial, which is removed with the object.
// Thread-compatible.
class BackupWriter {
 public:
  // ALREADY_EXISTS if there is something at `directory`.
  static absl::StatusOr<std::unique_ptr<BackupWriter>> Create(
      const std::string& directory);
  ~BackupWriter();
  BackupWriter(const BackupWriter&) = delete;
  BackupWriter& operator=(const BackupWriter&) = delete;

  // INVALID_ARGUMENT for a name that does not belong into a store.
  absl::Status BeginFile(const std::string& name, uint64_t bytes);
  absl::Status Append(absl::string_view data);
  // DATA_LOSS unless the file has the size announced and this checksum.
  absl::Status EndFile(const std::string& sha256);
  // Durable under its name when it returns OK.
  absl::StatusOr<BackupManifest> Finish();

 private:
  BackupWriter(std::string directory, std::string partial)
      : directory_(std::move(directory)), partial_(std::move(partial)) {}

  const std::string directory_;
  const std::string partial_;
  BackupManifest manifest_;
  int file_ = -1;
  uint64_t written_ = 0;
  uint64_t unsynced_ = 0;
  std::unique_ptr<hub::StreamDigest> digest_;
  bool finished_ = false;
};

// Told how many more bytes were read, again and again.
using BytesRead = absl::FunctionRef<void(uint64_t)>;

// Reads every byte of a backup. NOT_FOUND if there is none, DATA_LOSS naming
// the first file that is not what was written, CANCELLED.
absl::StatusOr<BackupManifest> VerifyBackup(const std::string& directory,
                                            BytesRead seen,
                                            const std::stop_token& stop);

// Makes the store of a backup that of `data_directory`. Verifies the whole
// backup first, then copies it beside what is there, compares it once more, and
// exchanges the two in one step; the indexes are removed, to be built from the
// store at the next start. FAILED_PRECONDITION if there is data already and
// `replace` is false; UNAVAILABLE if a process has the directory open.
absl::StatusOr<BackupManifest> RestoreBackup(const std::string& backup,
                                             const std::string& data_directory,
                                             bool replace, BytesRead seen,
                                             const std::stop_token& stop);

}  // namespace braid::services::backup

#endif  // BRAID_SERVICES_BACKUP_BACKUP_DIRECTORY_H_
