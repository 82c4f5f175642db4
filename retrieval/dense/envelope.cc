#include "retrieval/dense/envelope.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the index files are little-endian");

struct Header {
  char magic[8];
  uint32_t format;
  uint32_t kind;
};
static_assert(sizeof(Header) == kEnvelopeHeaderBytes);

constexpr char kMagic[8] = {'B', 'R', 'D', 'D', 'E', 'N', 'S', '\n'};
constexpr uint32_t kFormat = 2;
constexpr size_t kDigestBytes = 32;
static_assert(kEnvelopeTrailerBytes == sizeof(uint64_t) + kDigestBytes);
constexpr size_t kBufferBytes = size_t{1} << 18;

absl::Status FileError(const std::string& path, const char* action) {
  const int error = errno;
  const std::string text =
      absl::StrCat(path, ": cannot ", action, ": ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == ENOSPC || error == EDQUOT) {
    return absl::ResourceExhaustedError(text);
  }
  return absl::InternalError(text);
}

absl::Status WriteAll(int file, const std::string& path, const uint8_t* data,
                      size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = ::write(file, data, bytes);
    if (written < 0) {
      if (errno == EINTR) continue;
      return FileError(path, "write");
    }
    data += written;
    bytes -= static_cast<size_t>(written);
  }
  return absl::OkStatus();
}

absl::Status ReadAll(int file, const std::string& path, uint8_t* data,
                     size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = ::read(file, data, bytes);
    if (got < 0) {
      if (errno == EINTR) continue;
      return FileError(path, "read");
    }
    if (got == 0) return absl::DataLossError(absl::StrCat(path, ": truncated"));
    data += got;
    bytes -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

// SHA-256 of a stream.
class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new()) {
    ok_ = context_ != nullptr &&
          EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1;
  }
  ~Digest() { EVP_MD_CTX_free(context_); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void Update(const void* data, size_t bytes) {
    ok_ = ok_ && EVP_DigestUpdate(context_, data, bytes) == 1;
  }
  absl::StatusOr<std::array<uint8_t, kDigestBytes>> Finish() {
    std::array<uint8_t, kDigestBytes> digest;
    unsigned int size = 0;
    ok_ = ok_ && EVP_DigestFinal_ex(context_, digest.data(), &size) == 1 &&
          size == kDigestBytes;
    if (!ok_) return absl::InternalError("SHA-256 failed");
    return digest;
  }

 private:
  EVP_MD_CTX* context_;
  bool ok_ = false;
};

}  // namespace

struct EnvelopeWriter::State {
  ~State() {
    if (file >= 0) ::close(file);
  }
  absl::Status Flush() {
    digest.Update(buffer.data(), buffer.size());
    written += buffer.size();
    absl::Status status = WriteAll(file, path, buffer.data(), buffer.size());
    buffer.clear();
    return status;
  }

  int file = -1;
  std::string path;
  Digest digest;
  std::vector<uint8_t> buffer;
  uint64_t written = 0;
};

EnvelopeWriter::EnvelopeWriter(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
EnvelopeWriter::~EnvelopeWriter() = default;

absl::StatusOr<std::unique_ptr<EnvelopeWriter>> EnvelopeWriter::Create(
    const std::string& path, EnvelopeKind kind) {
  auto state = std::make_unique<State>();
  state->path = path;
  // Never into a file that is there: a snapshot of a life of the index whose
  // last commit failed may have it mapped still.
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return FileError(path, "replace");
  }
  state->file =
      ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (state->file < 0) return FileError(path, "create");
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.format = kFormat;
  header.kind = static_cast<uint32_t>(kind);
  auto writer =
      std::unique_ptr<EnvelopeWriter>(new EnvelopeWriter(std::move(state)));
  if (absl::Status status = writer->Append(&header, sizeof(header));
      !status.ok()) {
    return status;
  }
  return writer;
}

absl::Status EnvelopeWriter::Append(const void* data, size_t bytes) {
  const auto* begin = static_cast<const uint8_t*>(data);
  while (bytes > 0) {
    const size_t part = std::min(bytes, kBufferBytes - state_->buffer.size());
    state_->buffer.insert(state_->buffer.end(), begin, begin + part);
    begin += part;
    bytes -= part;
    if (state_->buffer.size() == kBufferBytes) {
      if (absl::Status status = state_->Flush(); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

uint64_t EnvelopeWriter::position() const {
  return state_->written + state_->buffer.size();
}

absl::StatusOr<MappedFile> EnvelopeWriter::Map() {
  if (absl::Status status = state_->Flush(); !status.ok()) return status;
  return MappedFile::Map(state_->file, state_->path, state_->written);
}

absl::StatusOr<EnvelopeSeal> EnvelopeWriter::Finish() {
  const uint64_t body = position() - sizeof(Header);
  if (absl::Status status = AppendValue(body); !status.ok()) return status;
  if (absl::Status status = state_->Flush(); !status.ok()) return status;
  auto digest = state_->digest.Finish();
  if (!digest.ok()) return digest.status();
  if (absl::Status status =
          WriteAll(state_->file, state_->path, digest->data(), digest->size());
      !status.ok()) {
    return status;
  }
  if (::fsync(state_->file) != 0) return FileError(state_->path, "sync");
  state_->written += kDigestBytes;
  return EnvelopeSeal{state_->written, *digest};
}

struct EnvelopeReader::State {
  ~State() {
    if (file >= 0) ::close(file);
  }
  int file = -1;
  std::string path;
  EnvelopeSeal seal;
  uint64_t remaining = 0;
};

EnvelopeReader::EnvelopeReader(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
EnvelopeReader::~EnvelopeReader() = default;

absl::StatusOr<std::unique_ptr<EnvelopeReader>> EnvelopeReader::Open(
    const std::string& path, EnvelopeKind kind) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (state->file < 0) return FileError(path, "open");
  struct stat info;
  if (::fstat(state->file, &info) != 0) return FileError(path, "inspect");
  if (!S_ISREG(info.st_mode) ||
      info.st_size <
          static_cast<off_t>(sizeof(Header) + kEnvelopeTrailerBytes)) {
    return absl::DataLossError(absl::StrCat(path, ": too short"));
  }
  const uint64_t size = static_cast<uint64_t>(info.st_size);
  const uint64_t body = size - sizeof(Header) - kEnvelopeTrailerBytes;

  Digest digest;
  std::vector<uint8_t> buffer(kBufferBytes);
  // All but the digest itself; the last eight bytes of it are the body length.
  uint64_t left = size - kDigestBytes;
  bool first = true;
  uint64_t claimed = 0;
  while (left > 0) {
    const size_t part = std::min<uint64_t>(left, buffer.size());
    if (absl::Status status = ReadAll(state->file, path, buffer.data(), part);
        !status.ok()) {
      return status;
    }
    if (first) {
      Header header;
      std::memcpy(&header, buffer.data(), sizeof(header));
      if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0 ||
          header.format != kFormat ||
          header.kind != static_cast<uint32_t>(kind)) {
        return absl::DataLossError(
            absl::StrCat(path, ": not a file of this kind and format"));
      }
      first = false;
    }
    digest.Update(buffer.data(), part);
    // The length may straddle two parts: shift the last eight bytes through.
    const size_t tail = std::min(part, sizeof(claimed));
    for (size_t i = part - tail; i < part; ++i) {
      claimed = (claimed >> 8) | (uint64_t{buffer[i]} << 56);
    }
    left -= part;
  }
  if (absl::Status status =
          ReadAll(state->file, path, state->seal.digest.data(), kDigestBytes);
      !status.ok()) {
    return status;
  }
  const auto computed = digest.Finish();
  if (!computed.ok()) return computed.status();
  if (claimed != body || *computed != state->seal.digest) {
    return absl::DataLossError(absl::StrCat(path, ": checksum mismatch"));
  }
  state->seal.file_bytes = size;
  state->remaining = body;
  if (::lseek(state->file, sizeof(Header), SEEK_SET) < 0) {
    return FileError(path, "seek");
  }
  return std::unique_ptr<EnvelopeReader>(new EnvelopeReader(std::move(state)));
}

absl::StatusOr<MappedFile> EnvelopeReader::Map() const {
  return MappedFile::Map(state_->file, state_->path, state_->seal.file_bytes);
}

const EnvelopeSeal& EnvelopeReader::seal() const { return state_->seal; }
uint64_t EnvelopeReader::remaining() const { return state_->remaining; }

absl::Status EnvelopeReader::Read(void* data, size_t bytes) {
  if (bytes > state_->remaining) {
    return absl::DataLossError(
        absl::StrCat(state_->path, ": body ends too early"));
  }
  state_->remaining -= bytes;
  return ReadAll(state_->file, state_->path, static_cast<uint8_t*>(data),
                 bytes);
}

absl::Status SyncDirectory(const std::string& directory) {
  const int file =
      ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return FileError(directory, "open");
  const bool synced = ::fsync(file) == 0;
  absl::Status status =
      synced ? absl::OkStatus() : FileError(directory, "sync");
  ::close(file);
  return status;
}

}  // namespace braid::retrieval
