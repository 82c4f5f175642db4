#include "generation/checkpoint/families/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/family.h"

namespace braid::model {
namespace {

constexpr double kPi = std::numbers::pi;

double Positive(ConfigReader& reader, const char* field,
                std::optional<double> absent = std::nullopt) {
  const double value = reader.Number(field, absent);
  if (!(value > 0)) {
    reader.Fail(field, "must be positive");
    return 1;
  }
  return value;
}

// The context the frequencies were trained for. A field beside the parameters
// goes before one among them.
double OriginalContext(ConfigReader& config, ConfigReader& parameters) {
  const char* field = "original_max_position_embeddings";
  if (config.Find(field) != nullptr) return Positive(config, field);
  if (parameters.Find(field) != nullptr) return Positive(parameters, field);
  return Positive(config, "max_position_embeddings");
}

// Slow pairs are interpolated, fast ones are kept, and those between blended.
void ScaleLlama3(ConfigReader& config, ConfigReader& parameters,
                 RopeSpec* rope) {
  const float factor = static_cast<float>(Positive(parameters, "factor"));
  const double low = Positive(parameters, "low_freq_factor");
  const double high = Positive(parameters, "high_freq_factor");
  const double context = OriginalContext(config, parameters);
  if (!(high > low)) {
    parameters.Fail("high_freq_factor", "must be above low_freq_factor");
    return;
  }
  const float longest = static_cast<float>(context / low);
  const float shortest = static_cast<float>(context / high);
  for (float& frequency : rope->inverse_frequencies) {
    const float wavelength = static_cast<float>(2 * kPi) / frequency;
    if (wavelength < shortest) continue;
    if (wavelength > longest) {
      frequency /= factor;
      continue;
    }
    const float smooth =
        (static_cast<float>(context) / wavelength - static_cast<float>(low)) /
        static_cast<float>(high - low);
    frequency = (1 - smooth) * frequency / factor + smooth * frequency;
  }
}

double YarnMagnitude(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

// YaRN (Peng et al. 2023): a ramp over the pairs, from kept to interpolated.
void ScaleYarn(ConfigReader& config, ConfigReader& parameters, double theta,
               RopeSpec* rope) {
  const double context = OriginalContext(config, parameters);
  const double factor =
      parameters.Find("factor") != nullptr
          ? Positive(parameters, "factor")
          : Positive(config, "max_position_embeddings") / context;
  const double fast = Positive(parameters, "beta_fast", 32.0);
  const double slow = Positive(parameters, "beta_slow", 1.0);
  const double mscale = parameters.Number("mscale", 0.0);
  const double mscale_all = parameters.Number("mscale_all_dim", 0.0);
  if (!(theta > 1)) {
    parameters.Fail("rope_theta", "must be above 1");
    return;
  }
  if (parameters.Find("attention_factor") != nullptr) {
    rope->magnitude = parameters.Number("attention_factor");
  } else if (mscale != 0 && mscale_all != 0) {
    rope->magnitude =
        YarnMagnitude(factor, mscale) / YarnMagnitude(factor, mscale_all);
  } else {
    rope->magnitude = YarnMagnitude(factor, 1);
  }

  const double dims = 2 * static_cast<double>(rope->inverse_frequencies.size());
  // The pair that turns so often within the context.
  const auto pair = [&](double turns) {
    return dims * std::log(context / (turns * 2 * kPi)) / (2 * std::log(theta));
  };
  double low = pair(fast);
  double high = pair(slow);
  if (parameters.Bool("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1);
  if (low == high) high += 0.001;
  float index = 0;
  for (float& frequency : rope->inverse_frequencies) {
    const float ramp = std::clamp(
        (index - static_cast<float>(low)) / static_cast<float>(high - low),
        0.0f, 1.0f);
    const float kept = 1 - ramp;
    const float interpolated =
        1.0f / (static_cast<float>(factor) * (1.0f / frequency));
    frequency = interpolated * (1 - kept) + frequency * kept;
    index += 1;
  }
}

void Read(ConfigReader& config, ConfigReader& parameters, int64_t head_dim,
          const RopeDefaults& defaults, RopeSpec* rope) {
  const std::string type =
      parameters.String(parameters.Spelling({"rope_type", "type"}), "default");
  double theta = defaults.theta;
  if (config.Find("rope_theta") != nullptr) {
    theta = Positive(config, "rope_theta");
  }
  if (parameters.Find("rope_theta") != nullptr) {
    theta = Positive(parameters, "rope_theta");
  }

  const char* partial_field = "partial_rotary_factor";
  double partial = defaults.partial_rotary_factor.value_or(1.0);
  ConfigReader& says =
      parameters.Find(partial_field) != nullptr ? parameters : config;
  if (says.Find(partial_field) != nullptr) {
    partial = says.Number(partial_field);
    if (!defaults.partial_rotary_factor.has_value() && partial != 1) {
      says.Unsupported(partial_field, "only 1 is supported in this family");
    }
  }
  const auto dims = static_cast<int64_t>(static_cast<double>(head_dim) *
                                         std::clamp(partial, 0.0, 1.0));
  if (!(partial > 0 && partial <= 1) || dims < 2 || dims % 2 != 0) {
    says.Fail(partial_field,
              absl::StrCat("rope needs an even part of the "
                           "head's ",
                           head_dim, " dimensions, not ", partial, " of them"));
    return;
  }

  for (int64_t i = 0; i < dims; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(dims);
    rope->inverse_frequencies.push_back(
        1.0f / std::pow(static_cast<float>(theta), exponent));
  }
  if (type == "linear") {
    const double factor = Positive(parameters, "factor");
    for (float& frequency : rope->inverse_frequencies) {
      frequency /= static_cast<float>(factor);
    }
  } else if (type == "llama3") {
    ScaleLlama3(config, parameters, rope);
  } else if (type == "yarn") {
    ScaleYarn(config, parameters, theta, rope);
  } else if (type != "default") {
    parameters.Unsupported(
        "rope_type",
        absl::StrCat("\"", type,
                     "\" is not supported; default, linear, llama3 and yarn "
                     "are"));
  }
  for (const float frequency : rope->inverse_frequencies) {
    if (!std::isfinite(frequency)) {
      parameters.Fail("rope_theta", "makes frequencies that are not finite");
      return;
    }
  }
}

}  // namespace

RopeSpec ReadRope(ConfigReader& config, int64_t head_dim,
                  const RopeDefaults& defaults) {
  RopeSpec rope;
  const absl::string_view field =
      config.Spelling({"rope_scaling", "rope_parameters"});
  std::optional<ConfigReader> parameters = config.Part(field);
  if (!parameters.has_value()) {
    static const nlohmann::json kNone = nlohmann::json::object();
    parameters.emplace(kNone, config.path());
  }
  // Newer writers may key the parameters by the kind of layer.
  std::optional<ConfigReader> of_kind = parameters->Part("full_attention");
  ConfigReader& inner = of_kind.has_value() ? *of_kind : *parameters;
  Read(config, inner, head_dim, defaults, &rope);
  config.Adopt(parameters->status());
  config.Adopt(inner.status());
  return rope;
}

}  // namespace braid::model
