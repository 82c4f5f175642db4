// The members of a zip archive in memory, under a limit of what they unpack to.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_ZIP_ARCHIVE_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_ZIP_ARCHIVE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct zip;

namespace braid::retrieval {

class ZipArchive {
 public:
  // `source` must outlive the archive. INVALID_ARGUMENT starting with `name` if
  // it is no archive.
  static absl::StatusOr<ZipArchive> Open(absl::string_view name,
                                         absl::string_view source);

  // Unpacks one member. NOT_FOUND if there is none; INVALID_ARGUMENT starting
  // with the archive's name if it is damaged or encrypted; RESOURCE_EXHAUSTED
  // if all that was unpacked goes over OutputLimit of the archive. Nothing is
  // believed of the sizes that the archive itself gives.
  absl::StatusOr<std::string> Read(const std::string& member);
  bool Has(const std::string& member) const;

 private:
  struct Closer {
    void operator()(zip* archive) const;
  };
  ZipArchive(std::unique_ptr<zip, Closer> archive, absl::string_view name,
             size_t source_bytes)
      : archive_(std::move(archive)),
        name_(name),
        source_bytes_(source_bytes) {}

  std::unique_ptr<zip, Closer> archive_;
  std::string name_;
  size_t source_bytes_;
  size_t unpacked_bytes_ = 0;
};

// `target` as a path from the root of the archive, where `from` is the member
// that refers to it: "OEBPS/a.opf" and "../b.html" give "b.html". A fragment
// (#...) and percent signs are taken care of. Never leaves the archive.
std::string ResolveZipPath(absl::string_view from, absl::string_view target);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_ZIP_ARCHIVE_H_
