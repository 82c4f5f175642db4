// Notices which files change, for `braid ingest --watch`.
#ifndef BRAID_SERVICES_CLI_FILE_WATCH_H_
#define BRAID_SERVICES_CLI_FILE_WATCH_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "retrieval/ingest/files.h"

namespace braid::services::cli {

// By looking at every file's size, inode and times: that works on every file
// system, network ones too, and costs a stat call per file and look.
class FileWatch {
 public:
  struct Changes {
    std::set<std::string> changed;         // paths: new, or not as they were
    std::vector<std::string> disappeared;  // document ids
    std::vector<retrieval::FileError> errors;  // of the arguments
  };

  // What the arguments of `braid ingest` name is taken as known now.
  explicit FileWatch(std::vector<std::string> arguments);

  // What happened since the last look. A file that is being written is left
  // until it is the same in two looks. A file disappears only while its
  // directory can be read.
  Changes Look();
  // Whether some file had this document id at the last look: one that has gone
  // may have come back, or another path may name it too.
  bool Has(const std::string& document_id) const;
  // Has the next look report these paths again: they could not be sent.
  void Forget(const std::set<std::string>& paths);

 private:
  struct Stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    int64_t modified_ns;
    int64_t changed_ns;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  struct File {
    std::string document_id;
    Stamp stamp;
    bool reported;
  };

  std::map<std::string, File> Scan(
      std::vector<retrieval::FileError>* errors) const;

  const std::vector<std::string> arguments_;
  std::map<std::string, File> files_;  // by path
};

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_FILE_WATCH_H_
