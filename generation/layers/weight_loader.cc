#include "generation/layers/weight_loader.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "generation/checkpoint/quantized_tensors.h"
#include "kernels/conv1d.h"

namespace braid::model {
namespace {

// Gates and values alternate in blocks of this many rows where the kernel lets
// them meet.
constexpr size_t kGateBlock = kernels::QuantizedWeights::kColumns;

// Scales of the rows, in their final order.
std::vector<float> RowScales(const LinearSpec& spec, double factor) {
  std::vector<float> scales;
  for (const auto& [rows, scale] : spec.row_scales) {
    scales.insert(scales.end(), rows, static_cast<float>(scale * factor));
  }
  scales.resize(spec.out(), static_cast<float>(factor));
  return scales;
}

// Rows of `width` floats in the order that the spec asks for.
std::vector<float> Ordered(const LinearSpec& spec, std::vector<float> rows,
                           size_t width) {
  if (spec.row_order.empty() || rows.empty()) return rows;
  std::vector<float> ordered(rows.size());
  for (size_t i = 0; i < spec.row_order.size(); ++i) {
    const float* from = rows.data() + spec.row_order[i] * width;
    std::copy(from, from + width, ordered.data() + i * width);
  }
  return ordered;
}

void ScaleRows(const std::vector<float>& scales, size_t width,
               std::vector<float>* rows) {
  for (size_t r = 0; r < scales.size() && !rows->empty(); ++r) {
    if (scales[r] == 1.0f) continue;
    for (size_t i = 0; i < width; ++i) (*rows)[r * width + i] *= scales[r];
  }
}

// The row of a matrix of `out` rows that lies in place i.
size_t RowInPlace(size_t i, size_t out, bool gates_in_blocks) {
  if (!gates_in_blocks) return i;
  const size_t block = i / (2 * kGateBlock);
  const size_t in_block = i % (2 * kGateBlock);
  return block * kGateBlock + in_block % kGateBlock +
         (in_block < kGateBlock ? 0 : out / 2);
}

std::vector<float> Placed(const std::vector<float>& rows,
                          bool gates_in_blocks) {
  std::vector<float> placed(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    placed[i] = rows[RowInPlace(i, rows.size(), gates_in_blocks)];
  }
  return placed;
}

// Equal for specs that ask for the same matrix.
std::string Key(const LinearSpec& spec) {
  std::string key;
  for (const TensorSpec& tensor : spec.weights) {
    absl::StrAppend(&key, tensor.name, "\n", tensor.slice, "\n");
  }
  absl::StrAppend(&key, absl::StrJoin(spec.row_order, ","), "\n",
                  spec.in_scale);
  for (const auto& [rows, scale] : spec.row_scales) {
    absl::StrAppend(&key, "\n", rows, " ", scale);
  }
  return key;
}

std::string QuantizedKey(const LinearSpec& spec, bool gates_in_blocks) {
  return absl::StrCat(Key(spec), "\n", gates_in_blocks);
}

}  // namespace

absl::StatusOr<WeightLoader::Options> WeightLoader::Options::For(
    const Checkpoint& checkpoint,
    const std::optional<kernels::QuantizedFormat>& stored, WeightType weights,
    kernels::ThreadPool* pool) {
  const std::optional<kernels::QuantizedFormat> wanted = DefaultFormat(weights);
  if (!stored.has_value()) {
    return Options{.stored = stored, .quantize_to = wanted, .pool = pool};
  }
  if (weights != WeightType::kStored &&
      !(wanted.has_value() && wanted->bits == stored->bits)) {
    return absl::InvalidArgumentError(
        absl::StrCat(checkpoint.directory(), " is stored in int", stored->bits,
                     ": it cannot be loaded as ", WeightTypeName(weights)));
  }
  return Options{.stored = stored};
}

std::vector<float> WeightLoader::Read(const TensorSpec& spec) {
  if (!status_.ok()) return {};
  absl::StatusOr<std::vector<float>> values =
      spec.slice < 0
          ? checkpoint_.ReadF32(spec.name, spec.shape)
          : checkpoint_.ReadSliceF32(spec.name, spec.shape, spec.slice);
  if (!values.ok()) {
    status_ = values.status();
    return {};
  }
  return *std::move(values);
}

std::vector<float> WeightLoader::Read(const std::optional<TensorSpec>& spec) {
  return spec.has_value() ? Read(*spec) : std::vector<float>();
}

std::vector<float> WeightLoader::Matrix(const LinearSpec& spec) {
  std::vector<float> rows;
  rows.reserve(static_cast<size_t>(spec.out()) * spec.in);
  for (const TensorSpec& tensor : spec.weights) {
    const std::vector<float> part = Read(tensor);
    rows.insert(rows.end(), part.begin(), part.end());
  }
  if (!status_.ok()) return {};
  rows = Ordered(spec, std::move(rows), spec.in);
  ScaleRows(RowScales(spec, spec.in_scale), spec.in, &rows);
  return rows;
}

std::vector<float> WeightLoader::Bias(const LinearSpec& spec) {
  std::vector<float> bias;
  for (const TensorSpec& tensor : spec.biases) {
    const std::vector<float> part = Read(tensor);
    bias.insert(bias.end(), part.begin(), part.end());
  }
  if (!status_.ok()) return {};
  bias = Ordered(spec, std::move(bias), 1);
  ScaleRows(RowScales(spec, 1.0), 1, &bias);
  return bias;
}

Linear WeightLoader::Load(const LinearSpec& spec) {
  return LoadAny(spec, /*gates_in_blocks=*/false);
}

Linear WeightLoader::LoadGated(const LinearSpec& spec) {
  // What low-rank additions change must be whole before it meets the gates.
  return LoadAny(spec,
                 spec.adapters.empty() && spec.out() % (2 * kGateBlock) == 0);
}

Linear WeightLoader::LoadAny(const LinearSpec& spec, bool gates_in_blocks) {
  if (IsQuantized(spec)) return LoadQuantized(spec, gates_in_blocks);
  if (options_.quantize_to.has_value()) {
    return LoadQuantizing(spec, gates_in_blocks);
  }
  return LoadPacked(spec);
}

bool WeightLoader::IsQuantized(const LinearSpec& spec) {
  size_t quantized = 0;
  for (const TensorSpec& tensor : spec.weights) {
    if (model::IsQuantized(checkpoint_, tensor.name)) ++quantized;
  }
  if (quantized == 0) return false;
  if (quantized < spec.weights.size() && status_.ok()) {
    status_ = absl::InvalidArgumentError(absl::StrCat(
        checkpoint_.directory(), ": tensor \"", spec.weights[0].name,
        "\" and others that make one matrix with it must all be quantised, or "
        "none"));
  }
  return true;
}

Linear WeightLoader::LoadPacked(const LinearSpec& spec) {
  const std::string key = Key(spec);
  auto packed = packed_.find(key);
  if (packed == packed_.end()) {
    const std::vector<float> rows = Matrix(spec);
    if (!status_.ok()) return {};
    packed = packed_
                 .emplace(key, std::make_shared<const kernels::PackedWeights>(
                                   kernels::PackedWeights::Pack(
                                       rows.data(), spec.out(), spec.in)))
                 .first;
  }
  Linear linear(packed->second, Bias(spec));
  LoadAdapters(spec, &linear);
  return linear;
}

Linear WeightLoader::LoadQuantized(const LinearSpec& spec,
                                   bool gates_in_blocks) {
  if (!status_.ok()) return {};
  std::vector<kernels::QuantizedRow> stored;
  stored.reserve(spec.out());
  for (const TensorSpec& tensor : spec.weights) {
    const QuantizedTensor matrix(checkpoint_, *options_.stored, tensor);
    for (size_t i = 0; i < matrix.rows(); ++i) stored.push_back(matrix.row(i));
  }
  const auto row_of = [&](size_t i) {
    return stored[spec.row_order.empty() ? i : spec.row_order[i]];
  };
  Linear linear =
      PackQuantized(spec, *options_.stored, row_of, gates_in_blocks);
  const std::vector<float> scales = RowScales(spec, spec.in_scale);
  if (std::any_of(scales.begin(), scales.end(),
                  [](float scale) { return scale != 1.0f; })) {
    linear.SetRowScales(Placed(scales, gates_in_blocks));
  }
  return linear;
}

Linear WeightLoader::LoadQuantizing(const LinearSpec& spec,
                                    bool gates_in_blocks) {
  if (packed_.contains(QuantizedKey(spec, gates_in_blocks))) {
    // Quantised for another layer: no row is asked for.
    return PackQuantized(spec, *options_.quantize_to, nullptr, gates_in_blocks);
  }
  const std::vector<float> rows = Matrix(spec);
  if (!status_.ok()) return {};
  if (!std::all_of(rows.begin(), rows.end(),
                   [](float weight) { return std::isfinite(weight); })) {
    status_ = absl::InvalidArgumentError(absl::StrCat(
        checkpoint_.directory(), ": tensor \"", spec.weights[0].name,
        "\" or one that makes a matrix with "
        "it has weights that are not finite"));
    return {};
  }
  const kernels::QuantizedMatrix matrix = kernels::Quantize(
      rows.data(), spec.out(), spec.in, *options_.quantize_to, options_.pool);
  return PackQuantized(
      spec, *options_.quantize_to, [&](size_t i) { return matrix.row(i); },
      gates_in_blocks);
}

Linear WeightLoader::PackQuantized(
    const LinearSpec& spec, const kernels::QuantizedFormat& format,
    const std::function<kernels::QuantizedRow(size_t)>& row_of,
    bool gates_in_blocks) {
  const size_t out = spec.out();
  const std::string key = QuantizedKey(spec, gates_in_blocks);
  auto packed = packed_.find(key);
  if (packed == packed_.end()) {
    packed =
        packed_
            .emplace(key, std::make_shared<const kernels::QuantizedWeights>(
                              kernels::QuantizedWeights::Pack(
                                  format, out, spec.in,
                                  [&](size_t i) {
                                    return row_of(
                                        RowInPlace(i, out, gates_in_blocks));
                                  })))
            .first;
  }
  Linear linear(packed->second, Placed(Bias(spec), gates_in_blocks));
  if (gates_in_blocks) linear.SetGatesInBlocks();
  LoadAdapters(spec, &linear);
  return linear;
}

void WeightLoader::LoadAdapters(const LinearSpec& spec, Linear* linear) {
  for (const LinearSpec::Adapter& adapter : spec.adapters) {
    const std::vector<float> down = Read(adapter.down);
    const std::vector<float> up = Read(adapter.up);
    if (!status_.ok()) return;
    const std::vector<int64_t> down_shape = adapter.down.view_shape();
    const std::vector<int64_t> up_shape = adapter.up.view_shape();
    linear->AddAdapter(
        kernels::PackedWeights::Pack(down.data(), down_shape[0], down_shape[1]),
        kernels::PackedWeights::Pack(up.data(), up_shape[0], up_shape[1]),
        adapter.first_row);
  }
}

std::optional<Linear> WeightLoader::Load(
    const std::optional<LinearSpec>& spec) {
  if (!spec.has_value()) return std::nullopt;
  return Load(*spec);
}

RmsNorm WeightLoader::Load(const RmsNormSpec& spec) {
  return RmsNorm(Read(spec.weight), static_cast<float>(spec.epsilon),
                 static_cast<float>(spec.weight_offset));
}

std::optional<RmsNorm> WeightLoader::Load(
    const std::optional<RmsNormSpec>& spec) {
  if (!spec.has_value()) return std::nullopt;
  return Load(*spec);
}

std::vector<float> WeightLoader::ConvTaps(const std::vector<TensorSpec>& parts,
                                          int64_t channels, int64_t kernel) {
  std::vector<float> weight;
  for (const TensorSpec& tensor : parts) {
    const std::vector<float> part = Read(tensor);
    weight.insert(weight.end(), part.begin(), part.end());
  }
  if (!status_.ok()) return {};
  std::vector<float> taps(weight.size());
  kernels::ConvTapsFromHf(weight.data(), channels, kernel, taps.data());
  return taps;
}

std::vector<float> WeightLoader::DecayRate(const TensorSpec& a_log) {
  std::vector<float> rates = Read(a_log);
  for (float& rate : rates) rate = -std::exp(rate);
  return rates;
}

}  // namespace braid::model
