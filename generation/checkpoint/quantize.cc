#include "generation/checkpoint/quantize.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "generation/checkpoint/bert_config.h"
#include "generation/checkpoint/bert_spec.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/json_file.h"
#include "generation/checkpoint/model_spec.h"
#include "generation/checkpoint/quantized_tensors.h"
#include "kernels/thread_pool.h"

namespace braid::model {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 16'000'000;
// Files beside the weights that are larger than this are not a model's.
constexpr uint64_t kMaxCopiedBytes = 200'000'000;
constexpr char kWeights[] = "model.safetensors";
// Rows that one thread quantises at a time.
constexpr size_t kRowsAtOnce = 64;

// One tensor of the file to be written.
struct Entry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t bytes = 0;
};

uint64_t Product(const std::vector<int64_t>& shape) {
  uint64_t product = 1;
  for (const int64_t dim : shape) product *= dim;
  return product;
}

// Writes a file front to back; keeps the first error.
class FileWriter {
 public:
  explicit FileWriter(std::string path)
      : path_(std::move(path)),
        fd_(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                 0644)) {
    if (fd_ < 0) Fail("create");
  }
  ~FileWriter() {
    if (fd_ >= 0) close(fd_);
  }
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void Write(const void* data, size_t size) {
    const char* at = static_cast<const char*>(data);
    while (status_.ok() && size > 0) {
      const ssize_t written = write(fd_, at, size);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        Fail("write");
        return;
      }
      at += written;
      size -= written;
    }
  }
  absl::Status Finish() {
    if (status_.ok() && fsync(fd_) != 0) Fail("sync");
    if (status_.ok() && close(std::exchange(fd_, -1)) != 0) Fail("close");
    return status_;
  }
  const absl::Status& status() const { return status_; }

 private:
  void Fail(absl::string_view what) {
    status_ =
        absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path_));
  }

  const std::string path_;
  int fd_;
  absl::Status status_;
};

absl::Status WriteWholeFile(const std::string& path, const std::string& text) {
  FileWriter writer(path);
  writer.Write(text.data(), text.size());
  return writer.Finish();
}

// Quantises matrices of one checkpoint, with statistics.
class Quantizer {
 public:
  Quantizer(const QuantizeOptions& options, QuantizeReport* report)
      : format_(options.format), report_(*report), pool_(options.threads) {}

  // `matrix` is [..., rows, k].
  absl::StatusOr<kernels::QuantizedMatrix> Run(const std::string& directory,
                                               const TensorView& matrix) {
    const size_t k = matrix.shape.back();
    const size_t n = matrix.elements / std::max<size_t>(1, k);
    kernels::QuantizedMatrix result =
        kernels::QuantizedMatrix::OfSize(format_, n, k);
    const size_t groups = format_.GroupsOf(k);

    std::mutex mutex;
    bool finite = true;
    double error = 0;
    double squares = 0;
    const size_t row_bytes = matrix.bytes / std::max<size_t>(1, n);
    const size_t blocks = (n + kRowsAtOnce - 1) / kRowsAtOnce;
    pool_.ParallelFor(blocks, 1, [&](size_t begin, size_t end) {
      std::vector<float> rows(kRowsAtOnce * k);
      std::vector<float> back(k);
      double block_error = 0;
      double block_squares = 0;
      bool block_finite = true;
      for (size_t block = begin; block < end; ++block) {
        const size_t first = block * kRowsAtOnce;
        const size_t count = std::min(kRowsAtOnce, n - first);
        WidenToF32(matrix.dtype, matrix.data + first * row_bytes, count * k,
                   rows.data());
        for (size_t i = 0; i < count * k; ++i) {
          if (!std::isfinite(rows[i])) {
            block_finite = false;
            rows[i] = 0;
          }
        }
        const kernels::QuantizedMatrix part =
            kernels::Quantize(rows.data(), count, k, format_, nullptr);
        std::copy(part.codes.begin(), part.codes.end(),
                  result.codes.begin() + first * format_.RowBytes(k));
        std::copy(part.scales.begin(), part.scales.end(),
                  result.scales.begin() + first * groups);
        std::copy(part.zeros.begin(), part.zeros.end(),
                  result.zeros.begin() + first * part.zeros.size() / count);
        for (size_t r = 0; r < count; ++r) {
          kernels::Dequantize(format_, part.row(r), k, back.data());
          for (size_t i = 0; i < k; ++i) {
            const double w = rows[r * k + i];
            block_error += (w - back[i]) * (w - back[i]);
            block_squares += w * w;
          }
        }
      }
      const std::lock_guard<std::mutex> lock(mutex);
      error += block_error;
      squares += block_squares;
      finite = finite && block_finite;
    });
    if (!finite) {
      return absl::InvalidArgumentError(
          absl::StrCat(directory, ": tensor \"", matrix.name,
                       "\" has weights that are not finite"));
    }
    ++report_.matrices;
    report_.parameters += matrix.elements;
    all_error_ += error;
    all_squares_ += squares;
    const double relative = squares > 0 ? std::sqrt(error / squares) : 0;
    if (relative > report_.worst_relative_error) {
      report_.worst_relative_error = relative;
      report_.worst_matrix = matrix.name;
    }
    report_.relative_error =
        all_squares_ > 0 ? std::sqrt(all_error_ / all_squares_) : 0;
    return result;
  }

 private:
  const kernels::QuantizedFormat format_;
  QuantizeReport& report_;
  kernels::ThreadPool pool_;
  double all_error_ = 0;
  double all_squares_ = 0;
};

// The tensors of the new file, in the order that they are written.
std::vector<Entry> Plan(const Checkpoint& checkpoint,
                        const std::set<std::string>& matrices,
                        const kernels::QuantizedFormat& format) {
  std::vector<Entry> entries;
  for (const std::string& name : checkpoint.TensorNames()) {
    const TensorView& view = *checkpoint.Find(name);
    if (!matrices.contains(name)) {
      entries.push_back({name, view.dtype_name, view.shape, view.bytes});
      continue;
    }
    const std::vector<int64_t> codes = CodesShape(format, view.shape);
    const std::vector<int64_t> groups = GroupsShape(format, view.shape);
    entries.push_back({name, "U8", codes, Product(codes)});
    entries.push_back(
        {ScalesName(name), "F16", groups, Product(groups) * sizeof(uint16_t)});
    if (format.zero_points) {
      entries.push_back({ZerosName(name), "U8", groups, Product(groups)});
    }
  }
  return entries;
}

std::string Header(const std::vector<Entry>& entries) {
  nlohmann::json header = nlohmann::json::object();
  uint64_t at = 0;
  for (const Entry& entry : entries) {
    header[entry.name] = {{"dtype", entry.dtype},
                          {"shape", entry.shape},
                          {"data_offsets", {at, at + entry.bytes}}};
    at += entry.bytes;
  }
  header["__metadata__"] = {{"format", "pt"}};
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

absl::Status WriteTensors(const Checkpoint& checkpoint,
                          const std::set<std::string>& matrices,
                          const QuantizeOptions& options,
                          const std::string& path, QuantizeReport* report) {
  const std::vector<Entry> entries = Plan(checkpoint, matrices, options.format);
  const std::string header = Header(entries);
  FileWriter writer(path);
  const uint64_t length = header.size();
  static_assert(std::endian::native == std::endian::little);
  writer.Write(&length, sizeof(length));
  writer.Write(header.data(), header.size());
  for (const std::string& name : checkpoint.TensorNames()) {
    report->input_bytes += checkpoint.Find(name)->bytes;
  }
  for (const Entry& entry : entries) report->output_bytes += entry.bytes;

  Quantizer quantizer(options, report);
  uint64_t done = 0;
  for (const std::string& name : checkpoint.TensorNames()) {
    const TensorView& view = *checkpoint.Find(name);
    if (matrices.contains(name)) {
      absl::StatusOr<kernels::QuantizedMatrix> matrix =
          quantizer.Run(checkpoint.directory(), view);
      if (!matrix.ok()) return matrix.status();
      writer.Write(matrix->codes.data(), matrix->codes.size());
      writer.Write(matrix->scales.data(),
                   matrix->scales.size() * sizeof(uint16_t));
      writer.Write(matrix->zeros.data(), matrix->zeros.size());
    } else {
      writer.Write(view.data, view.bytes);
    }
    if (!writer.status().ok()) return writer.status();
    done += view.bytes;
    if (options.progress && !options.progress(done, report->input_bytes)) {
      return absl::CancelledError("interrupted");
    }
  }
  return writer.Finish();
}

absl::Status WriteConfig(const std::string& directory, const std::string& out,
                         const kernels::QuantizedFormat& format) {
  absl::StatusOr<nlohmann::json> config =
      ReadJsonObject(absl::StrCat(directory, "/config.json"), kMaxConfigBytes);
  if (!config.ok()) return config.status();
  (*config)[kQuantizationField] = {{"quant_method", kQuantizationMethod},
                                   {"bits", format.bits},
                                   {"group_size", format.group_size},
                                   {"zero_points", format.zero_points}};
  return WriteWholeFile(absl::StrCat(out, "/config.json"),
                        absl::StrCat(config->dump(2), "\n"));
}

// Files that are neither weights nor written anew.
absl::Status CopyOthers(const std::string& directory, const std::string& out) {
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename();
    if (name == "config.json" || absl::EndsWith(name, ".safetensors") ||
        absl::EndsWith(name, ".safetensors.index.json") ||
        !it->is_regular_file(error) || it->file_size(error) > kMaxCopiedBytes) {
      continue;
    }
    fs::copy_file(it->path(), fs::path(out) / name, error);
    if (error) break;
  }
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(
      error.value(),
      absl::StrCat("cannot copy the files of ", directory, " to ", out));
}

absl::Status IsQuantizedAlready(const std::string& directory) {
  return absl::InvalidArgumentError(
      absl::StrCat(directory, " is quantised already"));
}

// What is to be quantised of a checkpoint that holds what its config.json says.
absl::StatusOr<std::vector<TensorSpec>> QuantizableOf(
    const std::string& directory, const Checkpoint& checkpoint) {
  const absl::StatusOr<bool> bert = IsBert(directory);
  if (!bert.ok()) return bert.status();
  if (*bert) {
    const absl::StatusOr<BertConfig> config = ReadBertConfig(directory);
    if (!config.ok()) return config.status();
    if (config->quantization.has_value()) return IsQuantizedAlready(directory);
    const BertSpec spec = MakeBertSpec(*config, checkpoint);
    absl::Status status = CheckTensors(spec, *config, checkpoint);
    if (!status.ok()) return status;
    return QuantizableTensors(spec);
  }
  const absl::StatusOr<ModelSpec> spec = LoadModelSpec(directory, &checkpoint);
  if (!spec.ok()) return spec.status();
  if (spec->quantization.has_value()) return IsQuantizedAlready(directory);
  absl::Status status = CheckTensors(*spec, checkpoint);
  if (!status.ok()) return status;
  return QuantizableTensors(*spec);
}

absl::StatusOr<std::set<std::string>> MatricesOf(const std::string& directory,
                                                 const Checkpoint& checkpoint) {
  const absl::StatusOr<std::vector<TensorSpec>> tensors =
      QuantizableOf(directory, checkpoint);
  if (!tensors.ok()) return tensors.status();
  std::set<std::string> names;
  for (const TensorSpec& tensor : *tensors) names.insert(tensor.name);
  return names;
}

}  // namespace

absl::StatusOr<QuantizeReport> QuantizeCheckpoint(
    const std::string& directory, const std::string& out,
    const QuantizeOptions& options) {
  if (!options.format.valid()) {
    return absl::InvalidArgumentError(
        "weights must have 8 or 4 bits, in groups of 32, 64 or 128");
  }
  auto checkpoint = Checkpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  const absl::StatusOr<std::set<std::string>> matrices =
      MatricesOf(directory, **checkpoint);
  if (!matrices.ok()) return matrices.status();

  std::error_code error;
  if (fs::exists(out, error) && !fs::is_empty(out, error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(out, " is there already and not empty"));
  }
  const std::string partial = absl::StrCat(out, ".partial");
  fs::remove_all(partial, error);
  if (!fs::create_directories(partial, error)) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat("cannot create ", partial));
  }
  absl::Cleanup clean_up = [&partial] {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
  };
  QuantizeReport report;
  absl::Status status =
      WriteTensors(**checkpoint, *matrices, options,
                   absl::StrCat(partial, "/", kWeights), &report);
  if (status.ok()) status = WriteConfig(directory, partial, options.format);
  if (status.ok()) status = CopyOthers(directory, partial);
  if (!status.ok()) return status;
  fs::rename(partial, out, error);
  if (error) {
    return absl::ErrnoToStatus(
        error.value(), absl::StrCat("cannot rename ", partial, " to ", out));
  }
  std::move(clean_up).Cancel();
  return report;
}

}  // namespace braid::model
