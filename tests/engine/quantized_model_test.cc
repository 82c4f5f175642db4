// Checkpoints in 8 and 4 bits: written, loaded, and compared with checkpoints
// in f32 that hold the same weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "generation/checkpoint/json_file.h"
#include "generation/checkpoint/quantize.h"
#include "generation/checkpoint/quantized_tensors.h"
#include "generation/engine/inspect.h"
#include "generation/engine/model.h"
#include "kernels/thread_pool.h"
#include "tests/engine/make_tiny_model.h"

namespace braid::generation {
namespace {

namespace fs = std::filesystem;
using kernels::QuantizedFormat;
using model::Checkpoint;

std::string Fresh(const std::string& name) {
  const std::string directory = testing::TempDir() + name;
  fs::remove_all(directory);
  return directory;
}

// The tiny model, quantised; its directory.
std::string QuantizeTiny(const std::string& name,
                         const QuantizedFormat& format) {
  const std::string out =
      Fresh("quantized_" + name + "_" + std::to_string(format.bits));
  const auto report = model::QuantizeCheckpoint(
      MakeTinyModel(name), out, {.format = format, .threads = 2});
  EXPECT_TRUE(report.ok()) << report.status();
  return out;
}

std::unique_ptr<HybridModel> LoadFrom(const std::string& directory) {
  auto loaded = HybridModel::Load(directory);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? *std::move(loaded) : nullptr;
}

// The weights of `quantized` in floating point, as a model of its own.
std::string Widen(const std::string& name, const std::string& quantized) {
  auto checkpoint = Checkpoint::Open(quantized);
  auto spec = model::LoadModelSpec(quantized, checkpoint->get());
  EXPECT_TRUE(spec.ok()) << spec.status();
  auto weights = TinyWeights(name);
  for (const model::TensorSpec& matrix : model::QuantizableTensors(*spec)) {
    float* values = weights.at(matrix.name).values.data();
    const size_t k = matrix.shape.back();
    const bool stacked = matrix.shape.size() == 3;
    for (int64_t s = 0; s < (stacked ? matrix.shape[0] : 1); ++s) {
      model::TensorSpec slice = matrix;
      if (stacked) slice.slice = s;
      const model::QuantizedTensor tensor(**checkpoint, *spec->quantization,
                                          slice);
      for (size_t r = 0; r < tensor.rows(); ++r, values += k) {
        kernels::Dequantize(*spec->quantization, tensor.row(r), k, values);
      }
    }
  }
  return WriteTinyModel("widened_" + name, TinyConfig(name), weights);
}

std::vector<int32_t> Prompt(const HybridModel& hybrid, size_t length) {
  std::mt19937_64 rng(7);
  std::vector<int32_t> ids;
  for (size_t i = 0; i < length; ++i) {
    ids.push_back(static_cast<int32_t>(rng() % hybrid.spec().vocab_size));
  }
  return ids;
}

std::vector<float> Logits(const HybridModel& hybrid,
                          absl::Span<const int32_t> prompt, size_t piece,
                          kernels::ThreadPool* pool) {
  model::Workspace workspace;
  workspace.pool = pool;
  SequenceState state = hybrid.NewState(kernels::KvType::kF32);
  ForwardOptions options;
  options.logits = LogitsOf::kAllTokens;
  std::vector<float> joined;
  std::vector<float> logits;
  for (size_t at = 0; at < prompt.size(); at += piece) {
    EXPECT_TRUE(hybrid
                    .Forward(prompt.subspan(at, piece), options, &state,
                             &workspace, &logits)
                    .ok());
    joined.insert(joined.end(), logits.begin(), logits.end());
  }
  return joined;
}

// Root of the mean squared difference over the spread of the values.
double RelativeDifference(const std::vector<float>& a,
                          const std::vector<float>& b) {
  double sum = 0;
  double squares = 0;
  double difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += b[i];
    squares += static_cast<double>(b[i]) * b[i];
    difference += (static_cast<double>(a[i]) - b[i]) * (a[i] - b[i]);
  }
  const double mean = sum / a.size();
  return std::sqrt(difference / a.size() / (squares / a.size() - mean * mean));
}

class QuantizedModelTest : public testing::TestWithParam<std::string> {};

// Only the rounding of the activations tells the two apart: 1 part in 250,
// which these random models amplify, most of all where another expert is
// chosen. A matrix that is wrong makes them differ by 1 and more.
TEST_P(QuantizedModelTest, ComputesWithTheWeightsThatTheCodesStandFor) {
  for (const QuantizedFormat& format :
       {QuantizedFormat{8, 64, false}, QuantizedFormat{4, 32, true}}) {
    const std::string quantized = QuantizeTiny(GetParam(), format);
    const auto codes = LoadFrom(quantized);
    const auto widened = LoadFrom(Widen(GetParam(), quantized));
    ASSERT_TRUE(codes != nullptr && widened != nullptr);
    const std::vector<int32_t> prompt = Prompt(*codes, 60);
    const double difference =
        RelativeDifference(Logits(*codes, prompt, 60, nullptr),
                           Logits(*widened, prompt, 60, nullptr));
    EXPECT_LT(difference, 0.3) << format.bits << " bits";
    EXPECT_GT(difference, 0.0) << "nothing was rounded";
  }
}

TEST_P(QuantizedModelTest, AnyCutOfThePromptGivesTheSameBits) {
  const auto hybrid =
      LoadFrom(QuantizeTiny(GetParam(), QuantizedFormat{4, 32, false}));
  ASSERT_NE(hybrid, nullptr);
  const std::vector<int32_t> prompt = Prompt(*hybrid, 70);
  const std::vector<float> whole = Logits(*hybrid, prompt, 70, nullptr);
  kernels::ThreadPool pool(2);
  for (const size_t piece : {1, 7, 33}) {
    EXPECT_EQ(Logits(*hybrid, prompt, piece, &pool), whole) << piece;
  }
}

TEST_P(QuantizedModelTest, QuantizingWhileLoadingGivesWhatIsStored) {
  const auto type = model::WeightType::kInt8;
  const std::string quantized =
      QuantizeTiny(GetParam(), *model::DefaultFormat(type));
  const auto stored = LoadFrom(quantized);
  auto loaded = HybridModel::Load(MakeTinyModel(GetParam()), type, 2);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_NE(stored, nullptr);
  const auto inspected =
      InspectCheckpoint(MakeTinyModel(GetParam()), kernels::KvType::kF32, type);
  ASSERT_TRUE(inspected.ok());
  EXPECT_EQ(inspected->weights, "int8");
  EXPECT_LT(inspected->weight_bytes, 2 * inspected->parameters);
  // Scales that a family puts into its weights are rounded together with them
  // here, and the embedding is looked up as it is stored.
  const std::vector<int32_t> prompt = Prompt(*stored, 40);
  EXPECT_LT(RelativeDifference(Logits(**loaded, prompt, 40, nullptr),
                               Logits(*stored, prompt, 40, nullptr)),
            0.3);

  for (const auto other : {model::WeightType::kF32, model::WeightType::kInt4}) {
    const absl::Status status = HybridModel::Load(quantized, other).status();
    EXPECT_TRUE(absl::StrContains(status.message(), "is stored in int8"))
        << status;
  }
  EXPECT_TRUE(HybridModel::Load(quantized, type).ok());
}

INSTANTIATE_TEST_SUITE_P(Models, QuantizedModelTest,
                         testing::ValuesIn(TinyModels()),
                         [](const auto& instance) { return instance.param; });

TEST(QuantizeCheckpointTest, KeepsTheRestAndSaysWhatItDid) {
  const std::string directory = MakeTinyModel("granite_moe");
  const std::string out = Fresh("quantized_whole");
  const auto report = model::QuantizeCheckpoint(
      directory, out, {.format = {8, 32, true}, .threads = 1});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GT(report->matrices, 0u);
  // 256 steps over the range of 32 normal or uniform weights.
  EXPECT_GT(report->relative_error, 1e-4);
  EXPECT_LT(report->relative_error, 1e-2);
  EXPECT_GE(report->worst_relative_error, report->relative_error);
  EXPECT_LT(report->output_bytes, report->input_bytes / 2);
  EXPECT_TRUE(fs::exists(out + "/tokenizer.json"));
  EXPECT_FALSE(fs::exists(out + ".partial"));
  const auto inspected = InspectCheckpoint(out, kernels::KvType::kF32);
  const auto before = InspectCheckpoint(directory, kernels::KvType::kF32);
  ASSERT_TRUE(inspected.ok()) << inspected.status();
  EXPECT_EQ(inspected->weights, "int8");
  EXPECT_EQ(inspected->parameters, before->parameters);
  EXPECT_EQ(inspected->active_parameters, before->active_parameters);
  EXPECT_EQ(inspected->checkpoint_bytes, report->output_bytes);
  EXPECT_LT(inspected->weight_bytes, before->weight_bytes / 2);

  EXPECT_EQ(model::QuantizeCheckpoint(directory, out, {.format = {8, 32, true}})
                .status()
                .code(),
            absl::StatusCode::kAlreadyExists);
  const auto again =
      model::QuantizeCheckpoint(out, Fresh("twice"), {.format = {4, 32, true}});
  EXPECT_TRUE(absl::StrContains(again.status().message(), "quantised already"))
      << again.status();
}

TEST(QuantizeCheckpointTest, LeavesNothingWhereItStops) {
  const std::string out = Fresh("quantized_stopped");
  const auto stopped = model::QuantizeCheckpoint(
      MakeTinyModel("granite_rope"), out,
      {.format = {8, 32, false},
       .progress = [](uint64_t, uint64_t) { return false; }});
  EXPECT_EQ(stopped.status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(fs::exists(out));
  EXPECT_FALSE(fs::exists(out + ".partial"));

  auto weights = TinyWeights("granite_rope");
  const std::string matrix = "model.layers.0.shared_mlp.input_linear.weight";
  weights.at(matrix).values[5] = INFINITY;
  const auto infinite = model::QuantizeCheckpoint(
      WriteTinyModel("infinite", TinyConfig("granite_rope"), weights), out,
      {.format = {8, 32, false}});
  EXPECT_EQ(infinite.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(infinite.status().message(), matrix))
      << infinite.status();
  EXPECT_FALSE(fs::exists(out));
}

// A quantised checkpoint that lies.
TEST(QuantizedHostileTest, NamesWhatIsWrong) {
  const std::string good =
      QuantizeTiny("granite_rope", QuantizedFormat{4, 32, true});
  const auto with_config = [&](const nlohmann::json& quantization) {
    const std::string directory = Fresh("quantized_hostile");
    fs::copy(good, directory);
    auto config = model::ReadJsonObject(good + "/config.json", 1 << 20);
    (*config)["quantization_config"] = quantization;
    std::ofstream(directory + "/config.json") << config->dump();
    return HybridModel::Load(directory).status();
  };
  const nlohmann::json right = {{"quant_method", "braid"},
                                {"bits", 4},
                                {"group_size", 32},
                                {"zero_points", true}};
  ASSERT_TRUE(with_config(right).ok());
  struct Case {
    const char* field;
    nlohmann::json value;
    const char* message;
  };
  for (const Case& wrong : std::vector<Case>{
           {"quant_method", "gptq", "\"gptq\" is not supported"},
           {"quant_method", 4, "quant_method"},
           {"bits", 5, "bits"},
           {"bits", 8, "is U8"},
           {"group_size", 33, "group_size"},
           {"group_size", 0, "group_size"},
           {"group_size", 128, ".scales"},
           {"zero_points", false, "unexpected"},
           {"zero_points", "yes", "zero_points"},
       }) {
    nlohmann::json quantization = right;
    quantization[wrong.field] = wrong.value;
    const absl::Status status = with_config(quantization);
    EXPECT_TRUE(absl::StrContains(status.message(), wrong.message))
        << wrong.field << ": " << status;
  }
  // Codes that nobody announced.
  const absl::Status status = with_config(nullptr);
  EXPECT_TRUE(absl::StrContains(status.message(), "has the shape")) << status;
}

}  // namespace
}  // namespace braid::generation
