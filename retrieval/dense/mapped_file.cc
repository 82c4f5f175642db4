#include "retrieval/dense/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {

absl::StatusOr<MappedFile> MappedFile::Map(int file, const std::string& path,
                                           size_t bytes) {
  MappedFile mapped;
  if (bytes == 0) return mapped;
  void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
  if (data == MAP_FAILED) {
    const std::string text =
        absl::StrCat(path, ": cannot map: ", std::strerror(errno));
    if (errno == ENOMEM) return absl::ResourceExhaustedError(text);
    return absl::InternalError(text);
  }
  mapped.data_ = static_cast<const uint8_t*>(data);
  mapped.size_ = bytes;
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<uint8_t*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::ExpectRandomAccess(size_t offset, size_t bytes) const {
  // Whole pages inside the range.
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = (offset + bytes) / page * page;
  if (begin < end) {
    // Only advice: that it is not taken is no error.
    ::madvise(const_cast<uint8_t*>(data_) + begin, end - begin, MADV_RANDOM);
  }
}

}  // namespace braid::retrieval
