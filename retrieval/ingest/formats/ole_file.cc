#include "retrieval/ingest/formats/ole_file.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

constexpr absl::string_view kMagic("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 8);
constexpr uint32_t kMaxSector = 0xFFFFFFFA;  // above it: markers
constexpr size_t kHeaderBytes = 512;
constexpr size_t kHeaderDifat = 76;  // where its list of FAT sectors begins
constexpr size_t kHeaderDifatEntries = 109;
constexpr size_t kDirectoryEntryBytes = 128;

}  // namespace

uint16_t ReadU16(absl::string_view bytes, size_t at) {
  if (at > bytes.size() || bytes.size() - at < 2) return 0;
  return static_cast<uint16_t>(static_cast<unsigned char>(bytes[at]) |
                               static_cast<unsigned char>(bytes[at + 1]) << 8);
}

uint32_t ReadU32(absl::string_view bytes, size_t at) {
  if (at > bytes.size() || bytes.size() - at < 4) return 0;
  return ReadU16(bytes, at) | uint32_t{ReadU16(bytes, at + 2)} << 16;
}

absl::StatusOr<OleFile> OleFile::Open(absl::string_view name,
                                      absl::string_view source) {
  OleFile file(name, source);
  const uint16_t sector_shift = ReadU16(source, 30);
  const uint16_t mini_shift = ReadU16(source, 32);
  if (source.size() < kHeaderBytes || !absl::StartsWith(source, kMagic) ||
      (sector_shift != 9 && sector_shift != 12) || mini_shift != 6) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": no compound file, or a damaged one"));
  }
  file.sector_bytes_ = 1u << sector_shift;
  file.mini_sector_bytes_ = 1u << mini_shift;
  file.mini_limit_ = ReadU32(source, 56);
  file.ReadAllocation();
  file.ReadDirectory();
  return file;
}

absl::string_view OleFile::Sector(uint32_t number) const {
  // The header takes the place of a sector before the first.
  const uint64_t begin = (uint64_t{number} + 1) * sector_bytes_;
  if (begin >= source_.size()) return {};
  return source_.substr(begin, sector_bytes_);
}

void OleFile::ReadAllocation() {
  const size_t sectors = source_.size() / sector_bytes_;
  std::vector<uint32_t> fat_sectors;
  for (size_t i = 0; i < kHeaderDifatEntries; ++i) {
    fat_sectors.push_back(ReadU32(source_, kHeaderDifat + 4 * i));
  }
  uint32_t difat = ReadU32(source_, 68);
  const size_t per_sector = sector_bytes_ / 4;
  for (size_t i = 0; i < sectors && difat < kMaxSector; ++i) {
    const absl::string_view sector = Sector(difat);
    if (sector.size() < sector_bytes_) break;
    for (size_t k = 0; k + 1 < per_sector; ++k) {
      fat_sectors.push_back(ReadU32(sector, 4 * k));
    }
    difat = ReadU32(sector, sector_bytes_ - 4);
  }
  for (const uint32_t number : fat_sectors) {
    if (number >= kMaxSector || next_.size() > sectors) continue;
    const absl::string_view sector = Sector(number);
    for (size_t k = 0; k < per_sector; ++k) {
      next_.push_back(ReadU32(sector, 4 * k));
    }
  }
  const std::string mini = ReadChain(ReadU32(source_, 60), source_.size());
  for (size_t at = 0; at + 4 <= mini.size(); at += 4) {
    mini_next_.push_back(ReadU32(mini, at));
  }
}

void OleFile::ReadDirectory() {
  const std::string directory = ReadChain(ReadU32(source_, 48), source_.size());
  for (size_t at = 0; at + kDirectoryEntryBytes <= directory.size();
       at += kDirectoryEntryBytes) {
    const absl::string_view entry =
        absl::string_view(directory).substr(at, kDirectoryEntryBytes);
    std::string name;
    const size_t name_bytes = std::min<size_t>(ReadU16(entry, 64), 64);
    for (size_t i = 0; i + 2 < name_bytes; i += 2) name.push_back(entry[i]);
    Stream stream;
    stream.first_sector = ReadU32(entry, 116);
    stream.size = ReadU32(entry, 120);
    constexpr char kStream = 2;
    constexpr char kRoot = 5;
    if (entry[66] == kStream) {
      streams_.emplace(name, stream);
    } else if (entry[66] == kRoot) {
      mini_stream_ = ReadChain(stream.first_sector, stream.size);
    }
  }
}

std::string OleFile::ReadChain(uint32_t first, uint64_t size) const {
  std::string bytes;
  size = std::min<uint64_t>(size, source_.size());
  for (uint32_t sector = first; sector < kMaxSector && bytes.size() < size;) {
    const absl::string_view part = Sector(sector);
    if (part.empty()) break;
    bytes.append(part.data(),
                 std::min<size_t>(part.size(), size - bytes.size()));
    sector = sector < next_.size() ? next_[sector] : kMaxSector;
  }
  return bytes;
}

std::string OleFile::ReadMiniChain(uint32_t first, uint64_t size) const {
  std::string bytes;
  size = std::min<uint64_t>(size, mini_stream_.size());
  for (uint32_t sector = first; sector < kMaxSector && bytes.size() < size;) {
    const uint64_t begin = uint64_t{sector} * mini_sector_bytes_;
    if (begin >= mini_stream_.size()) break;
    bytes.append(mini_stream_, begin,
                 std::min<size_t>(mini_sector_bytes_, size - bytes.size()));
    sector = sector < mini_next_.size() ? mini_next_[sector] : kMaxSector;
  }
  return bytes;
}

absl::StatusOr<std::string> OleFile::Read(const std::string& stream) const {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, ": the compound file has no stream ", stream));
  }
  const Stream& place = found->second;
  return place.size < mini_limit_
             ? ReadMiniChain(place.first_sector, place.size)
             : ReadChain(place.first_sector, place.size);
}

}  // namespace braid::retrieval
