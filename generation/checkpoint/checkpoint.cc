#include "generation/checkpoint/checkpoint.h"

#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "generation/checkpoint/json_file.h"

namespace braid::model {
namespace {

constexpr uint64_t kMaxIndexBytes = 100'000'000;
constexpr size_t kMaxShards = 1000;
constexpr char kSingle[] = "model.safetensors";
constexpr char kIndex[] = "model.safetensors.index.json";

bool Exists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

// A shard is a file beside the index, nowhere else.
bool IsPlainShardName(const std::string& name) {
  return absl::EndsWith(name, ".safetensors") &&
         name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos && name[0] != '.';
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::Open(
    const std::string& directory) {
  auto checkpoint = std::unique_ptr<Checkpoint>(new Checkpoint());
  checkpoint->directory_ = directory;
  const std::string single = absl::StrCat(directory, "/", kSingle);
  const std::string index = absl::StrCat(directory, "/", kIndex);

  std::set<std::string> shards;
  nlohmann::json weight_map = nlohmann::json::object();
  if (Exists(single)) {
    shards.insert(kSingle);
  } else if (Exists(index)) {
    absl::StatusOr<nlohmann::json> json = ReadJsonObject(index, kMaxIndexBytes);
    if (!json.ok()) return json.status();
    if (!json->contains("weight_map") || !(*json)["weight_map"].is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat(index, ": weight_map is missing or no object"));
    }
    weight_map = std::move((*json)["weight_map"]);
    for (const auto& [tensor, shard] : weight_map.items()) {
      if (!shard.is_string() ||
          !IsPlainShardName(shard.get_ref<const std::string&>())) {
        return absl::InvalidArgumentError(
            absl::StrCat(index, ": weight_map: tensor \"", tensor,
                         "\" must name a .safetensors file in the same "
                         "directory"));
      }
      shards.insert(shard.get<std::string>());
      if (shards.size() > kMaxShards) {
        return absl::InvalidArgumentError(
            absl::StrCat(index, ": more than ", kMaxShards, " shards"));
      }
    }
  } else {
    return absl::NotFoundError(absl::StrCat(
        directory, ": no checkpoint: neither ", kSingle, " nor ", kIndex));
  }

  for (const std::string& shard : shards) {
    absl::StatusOr<std::unique_ptr<SafetensorsFile>> file =
        SafetensorsFile::Open(absl::StrCat(directory, "/", shard));
    if (!file.ok()) return file.status();
    for (const TensorView& tensor : (*file)->tensors()) {
      if (!checkpoint->tensors_.emplace(tensor.name, &tensor).second) {
        return absl::InvalidArgumentError(
            absl::StrCat((*file)->path(), ": tensor \"", tensor.name,
                         "\" is in another shard too"));
      }
      const auto listed = weight_map.find(tensor.name);
      if (listed != weight_map.end()) {
        if (listed->get_ref<const std::string&>() != shard) {
          return absl::InvalidArgumentError(absl::StrCat(
              index, ": weight_map: tensor \"", tensor.name, "\" is in ", shard,
              ", not in ", listed->get_ref<const std::string&>()));
        }
      }
    }
    checkpoint->files_.push_back(std::move(*file));
  }
  for (const auto& [tensor, shard] : weight_map.items()) {
    if (!checkpoint->tensors_.contains(tensor)) {
      return absl::InvalidArgumentError(
          absl::StrCat(index, ": weight_map: tensor \"", tensor,
                       "\" is not in ", shard.get_ref<const std::string&>()));
    }
  }
  return checkpoint;
}

std::vector<std::string> Checkpoint::TensorNames() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& [name, view] : tensors_) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

const TensorView* Checkpoint::Find(absl::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

absl::StatusOr<const TensorView*> Checkpoint::FindFloat(
    absl::string_view name, absl::Span<const int64_t> shape) const {
  const TensorView* tensor = Find(name);
  if (tensor == nullptr) {
    return absl::NotFoundError(
        absl::StrCat(directory_, ": tensor \"", name, "\" is missing"));
  }
  if (absl::MakeConstSpan(tensor->shape) != shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory_, ": tensor \"", name, "\" has the shape [",
                     absl::StrJoin(tensor->shape, ", "), "], not [",
                     absl::StrJoin(shape, ", "), "]"));
  }
  if (!IsFloat(tensor->dtype)) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory_, ": tensor \"", name, "\" has the dtype ",
                     tensor->dtype_name, "; F32, F16 and BF16 are supported"));
  }
  return tensor;
}

absl::StatusOr<std::vector<float>> Checkpoint::ReadF32(
    absl::string_view name, absl::Span<const int64_t> shape) const {
  absl::StatusOr<const TensorView*> tensor = FindFloat(name, shape);
  if (!tensor.ok()) return tensor.status();
  std::vector<float> values(static_cast<size_t>((*tensor)->elements));
  WidenToF32((*tensor)->dtype, (*tensor)->data, (*tensor)->elements,
             values.data());
  return values;
}

absl::StatusOr<std::vector<float>> Checkpoint::ReadSliceF32(
    absl::string_view name, absl::Span<const int64_t> shape,
    int64_t index) const {
  absl::StatusOr<const TensorView*> tensor = FindFloat(name, shape);
  if (!tensor.ok()) return tensor.status();
  if (shape.empty() || index < 0 || index >= shape[0]) {
    return absl::InvalidArgumentError(absl::StrCat(
        directory_, ": tensor \"", name, "\" has no entry ", index));
  }
  const int64_t count = (*tensor)->elements / shape[0];
  std::vector<float> values(static_cast<size_t>(count));
  WidenToF32((*tensor)->dtype,
             (*tensor)->data + (*tensor)->bytes / shape[0] * index, count,
             values.data());
  return values;
}

}  // namespace braid::model
