// `braid model compare`.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "generation/engine/compare.h"
#include "generation/text/tokenizer.h"
#include "services/cli/commands.h"
#include "services/cli/kv_cache_flag.h"
#include "services/cli/render.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

struct CompareFlags {
  std::string directory;
  std::string text;
  std::string other;  // empty: the same directory
  std::string weights = "int8";
  kernels::KvType kv = kernels::KvType::kF32;
  size_t positions = 2000;
  size_t window = 512;
  int threads = 0;
};

// The first `positions` tokens of the file.
absl::StatusOr<std::vector<int32_t>> TokensOf(const CompareFlags& flags) {
  // No token of a text has more bytes on average.
  constexpr size_t kMaxBytesPerToken = 64;
  std::ifstream file(flags.text, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("cannot read ", flags.text));
  }
  std::string text(flags.positions * kMaxBytesPerToken, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  // A character that was cut in two.
  while (!text.empty() && (static_cast<uint8_t>(text.back()) & 0xC0) == 0x80) {
    text.pop_back();
  }
  if (!text.empty() && static_cast<uint8_t>(text.back()) >= 0xC0) {
    text.pop_back();
  }
  const auto tokenizer = model::Tokenizer::FromFile(
      absl::StrCat(flags.directory, "/tokenizer.json"));
  if (!tokenizer.ok()) return tokenizer.status();
  model::EncodeOptions options;
  options.max_tokens = flags.positions;
  auto encoding = (*tokenizer)->Encode(text, options);
  if (!encoding.ok()) return encoding.status();
  if (encoding->ids.size() < flags.positions) {
    return absl::InvalidArgumentError(
        absl::StrCat(flags.text, " has ", encoding->ids.size(), " tokens; ",
                     flags.positions, " positions were asked for"));
  }
  return std::move(encoding->ids);
}

ExitCode RunCompare(const CompareFlags& flags, const Context& context) {
  const absl::StatusOr<std::vector<int32_t>> ids = TokensOf(flags);
  if (!ids.ok()) return ReportError(ids.status());
  generation::CompareOptions options;
  options.window = flags.window;
  options.threads =
      flags.threads != 0
          ? flags.threads
          : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  generation::ComparedModel other{
      .directory = flags.directory,
      .weights = *model::ParseWeightType(flags.weights),
      .kv = flags.kv};
  if (!flags.other.empty()) {
    other.directory = flags.other;
    other.weights = model::WeightType::kStored;
  }
  absl::StatusOr<generation::CompareReport> report;
  {
    Progress bar("Comparing", "tokens", ids->size());
    options.progress = [&](size_t done) {
      bar.Update(done);
      return !context.signals->token().stop_requested();
    };
    report = generation::CompareModels({.directory = flags.directory}, other,
                                       *ids, options);
  }
  if (!report.ok()) return ReportError(report.status());
  const Json json = {{"directory", flags.directory},
                     {"other", other.directory},
                     {"weights", model::WeightTypeName(other.weights)},
                     {"kv_cache", kernels::KvTypeName(flags.kv)},
                     {"positions", report->positions},
                     {"top1_agreement", report->top1_agreement},
                     {"mean_kl", report->mean_kl},
                     {"max_kl", report->max_kl},
                     {"perplexity", report->perplexity},
                     {"other_perplexity", report->other_perplexity}};
  if (context.options.json) {
    PrintJsonLine(json);
    return kExitOk;
  }
  for (const auto& [name, value] : json.items()) {
    const std::string text =
        value.is_string() ? value.get<std::string>() : value.dump();
    std::printf("%s: %s\n", name.c_str(), PrintableText(text, false).c_str());
  }
  return kExitOk;
}

}  // namespace

void AddModelCompare(CLI::App* model, CommonOptions* common, Action* action) {
  CLI::App* verb = model->add_subcommand(
      "compare",
      "Say on a text how far a model in fewer bits is from the model as it is "
      "stored");
  auto flags = std::make_shared<CompareFlags>();
  verb->add_option("directory", flags->directory,
                   "Hugging Face checkpoint directory, not quantised")
      ->type_name("DIR")
      ->required();
  verb->add_option("--text", flags->text, "Text file, UTF-8")
      ->type_name("FILE")
      ->required();
  verb->add_option("--other", flags->other,
                   "The other model as it is stored, such as `braid model "
                   "quantize` wrote it (default: DIR again, with --weights)")
      ->type_name("DIR");
  verb->add_option("--weights", flags->weights,
                   "What the other's matrices are in memory")
      ->check(CLI::IsMember({"f32", "int8", "int4"}))
      ->capture_default_str();
  AddKvCacheFlag(verb, &flags->kv);
  verb->add_option("--positions", flags->positions, "Tokens to compare on")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  verb->add_option("--window", flags->window,
                   "Tokens that are read from an empty state")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb->add_option("--threads", flags->threads, "CPU threads (default: all)")
      ->check(CLI::Range(1, 1024));
  AddBasicFlags(verb, common);
  verb->callback([flags, action] {
    *action = [flags](const Context& context) {
      return RunCompare(*flags, context);
    };
  });
}

}  // namespace braid::services::cli
