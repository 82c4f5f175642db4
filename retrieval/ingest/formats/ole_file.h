// Compound files (MS-CFB): the container of Word 97 and its like.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_OLE_FILE_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_OLE_FILE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace braid::retrieval {

// Little-endian numbers in bytes; 0 where they would lie outside.
uint16_t ReadU16(absl::string_view bytes, size_t at);
uint32_t ReadU32(absl::string_view bytes, size_t at);

class OleFile {
 public:
  // `source` must outlive this. INVALID_ARGUMENT starting with `name` for what
  // is no such file. Chains of sectors that leave the file or run in circles
  // end where they do.
  static absl::StatusOr<OleFile> Open(absl::string_view name,
                                      absl::string_view source);

  // The bytes of a stream of the root folder (its ASCII name); INVALID_ARGUMENT
  // if there is none.
  absl::StatusOr<std::string> Read(const std::string& stream) const;
  bool Has(const std::string& stream) const {
    return streams_.count(stream) > 0;
  }

 private:
  struct Stream {
    uint32_t first_sector = 0;
    uint64_t size = 0;
  };

  OleFile(absl::string_view name, absl::string_view source)
      : name_(name), source_(source) {}
  absl::string_view Sector(uint32_t number) const;
  std::string ReadChain(uint32_t first, uint64_t size) const;
  std::string ReadMiniChain(uint32_t first, uint64_t size) const;
  void ReadAllocation();
  void ReadDirectory();

  std::string name_;
  absl::string_view source_;
  uint32_t sector_bytes_ = 512;
  uint32_t mini_sector_bytes_ = 64;
  uint32_t mini_limit_ = 4096;
  std::vector<uint32_t> next_;       // of each sector
  std::vector<uint32_t> mini_next_;  // of each mini sector
  std::string mini_stream_;
  std::map<std::string, Stream> streams_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_OLE_FILE_H_
