// The few file calls that backup and restore need, with statuses that name the
// file.
#ifndef BRAID_SERVICES_BACKUP_FILES_H_
#define BRAID_SERVICES_BACKUP_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace braid::services::backup {

// errno as a status: NOT_FOUND, RESOURCE_EXHAUSTED for a full disk,
// PERMISSION_DENIED, otherwise UNAVAILABLE.
absl::Status FileError(const std::string& path, absl::string_view action);

// A new file for writing; the caller closes the descriptor.
absl::StatusOr<int> CreateFile(const std::string& path);
absl::StatusOr<int> OpenFile(const std::string& path);
absl::Status WriteAll(int file, const std::string& path,
                      absl::string_view data);
// Syncs and closes, whatever happens.
absl::Status SyncAndClose(int file, const std::string& path);
absl::Status SyncDirectory(const std::string& directory);

}  // namespace braid::services::backup

#endif  // BRAID_SERVICES_BACKUP_FILES_H_
