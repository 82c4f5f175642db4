#include "fusion/rerank/calibration.h"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/config_reader.h"
#include "generation/checkpoint/json_file.h"

namespace braid::fusion {
namespace {

constexpr uint64_t kMaxBytes = 1 << 16;

}  // namespace

double RelevanceOf(const RerankCalibration& calibration, double logit,
                   double fused_score) {
  const double z = calibration.scale * logit +
                   calibration.fused_weight * fused_score + calibration.bias;
  return 1.0 / (1.0 + std::exp(-z));
}

absl::StatusOr<RerankCalibration> ReadCalibration(
    const std::string& directory) {
  RerankCalibration calibration;
  const std::string path = absl::StrCat(directory, "/calibration.json");
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return calibration;
  const absl::StatusOr<nlohmann::json> json =
      model::ReadJsonObject(path, kMaxBytes);
  if (!json.ok()) return json.status();
  model::ConfigReader reader(*json, path);
  calibration.scale = reader.Number("scale");
  calibration.fused_weight = reader.Number("fused_weight");
  calibration.bias = reader.Number("bias");
  if (reader.status().ok() && !(calibration.scale > 0)) {
    reader.Fail("scale", "must be above 0");
  }
  if (!reader.status().ok()) return reader.status();
  return calibration;
}

}  // namespace braid::fusion
