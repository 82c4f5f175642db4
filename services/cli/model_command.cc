// `braid model inspect|verify`; the verbs `fetch` and `quantize` join
// (fetch_command.cc, quantize_command.cc).
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "generation/engine/inspect.h"
#include "generation/engine/verify.h"
#include "services/cli/commands.h"
#include "services/cli/kv_cache_flag.h"
#include "services/cli/render.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

// "a 1, b 2" for an object.
std::string OneLine(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_object()) return value.dump();
  std::string line;
  for (const auto& [name, part] : value.items()) {
    absl::StrAppend(&line, line.empty() ? "" : ", ", name, " ", part.dump());
  }
  return line;
}

void Print(const Json& report, const Context& context) {
  if (context.options.json) {
    PrintJsonLine(report);
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : report.items()) {
    if (value.is_array() && !value.empty() && value[0].is_object()) {
      for (const Json& entry : value) rows.push_back({name, OneLine(entry)});
    } else {
      rows.push_back({name, PrintableText(OneLine(value), false)});
    }
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
}

// JSON has no infinity: an error that large is null.
Json FiniteOrNull(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

ExitCode Verify(const std::string& directory, kernels::KvType kv,
                const Context& context) {
  const absl::StatusOr<generation::VerifyReport> report =
      generation::VerifyCheckpoint(directory, kv);
  if (!report.ok()) {
    // A directory that cannot be checked is not ok either, and scripts read the
    // last line whatever happened.
    if (context.options.json) {
      PrintJsonLine({{"ok", false},
                     {"max_abs_logit_error", nullptr},
                     {"greedy_equal", false},
                     {"error", report.status().ToString()}});
    }
    ReportError(report.status());
    return kExitFailure;
  }
  Json layers = Json::array();
  for (const double error : report->layer_errors) {
    layers.push_back(FiniteOrNull(error));
  }
  Print({{"ok", report->ok},
         {"kv_cache", kernels::KvTypeName(kv)},
         {"max_abs_logit_error", FiniteOrNull(report->max_abs_logit_error)},
         {"rms_logit_error", FiniteOrNull(report->rms_logit_error)},
         {"greedy_equal", report->greedy_equal},
         {"tolerance", report->tolerance},
         {"max_abs_pieces_error", FiniteOrNull(report->max_abs_pieces_error)},
         {"layer_errors", layers},
         {"logits_compared", report->logits_compared},
         {"greedy_tokens", report->greedy_tokens},
         {"tokenizer_cases", report->tokenizer_cases},
         {"tokenizer_cases_equal", report->tokenizer_cases_equal}},
        context);
  return report->ok ? kExitOk : kExitFailure;
}

ExitCode Inspect(const std::string& directory, kernels::KvType kv,
                 const Context& context) {
  const absl::StatusOr<generation::ModelReport> report =
      generation::InspectCheckpoint(directory, kv);
  if (!report.ok()) {
    ReportError(report.status());
    return kExitFailure;
  }
  Json contexts = Json::array();
  for (const generation::ContextCost& cost : report->contexts) {
    contexts.push_back({{"tokens", cost.tokens},
                        {"state_bytes", cost.state_bytes},
                        {"transformer_state_bytes", cost.transformer_bytes}});
  }
  Print({{"model_type", report->model_type},
         {"layers", report->layers},
         {"operators", report->operators},
         {"hidden", report->hidden},
         {"vocab_size", report->vocab_size},
         {"max_context_tokens", report->max_context_tokens},
         {"parameters", report->parameters},
         {"active_parameters", report->active_parameters},
         {"checkpoint_bytes", report->checkpoint_bytes},
         {"weights", report->weights},
         {"weight_bytes", report->weight_bytes},
         {"active_weight_bytes", report->active_weight_bytes},
         {"recurrent_state_bytes", report->recurrent_state_bytes},
         {"kv_cache", kernels::KvTypeName(kv)},
         {"kv_bytes_per_token", report->kv_bytes_per_token},
         {"contexts", contexts}},
        context);
  return kExitOk;
}

using Operation = ExitCode (*)(const std::string&, kernels::KvType,
                               const Context&);

// `kv`: the default of --kv-cache.
void Register(CLI::App* verb, CommonOptions* common, Action* action,
              kernels::KvType kv, Operation operation) {
  struct Flags {
    std::string directory;
    kernels::KvType kv;
  };
  auto flags = std::make_shared<Flags>(Flags{.kv = kv});
  verb->add_option("directory", flags->directory,
                   "Hugging Face checkpoint directory")
      ->type_name("DIR")
      ->required();
  AddKvCacheFlag(verb, &flags->kv);
  AddBasicFlags(verb, common);
  verb->callback([flags, action, operation] {
    *action = [flags, operation](const Context& context) {
      return operation(flags->directory, flags->kv, context);
    };
  });
}

}  // namespace

void AddModel(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "model",
      "Fetch, look at, check, quantise and compare checkpoints of models");
  verb->require_subcommand(1);
  AddModelFetch(verb, common, action);
  AddModelQuantize(verb, common, action);
  AddModelCompare(verb, common, action);
  Register(
      verb->add_subcommand("inspect",
                           "Say what a checkpoint is and what it will cost, "
                           "without loading its weights"),
      common, action, kernels::KvType::kF16, Inspect);
  Register(verb->add_subcommand(
               "verify",
               "Compare a checkpoint with the reference.json beside "
               "it; exit code 1 when they differ"),
           common, action, kernels::KvType::kF32, Verify);
}

}  // namespace braid::services::cli
