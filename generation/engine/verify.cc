#include "generation/engine/verify.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "generation/checkpoint/json_file.h"
#include "generation/engine/model.h"
#include "generation/engine/sampling.h"
#include "generation/text/tokenizer.h"
#include "nlohmann/json.hpp"

namespace braid::generation {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxReferenceBytes = 256'000'000;
// Small primes and a power of two: the cuts fall inside and at the edges of
// the kernels' chunks.
constexpr size_t kPieces[] = {1, 7, 64, 3, 29, 128, 2, 13};

double Difference(float value, double expected) {
  const double error = std::abs(static_cast<double>(value) - expected);
  return std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
}

// Reads reference.json with checked types and compares logits with it.
class Reference {
 public:
  Reference(const json& root, std::string path, size_t vocab)
      : root_(root), path_(std::move(path)), vocab_(vocab) {}

  absl::Status Error(absl::string_view field, absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": ", field, ": ", what));
  }

  absl::StatusOr<std::vector<int32_t>> Ids(const char* field) const {
    std::vector<int32_t> ids;
    const auto found = root_.find(field);
    if (found == root_.end() || !found->is_array() || found->empty()) {
      return Error(field, "must be a list of token ids");
    }
    for (const json& id : *found) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() >= vocab_) {
        return Error(field, "holds something that is no token id");
      }
      ids.push_back(id.get<int32_t>());
    }
    return ids;
  }

  // `pairs`: [[id, logit], ...] at one position.
  absl::Status ComparePairs(const char* field, const json& pairs,
                            absl::Span<const float> logits,
                            VerifyReport* report) const {
    if (!pairs.is_array()) return Error(field, "must hold lists of pairs");
    for (const json& pair : pairs) {
      if (!pair.is_array() || pair.size() != 2 ||
          !pair[0].is_number_unsigned() || pair[0].get<uint64_t>() >= vocab_ ||
          !pair[1].is_number()) {
        return Error(field, "holds something that is no pair of id and logit");
      }
      Compare(logits[pair[0].get<size_t>()], pair[1].get<double>(), report);
    }
    return absl::OkStatus();
  }

  // [position] -> pairs, for the last `found->size()` of `rows` rows.
  absl::Status CompareRows(const char* field, absl::Span<const float> logits,
                           VerifyReport* report) const {
    const auto found = root_.find(field);
    if (found == root_.end()) return absl::OkStatus();
    const size_t rows = logits.size() / vocab_;
    if (!found->is_array() || found->size() > rows) {
      return Error(field, "must be a list with an entry for each position");
    }
    const size_t first = rows - found->size();
    for (size_t i = 0; i < found->size(); ++i) {
      absl::Status status =
          ComparePairs(field, (*found)[i],
                       logits.subspan((first + i) * vocab_, vocab_), report);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // {"position": [every logit]}.
  absl::Status CompareFull(absl::Span<const float> logits,
                           VerifyReport* report) const {
    static constexpr char kField[] = "prefill_full_positions";
    const auto found = root_.find(kField);
    if (found == root_.end()) return absl::OkStatus();
    if (!found->is_object()) return Error(kField, "must be an object");
    for (const auto& [key, row] : found->items()) {
      size_t position;
      if (!absl::SimpleAtoi(key, &position) ||
          position >= logits.size() / vocab_ || !row.is_array() ||
          row.size() != vocab_) {
        return Error(kField, absl::StrCat("\"", key,
                                          "\" is no position of the prompt, or "
                                          "has not every logit"));
      }
      for (size_t i = 0; i < vocab_; ++i) {
        if (!row[i].is_number()) return Error(kField, "holds no number");
        Compare(logits[position * vocab_ + i], row[i].get<double>(), report);
      }
    }
    return absl::OkStatus();
  }

  absl::Status CompareLayers(const std::vector<std::vector<float>>& layers,
                             VerifyReport* report) const {
    static constexpr char kField[] = "layer_out_last_pos";
    const auto found = root_.find(kField);
    if (found == root_.end()) return absl::OkStatus();
    if (!found->is_array()) return Error(kField, "must be a list");
    const size_t count = std::min(found->size(), layers.size());
    for (size_t i = 0; i < count; ++i) {
      const json& expected = (*found)[i];
      if (!expected.is_array() || expected.size() != layers[i].size()) {
        return Error(kField, absl::StrCat("entry ", i, " has a wrong size"));
      }
      double error = 0;
      for (size_t k = 0; k < layers[i].size(); ++k) {
        if (!expected[k].is_number()) return Error(kField, "holds no number");
        error = std::max(error,
                         Difference(layers[i][k], expected[k].get<double>()));
      }
      report->layer_errors.push_back(error);
    }
    return absl::OkStatus();
  }

 private:
  static void Compare(float value, double expected, VerifyReport* report) {
    const double error = Difference(value, expected);
    report->max_abs_logit_error = std::max(report->max_abs_logit_error, error);
    // The sum of squares until all are there.
    report->rms_logit_error += error * error;
    ++report->logits_compared;
  }

  const json& root_;
  std::string path_;
  size_t vocab_;
};

// The prompt in uneven pieces against its logits in one piece.
absl::Status ComparePieces(const HybridModel& hybrid,
                           absl::Span<const int32_t> prompt,
                           absl::Span<const float> whole, kernels::KvType kv,
                           model::Workspace* workspace, VerifyReport* report) {
  SequenceState state = hybrid.NewState(kv);
  const size_t vocab = hybrid.spec().vocab_size;
  ForwardOptions options;
  options.logits = LogitsOf::kAllTokens;
  std::vector<float> logits;
  size_t begin = 0;
  for (size_t i = 0; begin < prompt.size(); ++i) {
    const size_t count =
        std::min(kPieces[i % std::size(kPieces)], prompt.size() - begin);
    absl::Status status = hybrid.Forward(prompt.subspan(begin, count), options,
                                         &state, workspace, &logits);
    if (!status.ok()) return status;
    for (size_t k = 0; k < logits.size(); ++k) {
      report->max_abs_pieces_error =
          std::max(report->max_abs_pieces_error,
                   Difference(logits[k], whole[begin * vocab + k]));
    }
    begin += count;
  }
  return absl::OkStatus();
}

absl::Status CompareTokenizer(const std::string& directory, const json& root,
                              const Reference& reference,
                              VerifyReport* report) {
  static constexpr char kField[] = "tokenizer_cases";
  const auto found = root.find(kField);
  if (found == root.end()) return absl::OkStatus();
  auto tokenizer =
      model::Tokenizer::FromFile(absl::StrCat(directory, "/tokenizer.json"));
  if (!tokenizer.ok()) return tokenizer.status();
  if (!found->is_array()) return reference.Error(kField, "must be a list");
  for (const json& test : *found) {
    if (!test.is_array() || test.size() != 2 || !test[0].is_string() ||
        !test[1].is_array()) {
      return reference.Error(kField, "must hold pairs of a text and its ids");
    }
    // As the reference was made: control tokens in the text are recognised.
    model::EncodeOptions options;
    options.parse_special_tokens = true;
    auto encoding =
        (*tokenizer)->Encode(test[0].get_ref<const std::string&>(), options);
    if (!encoding.ok()) return encoding.status();
    ++report->tokenizer_cases;
    if (json(encoding->ids) == test[1]) ++report->tokenizer_cases_equal;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<VerifyReport> VerifyCheckpoint(const std::string& directory,
                                              kernels::KvType kv) {
  const std::string path = absl::StrCat(directory, "/reference.json");
  absl::StatusOr<json> root = model::ReadJsonObject(path, kMaxReferenceBytes);
  if (!root.ok()) return root.status();
  auto hybrid = HybridModel::Load(directory);
  if (!hybrid.ok()) return hybrid.status();
  const size_t vocab = (*hybrid)->spec().vocab_size;
  const Reference reference(*root, path, vocab);

  VerifyReport report;
  const auto tolerance = root->find("tolerance");
  if (tolerance == root->end() || !tolerance->is_number() ||
      !(tolerance->get<double>() > 0)) {
    return reference.Error("tolerance", "must be a positive number");
  }
  report.tolerance = tolerance->get<double>();
  absl::StatusOr<std::vector<int32_t>> prompt = reference.Ids("prompt_ids");
  if (!prompt.ok()) return prompt.status();
  absl::StatusOr<std::vector<int32_t>> decoded = reference.Ids("decode_ids");
  if (!decoded.ok()) return decoded.status();

  model::Workspace workspace;
  SequenceState state = (*hybrid)->NewState(kv);
  std::vector<float> logits;
  std::vector<std::vector<float>> layers;
  ForwardOptions prefill;
  prefill.logits = LogitsOf::kAllTokens;
  prefill.layer_outputs = &layers;
  absl::Status status =
      (*hybrid)->Forward(*prompt, prefill, &state, &workspace, &logits);
  if (!status.ok()) return status;
  for (const char* field : {"prefill_top5", "prefill_top20_last"}) {
    status = reference.CompareRows(field, logits, &report);
    if (!status.ok()) return status;
  }
  status = reference.CompareFull(logits, &report);
  if (!status.ok()) return status;
  status = reference.CompareLayers(layers, &report);
  if (!status.ok()) return status;
  status = ComparePieces(**hybrid, *prompt, logits, kv, &workspace, &report);
  if (!status.ok()) return status;

  // Greedy decoding, fed with our own tokens.
  const auto top20 = root->find("decode_top20");
  report.greedy_equal = true;
  std::mt19937_64 rng(0);
  std::vector<float> last(logits.end() - vocab, logits.end());
  for (size_t i = 0; i < decoded->size(); ++i) {
    // After a wrong token the reference's logits no longer apply.
    if (report.greedy_equal && top20 != root->end() && top20->is_array() &&
        i < top20->size()) {
      status =
          reference.ComparePairs("decode_top20", (*top20)[i], last, &report);
      if (!status.ok()) return status;
    }
    const int32_t token = SampleToken(last, SamplingParams{}, rng);
    if (token != (*decoded)[i]) report.greedy_equal = false;
    ++report.greedy_tokens;
    if (i + 1 == decoded->size()) break;
    status = (*hybrid)->Forward({token}, ForwardOptions{}, &state, &workspace,
                                &last);
    if (!status.ok()) return status;
  }
  status = CompareTokenizer(directory, *root, reference, &report);
  if (!status.ok()) return status;

  if (report.logits_compared > 0) {
    report.rms_logit_error =
        std::sqrt(report.rms_logit_error / report.logits_compared);
  }
  report.ok = report.logits_compared > 0 && report.greedy_equal &&
              report.max_abs_logit_error <= report.tolerance &&
              report.max_abs_pieces_error <= report.tolerance &&
              report.tokenizer_cases_equal == report.tokenizer_cases;
  return report;
}

}  // namespace braid::generation
