// A file system that forgets, at a simulated power cut, all that was not
// synced: file contents past the last sync, and files whose directory entry
// was not synced.
#ifndef BRAID_TESTS_STORE_POWER_CUT_ENV_H_
#define BRAID_TESTS_STORE_POWER_CUT_ENV_H_

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "rocksdb/env.h"
#include "rocksdb/file_system.h"

namespace braid::retrieval {

class PowerCutFileSystem : public rocksdb::FileSystemWrapper {
 public:
  PowerCutFileSystem()
      : rocksdb::FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  static const char* kClassName() { return "PowerCutFileSystem"; }
  const char* Name() const override { return kClassName(); }

  // The power goes off in the middle of the write that would append the byte
  // after the next `bytes`: from then on writes fail.
  void StopAfter(uint64_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    bytes_left_ = bytes;
  }
  // Drops what was not synced. `keep` of 0 to 1 is the part of the unsynced
  // tail of each file that had reached the disk by chance.
  void DropUnsynced(double keep) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [path, state] : files_) {
      std::error_code error;
      const uint64_t size = std::filesystem::file_size(path, error);
      if (error) continue;
      if (state.size > state.synced) ++cut_files_;
      const uint64_t kept =
          state.synced +
          static_cast<uint64_t>(static_cast<double>(state.size - state.synced) *
                                keep);
      if (kept < size) std::filesystem::resize_file(path, kept, error);
    }
    for (const std::string& path : unsynced_names_) {
      std::filesystem::remove(path);
    }
    files_.clear();
    unsynced_names_.clear();
    stopped_ = false;
    bytes_left_.reset();
  }
  int cut_files() const { return cut_files_; }

  rocksdb::IOStatus NewWritableFile(
      const std::string& path, const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSWritableFile>* result,
      rocksdb::IODebugContext* debug) override {
    if (stopped()) return Off();
    rocksdb::FileOptions plain = options;
    plain.use_mmap_writes = false;
    rocksdb::IOStatus status =
        target()->NewWritableFile(path, plain, result, debug);
    if (!status.ok()) return status;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      files_[path] = {};
      unsynced_names_.insert(path);
    }
    *result = std::make_unique<File>(this, path, std::move(*result));
    return status;
  }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    if (stopped()) return Off();
    rocksdb::IOStatus status = target()->RenameFile(from, to, options, debug);
    if (!status.ok()) return status;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (auto file = files_.find(from); file != files_.end()) {
      files_[to] = file->second;
      files_.erase(from);
    }
    // A rename is taken as durable: RocksDB syncs the directory after it.
    unsynced_names_.erase(from);
    return status;
  }
  rocksdb::IOStatus DeleteFile(const std::string& path,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    if (stopped()) return Off();
    rocksdb::IOStatus status = target()->DeleteFile(path, options, debug);
    const std::lock_guard<std::mutex> lock(mutex_);
    files_.erase(path);
    unsynced_names_.erase(path);
    return status;
  }
  rocksdb::IOStatus NewDirectory(const std::string& path,
                                 const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus status =
        target()->NewDirectory(path, options, result, debug);
    if (status.ok()) {
      *result = std::make_unique<Folder>(this, path, std::move(*result));
    }
    return status;
  }

 private:
  struct State {
    uint64_t size = 0;
    uint64_t synced = 0;
  };

  class File : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(PowerCutFileSystem* owner, std::string path,
         std::unique_ptr<rocksdb::FSWritableFile> file)
        : rocksdb::FSWritableFileOwnerWrapper(std::move(file)),
          owner_(owner),
          path_(std::move(path)) {}
    using rocksdb::FSWritableFileOwnerWrapper::Append;
    rocksdb::IOStatus Append(const rocksdb::Slice& data,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
      if (owner_->stopped()) return Off();
      const rocksdb::Slice written(data.data(), owner_->Spend(data.size()));
      rocksdb::IOStatus status =
          rocksdb::FSWritableFileOwnerWrapper::Append(written, options, debug);
      if (status.ok()) owner_->Grow(path_, written.size());
      return written.size() == data.size() ? status : Off();
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data,
                             const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo&,
                             rocksdb::IODebugContext* debug) override {
      return Append(data, options, debug);
    }
    rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
      if (owner_->stopped()) return Off();
      // Flushed to the process's file, which is as durable as the test needs.
      rocksdb::IOStatus status =
          rocksdb::FSWritableFileOwnerWrapper::Flush(options, debug);
      if (status.ok()) owner_->Synced(path_);
      return status;
    }
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options,
                            rocksdb::IODebugContext* debug) override {
      return Sync(options, debug);
    }
    rocksdb::IOStatus RangeSync(uint64_t, uint64_t, const rocksdb::IOOptions&,
                                rocksdb::IODebugContext*) override {
      return rocksdb::IOStatus::OK();  // gives no guarantee
    }

   private:
    PowerCutFileSystem* const owner_;
    const std::string path_;
  };

  class Folder : public rocksdb::FSDirectoryWrapper {
   public:
    Folder(PowerCutFileSystem* owner, std::string path,
           std::unique_ptr<rocksdb::FSDirectory> folder)
        : rocksdb::FSDirectoryWrapper(std::move(folder)),
          owner_(owner),
          path_(std::move(path)) {}
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions&,
                            rocksdb::IODebugContext*) override {
      if (owner_->stopped()) return Off();
      owner_->SyncedNames(path_);
      return rocksdb::IOStatus::OK();
    }
    rocksdb::IOStatus FsyncWithDirOptions(
        const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug,
        const rocksdb::DirFsyncOptions&) override {
      return Fsync(options, debug);
    }

   private:
    PowerCutFileSystem* const owner_;
    const std::string path_;
  };

  static rocksdb::IOStatus Off() {
    return rocksdb::IOStatus::IOError("the machine is off");
  }
  bool stopped() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return stopped_;
  }
  // How many of `bytes` are written before the power goes off.
  uint64_t Spend(uint64_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!bytes_left_.has_value()) return bytes;
    const uint64_t written = std::min(bytes, *bytes_left_);
    *bytes_left_ -= written;
    stopped_ = stopped_ || written < bytes;
    return written;
  }
  void Grow(const std::string& path, uint64_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (auto file = files_.find(path); file != files_.end()) {
      file->second.size += bytes;
    }
  }
  void Synced(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (auto file = files_.find(path); file != files_.end()) {
      file->second.synced = file->second.size;
    }
  }
  void SyncedNames(const std::string& directory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::erase_if(unsynced_names_, [&](const std::string& path) {
      return std::filesystem::path(path).parent_path() ==
             std::filesystem::path(directory);
    });
  }

  mutable std::mutex mutex_;
  bool stopped_ = false;
  std::optional<uint64_t> bytes_left_;  // until the power goes off
  int cut_files_ = 0;
  std::map<std::string, State> files_;
  std::set<std::string> unsynced_names_;
};

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_STORE_POWER_CUT_ENV_H_
