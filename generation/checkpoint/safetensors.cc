#include "generation/checkpoint/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "generation/checkpoint/safetensors_header.h"
#include "kernels/half.h"

namespace braid::model {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;

struct DTypeInfo {
  const char* name;
  int bits;
  DType dtype;
};

constexpr DTypeInfo kDTypes[] = {
    {"F32", 32, DType::kF32},          {"BF16", 16, DType::kBf16},
    {"F16", 16, DType::kF16},          {"F64", 64, DType::kOther},
    {"I64", 64, DType::kOther},        {"U64", 64, DType::kOther},
    {"I32", 32, DType::kOther},        {"U32", 32, DType::kOther},
    {"I16", 16, DType::kOther},        {"U16", 16, DType::kOther},
    {"I8", 8, DType::kOther},          {"U8", 8, DType::kU8},
    {"BOOL", 8, DType::kOther},        {"C64", 64, DType::kOther},
    {"F8_E4M3", 8, DType::kOther},     {"F8_E5M2", 8, DType::kOther},
    {"F8_E8M0", 8, DType::kOther},     {"F8_E4M3FNUZ", 8, DType::kOther},
    {"F8_E5M2FNUZ", 8, DType::kOther}, {"F6_E2M3", 6, DType::kOther},
    {"F6_E3M2", 6, DType::kOther},     {"F4", 4, DType::kOther},
};

const DTypeInfo* FindDType(const std::string& name) {
  for (const DTypeInfo& info : kDTypes) {
    if (name == info.name) return &info;
  }
  return nullptr;
}

// Closes a file descriptor at the end of its scope; the mapping outlives it.
class ScopedFd {
 public:
  explicit ScopedFd(int fd) : fd_(fd) {}
  ~ScopedFd() {
    if (fd_ >= 0) close(fd_);
  }
  ScopedFd(const ScopedFd&) = delete;
  ScopedFd& operator=(const ScopedFd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status TensorError(const std::string& path, const std::string& tensor,
                         const std::string& what) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": tensor \"", tensor, "\": ", what));
}

// Checks one entry on its own and fills everything but `data`.
absl::Status MakeView(const std::string& path, const HeaderEntry& entry,
                      uint64_t data_bytes, TensorView* view) {
  const DTypeInfo* info = FindDType(entry.dtype);
  if (info == nullptr) {
    return TensorError(path, entry.name,
                       absl::StrCat("unknown dtype \"", entry.dtype, "\""));
  }
  uint64_t elements = 1;
  for (const uint64_t dim : entry.shape) {
    if (__builtin_mul_overflow(elements, dim, &elements) ||
        elements > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return TensorError(
          path, entry.name,
          absl::StrCat("the shape [", absl::StrJoin(entry.shape, ", "),
                       "] overflows"));
    }
  }
  uint64_t bits;
  if (__builtin_mul_overflow(elements, static_cast<uint64_t>(info->bits),
                             &bits) ||
      bits % 8 != 0) {
    return TensorError(path, entry.name, "the size in bytes overflows");
  }
  if (entry.begin > entry.end || entry.end > data_bytes) {
    return TensorError(
        path, entry.name,
        absl::StrCat("data_offsets [", entry.begin, ", ", entry.end,
                     "] lie outside the ", data_bytes, " bytes of data"));
  }
  if (entry.end - entry.begin != bits / 8) {
    return TensorError(
        path, entry.name,
        absl::StrCat("data_offsets span ", entry.end - entry.begin,
                     " bytes, but ", entry.dtype, " [",
                     absl::StrJoin(entry.shape, ", "), "] needs ", bits / 8));
  }
  view->name = entry.name;
  view->dtype = info->dtype;
  view->dtype_name = entry.dtype;
  view->shape.assign(entry.shape.begin(), entry.shape.end());
  view->bytes = bits / 8;
  view->elements = static_cast<int64_t>(elements);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(
    const std::string& path) {
  const ScopedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    return absl::NotFoundError(
        absl::StrCat(path, ": cannot be opened: ", std::strerror(errno)));
  }
  struct stat info;
  if (fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not a regular file"));
  }
  const uint64_t file_bytes = static_cast<uint64_t>(info.st_size);
  if (file_bytes < 8) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": ", file_bytes, " bytes is too short for a header"));
  }
  auto file = std::unique_ptr<SafetensorsFile>(new SafetensorsFile());
  file->path_ = path;
  void* mapping =
      mmap(nullptr, file_bytes, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (mapping == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": cannot be mapped: ", std::strerror(errno)));
  }
  file->mapping_ = mapping;
  file->mapping_bytes_ = file_bytes;
  const uint8_t* bytes = static_cast<const uint8_t*>(mapping);

  uint64_t header_bytes = 0;
  for (int i = 7; i >= 0; --i) header_bytes = header_bytes << 8 | bytes[i];
  if (header_bytes > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the header claims ", header_bytes,
                     " bytes, more than the limit of ", kMaxHeaderBytes));
  }
  if (header_bytes > file_bytes - 8) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the header claims ", header_bytes,
                     " bytes, but the file has only ", file_bytes));
  }
  absl::StatusOr<std::vector<HeaderEntry>> entries = ParseSafetensorsHeader(
      absl::string_view(reinterpret_cast<const char*>(bytes + 8), header_bytes),
      path);
  if (!entries.ok()) return entries.status();

  // In the order of the data, so that holes and overlaps show as neighbours
  // that do not touch.
  std::sort(entries->begin(), entries->end(),
            [](const HeaderEntry& a, const HeaderEntry& b) {
              return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
            });
  const uint64_t data_bytes = file_bytes - 8 - header_bytes;
  absl::flat_hash_set<absl::string_view> names;
  uint64_t expected = 0;
  file->tensors_.reserve(entries->size());
  for (const HeaderEntry& entry : *entries) {
    if (!names.insert(entry.name).second) {
      return TensorError(path, entry.name, "is repeated");
    }
    TensorView view;
    if (absl::Status status = MakeView(path, entry, data_bytes, &view);
        !status.ok()) {
      return status;
    }
    if (entry.begin != expected) {
      return TensorError(
          path, entry.name,
          absl::StrCat("starts at byte ", entry.begin, " of the data, ",
                       entry.begin > expected ? "leaving a hole after "
                                              : "overlapping the bytes before ",
                       expected));
    }
    expected = entry.end;
    view.data = bytes + 8 + header_bytes + entry.begin;
    file->tensors_.push_back(std::move(view));
  }
  if (expected != data_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the tensors end at byte ", expected,
                     " of the data, but it has ", data_bytes));
  }
  return file;
}

SafetensorsFile::~SafetensorsFile() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
}

void WidenToF32(DType dtype, const uint8_t* data, int64_t count, float* out) {
  if (count == 0) return;
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, data, static_cast<size_t>(count) * 4);
      return;
    case DType::kBf16:
      for (int64_t i = 0; i < count; ++i) {
        uint16_t half;
        std::memcpy(&half, data + 2 * i, 2);
        out[i] = std::bit_cast<float>(static_cast<uint32_t>(half) << 16);
      }
      return;
    case DType::kF16:
      for (int64_t i = 0; i < count; ++i) {
        uint16_t half;
        std::memcpy(&half, data + 2 * i, 2);
        out[i] = kernels::HalfToFloat(half);
      }
      return;
    case DType::kU8:
    case DType::kOther:
      return;
  }
}

}  // namespace braid::model
