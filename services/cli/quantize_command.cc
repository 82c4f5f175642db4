// `braid model quantize`.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "generation/checkpoint/quantize.h"
#include "generation/checkpoint/weight_type.h"
#include "services/cli/commands.h"
#include "services/cli/render.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

constexpr double kMegabyte = 1e6;

struct QuantizeFlags {
  std::string directory;
  std::string out;
  std::string weights = "int8";
  size_t group_size = 0;  // 0: 64 for int8, 32 for int4
  bool zero_points = false;
  int threads = 0;
};

ExitCode RunQuantize(const QuantizeFlags& flags, const Context& context) {
  model::QuantizeOptions options;
  options.format =
      *model::DefaultFormat(*model::ParseWeightType(flags.weights));
  if (flags.group_size != 0) options.format.group_size = flags.group_size;
  options.format.zero_points = flags.zero_points;
  options.threads =
      flags.threads != 0
          ? flags.threads
          : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  absl::StatusOr<model::QuantizeReport> report;
  {
    Progress bar("Quantising", "MB", 0);
    options.progress = [&](uint64_t done, uint64_t all) {
      bar.set_total(all / 1'000'000);
      bar.Update(done / 1'000'000);
      return !context.signals->token().stop_requested();
    };
    report = model::QuantizeCheckpoint(flags.directory, flags.out, options);
  }
  if (!report.ok()) return ReportError(report.status());
  const double bits =
      report->parameters == 0
          ? 0
          : options.format.bits + (options.format.zero_points ? 24.0 : 16.0) /
                                      options.format.group_size;
  if (context.options.json) {
    PrintJsonLine({{"directory", flags.out},
                   {"weights", flags.weights},
                   {"group_size", options.format.group_size},
                   {"zero_points", options.format.zero_points},
                   {"bits_per_weight", bits},
                   {"matrices", report->matrices},
                   {"parameters", report->parameters},
                   {"input_bytes", report->input_bytes},
                   {"output_bytes", report->output_bytes},
                   {"relative_error", report->relative_error},
                   {"worst_relative_error", report->worst_relative_error},
                   {"worst_matrix", report->worst_matrix}});
    return kExitOk;
  }
  std::printf(
      "%s: %d matrices at %.2f bits per weight; %.1f MB, %.1f before\n"
      "error relative to the weights: %.4f, at worst %.4f in %s\n",
      PrintableText(flags.out, false).c_str(),
      static_cast<int>(report->matrices), bits,
      static_cast<double>(report->output_bytes) / kMegabyte,
      static_cast<double>(report->input_bytes) / kMegabyte,
      report->relative_error, report->worst_relative_error,
      PrintableText(report->worst_matrix, false).c_str());
  return kExitOk;
}

}  // namespace

void AddModelQuantize(CLI::App* model, CommonOptions* common, Action* action) {
  CLI::App* verb = model->add_subcommand(
      "quantize",
      "Write a checkpoint anew with its matrices in 8 or 4 bits: smaller, and "
      "faster on the CPU");
  auto flags = std::make_shared<QuantizeFlags>();
  verb->add_option("directory", flags->directory,
                   "Hugging Face checkpoint directory")
      ->type_name("DIR")
      ->required();
  verb->add_option("out", flags->out, "Directory to write, new or empty")
      ->type_name("OUT")
      ->required();
  verb->add_option("--weights", flags->weights, "Type of the weights")
      ->check(CLI::IsMember({"int8", "int4"}))
      ->capture_default_str();
  verb->add_option("--group-size", flags->group_size,
                   "Inputs that share a scale (default: 64 for int8, 32 for "
                   "int4)")
      ->check(CLI::IsMember({32, 64, 128}));
  verb->add_flag("--zero-points", flags->zero_points,
                 "A zero point for each scale: for weights that are not "
                 "spread evenly around 0");
  verb->add_option("--threads", flags->threads, "CPU threads (default: all)")
      ->check(CLI::Range(1, 1024));
  AddBasicFlags(verb, common);
  verb->callback([flags, action] {
    *action = [flags](const Context& context) {
      return RunQuantize(*flags, context);
    };
  });
}

}  // namespace braid::services::cli
