#include "generation/engine/compare.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "generation/engine/model.h"
#include "kernels/thread_pool.h"

namespace braid::generation {
namespace {

// In place: logarithms of probabilities.
absl::Status LogSoftmax(absl::Span<const float> logits,
                        std::vector<double>* out) {
  out->assign(logits.begin(), logits.end());
  const double max = *std::max_element(out->begin(), out->end());
  double sum = 0;
  for (const double logit : *out) sum += std::exp(logit - max);
  if (!std::isfinite(sum) || !std::isfinite(max)) {
    return absl::InternalError(
        "the model gave no numbers: its weights are damaged");
  }
  for (double& logit : *out) logit -= max + std::log(sum);
  return absl::OkStatus();
}

size_t Likeliest(const std::vector<double>& log_probabilities) {
  return static_cast<size_t>(
      std::max_element(log_probabilities.begin(), log_probabilities.end()) -
      log_probabilities.begin());
}

double KlDivergence(const std::vector<double>& p,
                    const std::vector<double>& q) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
  return std::max(0.0, sum);
}

// Sums until all positions are there.
class Comparison {
 public:
  // The logits of one piece, [ids.size(), vocab].
  absl::Status Add(absl::Span<const int32_t> ids,
                   absl::Span<const float> logits,
                   absl::Span<const float> others) {
    const size_t vocab = logits.size() / ids.size();
    for (size_t i = 0; i < ids.size(); ++i) {
      absl::Status status = LogSoftmax(logits.subspan(i * vocab, vocab), &p_);
      if (status.ok()) {
        status = LogSoftmax(others.subspan(i * vocab, vocab), &q_);
      }
      if (!status.ok()) return status;
      const double kl = KlDivergence(p_, q_);
      ++report_.positions;
      report_.top1_agreement += Likeliest(p_) == Likeliest(q_) ? 1 : 0;
      report_.mean_kl += kl;
      report_.max_kl = std::max(report_.max_kl, kl);
      if (i + 1 == ids.size()) continue;
      const auto next = static_cast<size_t>(ids[i + 1]);
      ++predicted_;
      report_.perplexity -= p_[next];
      report_.other_perplexity -= q_[next];
    }
    return absl::OkStatus();
  }

  CompareReport Finish() const {
    CompareReport report = report_;
    const auto positions = static_cast<double>(report.positions);
    const auto predicted = static_cast<double>(std::max<size_t>(1, predicted_));
    report.top1_agreement /= positions;
    report.mean_kl /= positions;
    report.perplexity = std::exp(report.perplexity / predicted);
    report.other_perplexity = std::exp(report.other_perplexity / predicted);
    return report;
  }

 private:
  CompareReport report_;
  size_t predicted_ = 0;
  std::vector<double> p_;
  std::vector<double> q_;
};

}  // namespace

absl::StatusOr<CompareReport> CompareModels(const ComparedModel& one,
                                            const ComparedModel& other,
                                            absl::Span<const int32_t> ids,
                                            const CompareOptions& options) {
  if (ids.empty() || options.window == 0) {
    return absl::InvalidArgumentError("there is no text to compare on");
  }
  const auto first =
      HybridModel::Load(one.directory, one.weights, options.threads);
  if (!first.ok()) return first.status();
  const auto second =
      HybridModel::Load(other.directory, other.weights, options.threads);
  if (!second.ok()) return second.status();
  if ((*first)->spec().vocab_size != (*second)->spec().vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat(
        one.directory, " has ", (*first)->spec().vocab_size, " tokens, ",
        other.directory, " has ", (*second)->spec().vocab_size));
  }
  kernels::ThreadPool pool(options.threads);
  model::Workspace workspace;
  workspace.pool = &pool;
  ForwardOptions forward;
  forward.logits = LogitsOf::kAllTokens;
  Comparison comparison;
  std::vector<float> logits, others;
  for (size_t begin = 0; begin < ids.size(); begin += options.window) {
    const auto piece = ids.subspan(begin, options.window);
    SequenceState state = (*first)->NewState(one.kv);
    absl::Status status =
        (*first)->Forward(piece, forward, &state, &workspace, &logits);
    if (!status.ok()) return status;
    state = (*second)->NewState(other.kv);
    status = (*second)->Forward(piece, forward, &state, &workspace, &others);
    if (status.ok()) status = comparison.Add(piece, logits, others);
    if (!status.ok()) return status;
    if (options.progress && !options.progress(begin + piece.size())) {
      return absl::CancelledError("interrupted");
    }
  }
  return comparison.Finish();
}

}  // namespace braid::generation
