// A file's bytes as memory, read from the disk as they are touched.
#ifndef BRAID_RETRIEVAL_DENSE_MAPPED_FILE_H_
#define BRAID_RETRIEVAL_DENSE_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace braid::retrieval {

// Read-only and shared with the page cache: the kernel may drop pages that are
// not in use and read them again, so what is mapped does not count towards what
// the process needs. It stays readable after the file was removed. Nobody may
// truncate the file meanwhile: reading past its new end, as a read error of the
// disk does, ends the process (SIGBUS).
class MappedFile {
 public:
  MappedFile() = default;
  // Maps the first `bytes` of the open file; `path` is for messages only.
  static absl::StatusOr<MappedFile> Map(int file, const std::string& path,
                                        size_t bytes);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  // `offset` is a multiple of T's alignment.
  template <typename T>
  const T* At(size_t offset) const {
    return reinterpret_cast<const T*>(data_ + offset);
  }
  // Advice to the kernel: pages of this range are wanted one by one, so what
  // follows a page that is read need not be read with it.
  void ExpectRandomAccess(size_t offset, size_t bytes) const;

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_MAPPED_FILE_H_
