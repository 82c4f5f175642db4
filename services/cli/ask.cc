// `braid ask`: an answer with citations, as it is made.
#include <braid/v1/answer_service.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/cli/commands.h"
#include "services/cli/connection.h"
#include "services/cli/passages.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

struct AskOptions {
  std::string question;
  std::string collection = "default";
  std::string filter;
  int top_k = 0;
  int max_context_tokens = 0;
  int max_answer_tokens = 0;
  std::string answerer;
  double temperature = 0;
  uint64_t seed = 0;
  FusionFlags fusion;
  std::optional<bool> multi_hop;
  std::optional<double> min_relevance;
  bool explain = false;
};

// Everything the stream brought, and how it is shown on the way.
class AnswerView {
 public:
  explicit AnswerView(bool json) : json_(json) {}

  void Take(const v1::AnswerResponse& event) {
    switch (event.event_case()) {
      case v1::AnswerResponse::kStage:
        *stages_.Add() = event.stage();
        break;
      case v1::AnswerResponse::kRetrieved:
        retrieved_ = event.retrieved();
        if (!json_) PrintRetrieved();
        break;
      case v1::AnswerResponse::kDelta:
        answer_ += event.delta();
        if (!json_) {
          Print(PrintableText(event.delta(), /*keep_newlines=*/true));
        }
        break;
      case v1::AnswerResponse::kCitation:
        citations_.push_back(event.citation());
        // Its text has just been printed: the mark goes where the claim ends.
        if (!json_) Print(absl::StrCat(" [", event.citation().number(), "]"));
        break;
      case v1::AnswerResponse::kUsage:
        usage_ = event.usage();
        break;
      case v1::AnswerResponse::kFinal:
        final_ = event.final();
        break;
      case v1::AnswerResponse::EVENT_NOT_SET:
        break;
    }
  }

  void PrintJson(const std::string& question) const {
    Json citations = Json::array();
    for (const v1::Citation& citation : citations_) {
      citations.push_back(ToJson(citation));
    }
    PrintJsonLine({{"question", question},
                   {"answer", answer_},
                   {"citations", citations},
                   {"retrieved", PassagesToJson(retrieved_.passages())},
                   {"sequence", retrieved_.sequence()},
                   {"stages_ms", StagesToJson(stages_)},
                   {"finish_reason", FinishReason()},
                   {"abstain_reason", final_.abstain_reason()},
                   {"degraded", StringsToJson(final_.degraded())},
                   {"rejected_citations", final_.rejected_citations()},
                   {"usage",
                    {{"prompt_tokens", usage_.prompt_tokens()},
                     {"completion_tokens", usage_.completion_tokens()}}}});
  }

  void PrintEnd() const {
    std::string text = "\n";
    if (!citations_.empty()) text += "\nCitations\n";
    for (const v1::Citation& citation : citations_) {
      absl::StrAppendFormat(
          &text, "  [%d] %s, version %d, bytes %d-%d: \"%s\"\n",
          citation.number(),
          PrintableText(DocumentIdOf(citation.document()), false),
          citation.version(), citation.text_range().begin(),
          citation.text_range().end(), Snippet(citation.quote(), 200));
    }
    text += "\nStages\n ";
    for (const v1::StageTiming& stage : stages_) {
      absl::StrAppendFormat(&text, " %s %.2f ms", stage.stage(),
                            ToMilliseconds(stage.elapsed()));
    }
    absl::StrAppend(&text, "\n\nEnded: ", FinishReason());
    if (!final_.abstain_reason().empty()) {
      absl::StrAppend(&text, " (", final_.abstain_reason(), ")");
    }
    Print(text + "\n");
    PrintDegraded(final_.degraded());
  }

 private:
  static void Print(const std::string& text) {
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  }

  void PrintRetrieved() const {
    Print(absl::StrCat("Retrieved ", retrieved_.passages_size(), " passages\n",
                       FormatPassages(retrieved_.passages(), 0), "\n"));
  }

  std::string FinishReason() const {
    return EnumSuffix(v1::FinishReason_Name(final_.finish_reason()),
                      "FINISH_REASON_");
  }

  const bool json_;
  v1::RetrievedPassages retrieved_;
  std::string answer_;
  std::vector<v1::Citation> citations_;
  google::protobuf::RepeatedPtrField<v1::StageTiming> stages_;
  v1::Usage usage_;
  v1::AnswerFinal final_;
};

ExitCode RunAsk(const AskOptions& options, const Context& context) {
  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connection::Open(context);
  if (!connection.ok()) return ReportError(connection.status());

  v1::AnswerRequest request;
  request.set_collection(CollectionName(options.collection));
  request.set_question(options.question);
  request.set_filter(options.filter);
  request.set_top_k(options.top_k);
  request.set_max_context_tokens(options.max_context_tokens);
  request.set_max_answer_tokens(options.max_answer_tokens);
  if (options.answerer == "extractive") {
    request.set_answerer(v1::ANSWERER_EXTRACTIVE);
  } else if (options.answerer == "generator") {
    request.set_answerer(v1::ANSWERER_GENERATOR);
  }
  if (options.multi_hop.has_value()) {
    request.set_multi_hop(*options.multi_hop);
  }
  if (options.min_relevance.has_value()) {
    request.set_min_relevance(*options.min_relevance);
  }
  request.set_explain(options.explain);
  request.set_wait_for_sequence(
      (*connection)->SequenceToWaitFor(context, options.collection));
  request.mutable_sampling()->set_temperature(options.temperature);
  request.mutable_sampling()->set_seed(options.seed);
  options.fusion.Apply(request.mutable_fusion());

  const auto stub = v1::AnswerService::NewStub((*connection)->channel());
  Call call(context);
  const auto stream = stub->Answer(call.get(), request);
  AnswerView view(context.options.json);
  v1::AnswerResponse event;
  while (stream->Read(&event)) view.Take(event);
  const absl::Status status = FromGrpc(stream->Finish());
  if (!status.ok()) return ReportError(status);
  if (context.options.json) {
    view.PrintJson(options.question);
  } else {
    view.PrintEnd();
  }
  return kExitOk;
}

}  // namespace

void AddAsk(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "ask", "Answer a question from the documents, with citations");
  auto options = std::make_shared<AskOptions>();
  verb->add_option("question", options->question, "The question")->required();
  verb->add_option("--collection", options->collection, "Collection")
      ->capture_default_str();
  verb->add_option("--filter", options->filter,
                   "AIP-160 filter over the metadata");
  verb->add_option("--top-k", options->top_k,
                   "Passages to answer from (default: 8)")
      ->check(CLI::Range(1, 100));
  verb->add_option("--max-context-tokens", options->max_context_tokens,
                   "Budget of the passages together, in tokens")
      ->check(CLI::Range(1, 1 << 20));
  verb->add_option("--max-answer-tokens", options->max_answer_tokens,
                   "Length of the answer, in tokens (default: 256)")
      ->check(CLI::Range(1, 32768));
  verb->add_option("--answerer", options->answerer,
                   "What answers: sentences of the documents, or the generator "
                   "(default: the server's choice)")
      ->type_name("NAME")
      ->check(CLI::IsMember({"extractive", "generator"}));
  verb->add_option("--temperature", options->temperature,
                   "Where a model answers: 0 for greedy")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 2.0));
  verb->add_option("--seed", options->seed, "Seed of the sampler")
      ->capture_default_str();
  options->fusion.Add(verb);
  AddMultiHop(verb, &options->multi_hop, "yes, unless ranks are fused");
  verb->add_option("--min-relevance", options->min_relevance,
                   "Where the server has a reranker: abstain unless a passage "
                   "answers with this probability")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_flag("--explain", options->explain,
                 "With --json: why each passage stands where it stands");
  verb->add_option("--model", common->model,
                   "With --data: Hugging Face causal model, the generator")
      ->type_name("DIR");
  AddConnectionFlags(verb, common);
  verb->callback([options, action] {
    *action = [options](const Context& context) {
      return RunAsk(*options, context);
    };
  });
}

}  // namespace braid::services::cli
