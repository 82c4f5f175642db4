#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/floors.h"
#include "services/bench/bench.h"
#include "services/bench/machine.h"
#include "services/eval/temporary_directory.h"
#include "services/runtime.h"

namespace braid::services {
namespace {

constexpr size_t kTokens = 128;  // [CLS] and [SEP] included
constexpr size_t kSpecialTokens = 2;
constexpr size_t kQueryRepeats = 200;
constexpr absl::string_view kQuestion =
    "How does the planner choose between an index scan and a sequential scan?";

// Ordinary prose; every text begins at another word, so that no two are equal.
constexpr absl::string_view kProse =
    "A search engine keeps two views of the same text. The first lists, for "
    "every word, the places where it stands, so that rare words and exact "
    "names are found at once. The second turns each passage into a point in a "
    "space of meanings, where passages that say the same lie close together "
    "even if they share no word. A question is put to both, and what either of "
    "them finds is merged by rank, because the scores of the two cannot be "
    "compared. The merged list is short enough to be read by a slower judge, "
    "and the best of it becomes the ground of an answer, whose every claim "
    "points back to the bytes that support it. ";

struct ModelShape {
  double hidden = 0;
  double layers = 0;
  double intermediate = 0;
};

absl::StatusOr<ModelShape> ReadShape(const std::string& directory) {
  const std::string path =
      (std::filesystem::path(directory) / "config.json").string();
  std::ifstream file(path);
  const Json config = Json::parse(file, nullptr, false);
  ModelShape shape;
  for (const auto& [name, field] :
       {std::pair{"hidden_size", &shape.hidden},
        std::pair{"num_hidden_layers", &shape.layers},
        std::pair{"intermediate_size", &shape.intermediate}}) {
    if (!config.is_object() || !config.contains(name) ||
        !config[name].is_number()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": no number \"", name, "\""));
    }
    *field = config[name].get<double>();
  }
  return shape;
}

// Multiply-adds count two. Layer by layer: the four projections of attention,
// the two products of the MLP, and the scores and the weighted sum of
// attention.
double OperationsPerText(const ModelShape& shape, double tokens) {
  const double products =
      4 * shape.hidden * shape.hidden + 2 * shape.hidden * shape.intermediate;
  const double attention = 2 * tokens * shape.hidden;
  return shape.layers * tokens * 2 * (products + attention);
}

// A text of exactly kTokens tokens, beginning at word `skip` of the prose.
absl::StatusOr<std::string> TextOfTokens(const retrieval::Encoder& encoder,
                                         size_t skip) {
  std::string prose;
  while (prose.size() < kProse.size() * 4) {
    prose.append(kProse.data(), kProse.size());
  }
  size_t begin = 0;
  for (size_t i = 0; i < skip; ++i) begin = prose.find(' ', begin) + 1;
  const absl::string_view text = absl::string_view(prose).substr(begin);
  const auto starts = encoder.TokenStarts(text);
  if (!starts.ok()) return starts.status();
  constexpr size_t kContent = kTokens - kSpecialTokens;
  if (starts->size() <= kContent) {
    return absl::InternalError("the prose is too short");
  }
  return std::string(text.substr(0, (*starts)[kContent]));
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

absl::StatusOr<double> QueryMilliseconds(const retrieval::Encoder& encoder) {
  std::vector<float> vector(encoder.dimension());
  std::vector<double> times;
  for (size_t i = 0; i < kQueryRepeats; ++i) {
    const absl::Time start = absl::Now();
    const absl::Status status = encoder.Embed({kQuestion}, vector.data());
    if (!status.ok()) return status;
    times.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
  }
  return Median(std::move(times));
}

}  // namespace

absl::StatusOr<Json> BenchEncode(Config config,
                                 const BenchEncodeOptions& options,
                                 std::stop_token stop) {
  // One thread unless told otherwise: the figure is per core.
  if (config.threads == 0) config.threads = 1;
  const absl::StatusOr<std::string> directory = ResolveEncoderDirectory(config);
  if (!directory.ok()) return directory.status();
  const absl::StatusOr<ModelShape> shape = ReadShape(*directory);
  if (!shape.ok()) return shape.status();
  absl::StatusOr<TemporaryDirectory> data = TemporaryDirectory::Create();
  if (!data.ok()) return data.status();
  config.data_directory = data->path();
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create(config);
  if (!runtime.ok()) return runtime.status();
  const retrieval::Encoder& encoder = (*runtime)->encoder();

  std::vector<std::string> texts;
  for (size_t i = 0; i < options.texts; ++i) {
    absl::StatusOr<std::string> text = TextOfTokens(encoder, i);
    if (!text.ok()) return text.status();
    texts.push_back(*std::move(text));
  }
  const std::vector<absl::string_view> views(texts.begin(), texts.end());
  std::vector<float> vectors(views.size() * encoder.dimension());
  const Json machine = DescribeMachine(config.threads);

  // The fastest batch, as the floor is the fastest run: a busy machine only
  // ever makes either slower. The mean is reported beside it.
  double best_seconds = 0;
  double total_seconds = 0;
  size_t batches = 0;
  absl::Status status = encoder.Embed(views, vectors.data());  // warm-up
  while (status.ok() && (batches < 3 || total_seconds < options.seconds)) {
    if (stop.stop_requested()) return absl::CancelledError("interrupted");
    const absl::Time start = absl::Now();
    status = encoder.Embed(views, vectors.data());
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    best_seconds = batches == 0 ? seconds : std::min(best_seconds, seconds);
    total_seconds += seconds;
    ++batches;
  }
  if (!status.ok()) return status;
  const absl::StatusOr<double> query_ms = QueryMilliseconds(encoder);
  if (!query_ms.ok()) return query_ms.status();

  const kernels::Floors floors = kernels::MeasureFloors(config.threads);
  const double best_rate = static_cast<double>(texts.size()) / best_seconds;
  const double operations =
      OperationsPerText(*shape, static_cast<double>(kTokens));
  const double achieved_gflops = best_rate * operations * 1e-9;
  return Json{{"texts_per_second_per_core", best_rate / config.threads},
              {"mean_texts_per_second_per_core",
               static_cast<double>(texts.size() * batches) / total_seconds /
                   config.threads},
              {"tokens_per_text", kTokens},
              {"query_ms", *query_ms},
              {"floor_ratio", achieved_gflops / floors.fma_gflops},
              {"achieved_gflops", achieved_gflops},
              {"floor_gflops", floors.fma_gflops},
              {"encoder", encoder.fingerprint()},
              {"machine", machine}};
}

}  // namespace braid::services
