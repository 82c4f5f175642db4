// `braid bench search|dense|encode|ingest|load|generate|attention|kernels`.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "services/bench/bench.h"
#include "services/cli/commands.h"
#include "services/cli/kv_cache_flag.h"
#include "services/cli/progress_sink.h"
#include "services/cli/render.h"

namespace braid::services::cli {
namespace {

// `name: value` lines; a nested object is indented.
void PrintReport(const Json& report, int indent) {
  for (const auto& [name, value] : report.items()) {
    if (value.is_object()) {
      std::printf("%*s%s\n", indent, "", name.c_str());
      PrintReport(value, indent + 2);
    } else if (value.is_array() && !value.empty() && value[0].is_object()) {
      for (const Json& row : value) {
        std::printf("%*s%s\n", indent, "", name.c_str());
        PrintReport(row, indent + 2);
      }
    } else {
      const std::string text =
          value.is_string() ? value.get<std::string>() : value.dump();
      std::printf("%*s%s: %s\n", indent, "", name.c_str(),
                  PrintableText(text, false).c_str());
    }
  }
}

using Benchmark = std::function<absl::StatusOr<Json>(
    Config config, const ProgressSink& progress, const Context& context)>;

Action ToAction(Benchmark benchmark) {
  return [benchmark](const Context& context) -> ExitCode {
    absl::StatusOr<Config> config = LoadSettings(context.options);
    if (!config.ok()) return ReportError(config.status());
    // Only an explicit --data is used: never the server's own directory.
    config->data_directory = context.options.data;
    QuietLog(&*config);
    ProgressReporter progress;
    const absl::StatusOr<Json> report =
        benchmark(*config, progress.sink(), context);
    progress.Finish();
    if (!report.ok()) return ReportError(report.status());
    if (context.options.json) {
      PrintJsonLine(*report);
    } else {
      PrintReport(*report, 0);
    }
    return kExitOk;
  };
}

void AddDataset(CLI::App* verb, std::string* dataset) {
  verb->add_option("--dataset", *dataset,
                   "Directory in the BEIR layout: corpus.jsonl, queries.jsonl")
      ->type_name("DIR")
      ->required();
}

void AddSearchBench(CLI::App* bench, CommonOptions* common, Action* action) {
  CLI::App* verb = bench->add_subcommand(
      "search", "Latency and throughput of search, beside the raw engines");
  auto options = std::make_shared<BenchSearchOptions>();
  AddDataset(verb, &options->dataset);
  verb->add_option("--limit", options->max_queries, "Queries of the set to use")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb->add_option("--seconds", options->seconds,
                   "Length of each throughput measurement")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  verb->add_option("--data", common->data,
                   "Keep the index in this directory and use it again "
                   "(default: a temporary one)")
      ->type_name("DIR");
  AddBasicFlags(verb, common);
  AddEngineFlags(verb, common);
  verb->callback([options, action] {
    *action = ToAction([options](Config config, const ProgressSink& progress,
                                 const Context& context) {
      return BenchSearch(std::move(config), *options, progress,
                         context.signals->token());
    });
  });
}

void AddDenseBench(CLI::App* bench, CommonOptions* common, Action* action) {
  CLI::App* verb = bench->add_subcommand(
      "dense", "Recall, latency and memory of the dense index at scale");
  auto options = std::make_shared<BenchDenseOptions>();
  verb->add_option("--rows", options->rows, "Synthetic vectors")
      ->capture_default_str()
      ->check(CLI::Range(100, 100'000'000));
  verb->add_option("--dimension", options->dimension, "Values of each")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  verb->add_option("--queries", options->queries, "Searches per measurement")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  AddBasicFlags(verb, common);
  verb->callback([options, action] {
    *action = ToAction([options](const Config&, const ProgressSink& progress,
                                 const Context& context) {
      return BenchDense(*options, progress, context.signals->token());
    });
  });
}

void AddEncodeBench(CLI::App* bench, CommonOptions* common, Action* action) {
  CLI::App* verb = bench->add_subcommand(
      "encode",
      "Texts per second of the encoder, beside the machine's peak "
      "(one thread unless --threads says otherwise)");
  auto options = std::make_shared<BenchEncodeOptions>();
  verb->add_option("--batch", options->texts, "Texts per batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  verb->add_option("--seconds", options->seconds, "Length of the measurement")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  AddBasicFlags(verb, common);
  AddEngineFlags(verb, common);
  verb->callback([options, action] {
    *action = ToAction([options](Config config, const ProgressSink&,
                                 const Context& context) {
      return BenchEncode(std::move(config), *options, context.signals->token());
    });
  });
}

void AddLoadBench(CLI::App* bench, CommonOptions* common, Action* action) {
  CLI::App* verb =
      bench->add_subcommand("load",
                            "A server under steady load, overload, cancelled "
                            "calls and reset streams");
  auto options = std::make_shared<BenchLoadOptions>();
  AddDataset(verb, &options->dataset);
  const auto seconds = CLI::Range(0.1, 36000.0);
  verb->add_option("--seconds", options->seconds,
                   "Length of the search for the peak and of the steady load")
      ->capture_default_str()
      ->check(seconds);
  verb->add_option("--rate", options->rate,
                   "Searches per second of the steady load (default: 70 % of "
                   "the peak)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--overload-seconds", options->overload_seconds,
                   "Length of ten times the peak")
      ->capture_default_str()
      ->check(seconds);
  verb->add_option("--reset-seconds", options->reset_seconds,
                   "Length of the flood of reset streams")
      ->capture_default_str()
      ->check(seconds);
  verb->add_option("--calls", options->cancelled_calls, "Calls to cancel")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb->add_option("--model", options->model,
                   "Hugging Face causal model: cancels its completions, too")
      ->type_name("DIR");
  verb->add_option("--data", common->data,
                   "Keep the index in this directory and use it again "
                   "(default: a temporary one)")
      ->type_name("DIR");
  AddBasicFlags(verb, common);
  AddEngineFlags(verb, common);
  verb->callback([options, action] {
    *action = ToAction([options](Config config, const ProgressSink& progress,
                                 const Context& context) {
      return BenchLoad(std::move(config), *options, progress,
                       context.signals->token());
    });
  });
}

void AddIngestBench(CLI::App* bench, CommonOptions* common, Action* action) {
  CLI::App* verb = bench->add_subcommand(
      "ingest", "Documents per second with and without embedding, peak memory");
  auto options = std::make_shared<BenchIngestOptions>();
  AddDataset(verb, &options->dataset);
  verb->add_flag("!--no-embedding", options->embed,
                 "Only with vectors that cost nothing");
  AddBasicFlags(verb, common);
  AddEngineFlags(verb, common);
  verb->callback([options, action] {
    *action = ToAction([options](Config config, const ProgressSink& progress,
                                 const Context& context) {
      return BenchIngest(std::move(config), *options, progress,
                         context.signals->token());
    });
  });
}

void AddGenerateBench(CLI::App* bench, CommonOptions* common, Action* action) {
  CLI::App* verb = bench->add_subcommand(
      "generate",
      "Prefill and decode speed of a model, beside what memory and "
      "arithmetic allow");
  struct Flags {
    BenchGenerateOptions options;
    std::string device = "cpu";
  };
  auto flags = std::make_shared<Flags>();
  verb->add_option("--model", flags->options.model,
                   "Hugging Face causal model directory")
      ->type_name("DIR")
      ->required();
  verb->add_option("--prompt", flags->options.prompts, "Prompt lengths: N,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  verb->add_option("--depth", flags->options.depths,
                   "Tokens that come before: N,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  verb->add_option("--gen", flags->options.generate, "Tokens to decode")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  AddKvCacheFlag(verb, &flags->options.kv);
  verb->add_option_function<std::string>(
          "--weights",
          [flags](const std::string& name) {
            flags->options.weights = *model::ParseWeightType(name);
          },
          "What matrices are in memory")
      ->type_name("TYPE")
      ->default_str("stored")
      ->check(CLI::IsMember({"stored", "f32", "int8", "int4"}));
  verb->add_option("--device", flags->device, "Where it runs")
      ->check(CLI::IsMember({"cpu"}))
      ->capture_default_str();
  verb->add_option("--threads", common->threads,
                   "Arithmetic threads (default: all cores)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  AddBasicFlags(verb, common);
  verb->callback([flags, action] {
    *action = ToAction(
        [flags](Config config, const ProgressSink&, const Context& context) {
          return BenchGenerate(
              flags->options, config.threads,
              [&context](const Json& row) {
                if (context.options.json) PrintJsonLine(row);
              },
              context.signals->token());
        });
  });
}

void AddAttentionBench(CLI::App* bench, CommonOptions* common, Action* action) {
  CLI::App* verb = bench->add_subcommand(
      "attention",
      "One layer's attention over its cache, beside what memory and "
      "arithmetic allow");
  auto options = std::make_shared<BenchAttentionOptions>();
  verb->add_option("--depth", options->depths,
                   "Tokens that one query looks at: N,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  verb->add_option("--prompt", options->prompts,
                   "Prompts whose last 512 tokens are computed: N,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  verb->add_option("--threads", common->threads,
                   "Arithmetic threads (default: all cores)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  AddBasicFlags(verb, common);
  verb->callback([options, action] {
    *action = ToAction(
        [options](Config config, const ProgressSink&, const Context& context) {
          return BenchAttention(
              *options, config.threads,
              [&context](const Json& row) {
                if (context.options.json) PrintJsonLine(row);
              },
              context.signals->token());
        });
  });
}

void AddKernelsBench(CLI::App* bench, CommonOptions* common, Action* action) {
  CLI::App* verb = bench->add_subcommand(
      "kernels", "Each kernel alone, beside what memory and arithmetic allow");
  verb->add_option("--threads", common->threads,
                   "Arithmetic threads (default: all cores)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  AddBasicFlags(verb, common);
  verb->callback([action] {
    *action = ToAction(
        [](Config config, const ProgressSink&, const Context& context) {
          return BenchKernels(
              config.threads,
              [&context](const Json& row) {
                if (context.options.json) PrintJsonLine(row);
              },
              context.signals->token());
        });
  });
}

}  // namespace

void AddBench(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* bench = app.add_subcommand(
      "bench", "Measure speed and memory, beside what the machine can do");
  bench->require_subcommand(1);
  AddSearchBench(bench, common, action);
  AddDenseBench(bench, common, action);
  AddEncodeBench(bench, common, action);
  AddLoadBench(bench, common, action);
  AddIngestBench(bench, common, action);
  AddGenerateBench(bench, common, action);
  AddAttentionBench(bench, common, action);
  AddKernelsBench(bench, common, action);
}

}  // namespace braid::services::cli
