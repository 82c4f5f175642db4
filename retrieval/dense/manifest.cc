#include "retrieval/dense/manifest.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

constexpr char kManifestName[] = "MANIFEST";
constexpr char kTemporaryName[] = "MANIFEST.tmp";
constexpr char kSegmentSuffix[] = ".segment";
constexpr uint64_t kMaxSegments = 1 << 16;

struct ManifestHeader {
  uint64_t dimension = 0;
  uint64_t sequence = 0;
  uint64_t next_file = 0;
  uint64_t segments = 0;
};

struct ManifestEntryHeader {
  uint64_t file = 0;
  uint64_t file_bytes = 0;
  uint8_t digest[32] = {};
  uint64_t dead_words = 0;
};

std::string Path(const std::string& directory, absl::string_view name) {
  return absl::StrCat(directory, "/", name);
}

std::string SegmentName(uint64_t file) {
  return absl::StrCat(absl::Dec(file, absl::kZeroPad8), kSegmentSuffix);
}

absl::Status Write(const std::string& path, const Manifest& manifest) {
  auto writer = EnvelopeWriter::Create(path, EnvelopeKind::kManifest);
  if (!writer.ok()) return writer.status();
  absl::Status status = (*writer)->AppendValue(
      ManifestHeader{manifest.dimension, manifest.sequence, manifest.next_file,
                     manifest.segments.size()});
  for (const ManifestSegment& segment : manifest.segments) {
    ManifestEntryHeader header{
        segment.file, segment.seal.file_bytes, {}, segment.dead.words().size()};
    std::memcpy(header.digest, segment.seal.digest.data(),
                sizeof(header.digest));
    status.Update((*writer)->AppendValue(header));
    if (header.dead_words > 0) {
      status.Update((*writer)->Append(segment.dead.words().data(),
                                      header.dead_words * sizeof(uint64_t)));
    }
  }
  if (!status.ok()) return status;
  return (*writer)->Finish().status();
}

}  // namespace

std::string SegmentPath(const std::string& directory, uint64_t file) {
  return Path(directory, SegmentName(file));
}

absl::Status WriteManifest(const std::string& directory,
                           const Manifest& manifest) {
  const std::string temporary = Path(directory, kTemporaryName);
  const std::string path = Path(directory, kManifestName);
  // The names of new segment files must be durable before the manifest is.
  absl::Status status = SyncDirectory(directory);
  if (status.ok()) status = Write(temporary, manifest);
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = absl::InternalError(
        absl::StrCat(path, ": cannot rename: ", std::strerror(errno)));
  }
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  return SyncDirectory(directory);
}

absl::StatusOr<Manifest> ReadManifest(const std::string& directory) {
  const std::string path = Path(directory, kManifestName);
  auto reader = EnvelopeReader::Open(path, EnvelopeKind::kManifest);
  if (!reader.ok()) return reader.status();
  const auto damaged = [&path] {
    return absl::DataLossError(absl::StrCat(path, ": impossible content"));
  };

  ManifestHeader header;
  if (absl::Status status = (*reader)->ReadValue(header); !status.ok()) {
    return status;
  }
  if (header.dimension == 0 || header.dimension > kMaxDimension ||
      header.segments > kMaxSegments) {
    return damaged();
  }
  Manifest manifest;
  manifest.dimension = header.dimension;
  manifest.sequence = header.sequence;
  manifest.next_file = header.next_file;
  for (uint64_t i = 0; i < header.segments; ++i) {
    ManifestEntryHeader item;
    if (absl::Status status = (*reader)->ReadValue(item); !status.ok()) {
      return status;
    }
    if (item.file >= header.next_file ||
        item.dead_words > kMaxSegmentRows / 64 ||
        item.dead_words > (*reader)->remaining() / sizeof(uint64_t)) {
      return damaged();
    }
    ManifestSegment& segment = manifest.segments.emplace_back();
    segment.file = item.file;
    segment.seal.file_bytes = item.file_bytes;
    std::memcpy(segment.seal.digest.data(), item.digest, sizeof(item.digest));
    for (uint64_t word = 0; word < item.dead_words; ++word) {
      uint64_t bits = 0;
      if (absl::Status status = (*reader)->ReadValue(bits); !status.ok()) {
        return status;
      }
      for (size_t bit = 0; bit < 64; ++bit) {
        if ((bits >> bit) & 1) segment.dead.Add(word * 64 + bit);
      }
    }
  }
  if ((*reader)->remaining() != 0) return damaged();
  return manifest;
}

void RemoveOrphans(const std::string& directory, const Manifest& manifest,
                   uint64_t keep) {
  absl::flat_hash_set<std::string> listed = {SegmentName(keep)};
  for (const ManifestSegment& segment : manifest.segments) {
    listed.insert(SegmentName(segment.file));
  }
  std::vector<std::filesystem::path> orphans;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name == kTemporaryName ||
        (absl::EndsWith(name, kSegmentSuffix) && !listed.contains(name))) {
      orphans.push_back(entry->path());
    }
  }
  // One that cannot be removed now is tried again at the next open.
  for (const std::filesystem::path& orphan : orphans) {
    std::filesystem::remove(orphan, error);
  }
}

absl::Status RemoveAll(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(Path(directory, kManifestName), error);
  if (error) {
    return absl::InternalError(absl::StrCat(
        Path(directory, kManifestName), ": cannot remove: ", error.message()));
  }
  if (absl::Status status = SyncDirectory(directory); !status.ok()) {
    return status;
  }
  RemoveOrphans(directory, Manifest{}, 0);
  return absl::OkStatus();
}

}  // namespace braid::retrieval
