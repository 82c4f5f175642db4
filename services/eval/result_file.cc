#include "services/eval/result_file.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "generation/checkpoint/json_file.h"
#include "services/eval/text_file.h"

namespace braid::services {
namespace {

constexpr const char* kFormat = "braid-eval";
constexpr int kVersion = 1;
constexpr const char* kFirstRelevant = "first_relevant";
constexpr size_t kMaxRuns = 32;
// No rank past this is looked at.
constexpr uint64_t kMaxRank = 100;

Json QueryJson(const EvalResult& result, size_t index) {
  const ResultQuery& query = result.queries[index];
  Json json = {{"id", query.id}, {"type", query.type}, {"text", query.text}};
  for (const ResultRun& run : result.runs) {
    Json scores = ToJson(run.scores[index].metrics);
    scores[kFirstRelevant] = run.scores[index].first_relevant;
    json["runs"][run.name] = std::move(scores);
  }
  return json;
}

std::string ToText(const EvalResult& result, const Json& report) {
  Json file = {{"format", kFormat}, {"version", kVersion}};
  file.update(report);
  file["dataset"] = result.dataset;
  file["rows"] = result.rows;
  file["judgements"] = result.judgements;
  file["final_run"] = result.final_run;
  file["per_query"] = Json::array();
  for (size_t i = 0; i < result.queries.size(); ++i) {
    file["per_query"].push_back(QueryJson(result, i));
  }
  // An id of the judgements may be no UTF-8: it is replaced, not an error.
  return file.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// RFC 4180.
std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

std::string ToCsv(const EvalResult& result) {
  std::string csv = "query,type,run";
  for (const MetricField& field : MetricFields()) {
    absl::StrAppend(&csv, ",", field.name);
  }
  absl::StrAppend(&csv, ",", kFirstRelevant, "\r\n");
  for (size_t i = 0; i < result.queries.size(); ++i) {
    for (const ResultRun& run : result.runs) {
      const QueryScores& scores = run.scores[i];
      absl::StrAppend(&csv, CsvField(result.queries[i].id), ",",
                      CsvField(result.queries[i].type), ",", run.name);
      for (const MetricField& field : MetricFields()) {
        absl::StrAppendFormat(&csv, ",%.6f", scores.metrics.*field.value);
      }
      absl::StrAppend(&csv, ",", scores.first_relevant, "\r\n");
    }
  }
  return csv;
}

// Takes fields of the file; the first that is wrong is remembered by name.
class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<EvalResult> Read() {
    const absl::StatusOr<nlohmann::json> file =
        model::ReadJsonObject(path_, kMaxResultBytes);
    if (!file.ok()) return file.status();
    if (String(*file, "", "format") != kFormat) {
      return Fail("format", absl::StrCat("is not \"", kFormat,
                                         "\": no result of an evaluation"));
    }
    const uint64_t version = Count(*file, "", "version");
    if (status_.ok() && version != kVersion) {
      return Fail("version",
                  absl::StrCat("is ", version, ", known is ", kVersion));
    }
    EvalResult result;
    result.dataset = String(*file, "", "dataset");
    result.rows = Count(*file, "", "rows");
    result.judgements = String(*file, "", "judgements");
    result.final_run = String(*file, "", "final_run");
    if (!status_.ok()) return status_;
    const auto queries = file->find("per_query");
    if (queries == file->end() || !queries->is_array()) {
      return Fail("per_query", "is missing or no list");
    }
    for (size_t i = 0; i < queries->size() && status_.ok(); ++i) {
      ReadQuery((*queries)[i], absl::StrCat("per_query[", i, "]"), &result);
    }
    if (!status_.ok()) return status_;
    if (!result.queries.empty() &&
        FindRun(result, result.final_run) == nullptr) {
      return Fail("final_run", "is none of the runs");
    }
    return result;
  }

 private:
  absl::Status Fail(const std::string& field, absl::string_view what) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat(path_, ": ", field, ": ", what));
    }
    return status_;
  }

  static std::string Join(const std::string& parent, const char* name) {
    return parent.empty() ? name : absl::StrCat(parent, ".", name);
  }

  std::string String(const nlohmann::json& object, const std::string& parent,
                     const char* name) {
    const auto value = object.find(name);
    if (value == object.end() || !value->is_string()) {
      Fail(Join(parent, name), "is missing or no string").IgnoreError();
      return "";
    }
    return value->get<std::string>();
  }

  uint64_t Count(const nlohmann::json& object, const std::string& parent,
                 const char* name) {
    const auto value = object.find(name);
    if (value == object.end() || !value->is_number_unsigned()) {
      Fail(Join(parent, name), "is missing or no count").IgnoreError();
      return 0;
    }
    return value->get<uint64_t>();
  }

  // Every metric is a share.
  double Share(const nlohmann::json& object, const std::string& parent,
               const char* name) {
    const auto value = object.find(name);
    const double share =
        value != object.end() && value->is_number() ? value->get<double>() : -1;
    if (!(share >= 0 && share <= 1 + 1e-9)) {
      Fail(Join(parent, name), "is missing or no number from 0 to 1")
          .IgnoreError();
      return 0;
    }
    return share;
  }

  void ReadQuery(const nlohmann::json& row, const std::string& at,
                 EvalResult* result) {
    if (!row.is_object()) {
      Fail(at, "is no object").IgnoreError();
      return;
    }
    ResultQuery query;
    query.id = String(row, at, "id");
    query.type = String(row, at, "type");
    query.text = String(row, at, "text");
    if (!status_.ok()) return;
    if (!result->queries.empty() && !(result->queries.back().id < query.id)) {
      Fail(absl::StrCat(at, ".id"), "comes twice, or out of order")
          .IgnoreError();
      return;
    }
    const auto runs = row.find("runs");
    if (runs == row.end() || !runs->is_object() || runs->empty() ||
        runs->size() > kMaxRuns) {
      Fail(absl::StrCat(at, ".runs"), "is missing or no object of runs")
          .IgnoreError();
      return;
    }
    if (result->queries.empty()) {
      for (const auto& [name, scores] : runs->items()) {
        result->runs.push_back({name, {}});
      }
    }
    bool same = runs->size() == result->runs.size();
    for (ResultRun& run : result->runs) {
      const auto scores = runs->find(run.name);
      same = same && scores != runs->end() && scores->is_object();
      if (!same) break;
      run.scores.push_back(
          ReadScores(*scores, absl::StrCat(at, ".runs.", run.name)));
    }
    if (!same) {
      Fail(absl::StrCat(at, ".runs"), "are not those of the first query")
          .IgnoreError();
      return;
    }
    result->queries.push_back(std::move(query));
  }

  QueryScores ReadScores(const nlohmann::json& json, const std::string& at) {
    QueryScores scores;
    for (const MetricField& field : MetricFields()) {
      scores.metrics.*field.value = Share(json, at, field.name);
    }
    const uint64_t rank = Count(json, at, kFirstRelevant);
    if (rank > kMaxRank) {
      Fail(Join(at, kFirstRelevant), "is past 100").IgnoreError();
    }
    scores.first_relevant = rank;
    return scores;
  }

  const std::string path_;
  absl::Status status_;
};

}  // namespace

absl::Status CheckResultPath(const std::string& path) {
  return CheckOutputPath(path, {".json", ".csv"});
}

absl::Status WriteResult(const EvalResult& result, const Json& report,
                         const std::string& path) {
  return WriteTextFile(path, absl::EndsWith(path, ".csv")
                                 ? ToCsv(result)
                                 : ToText(result, report));
}

absl::StatusOr<EvalResult> ReadResult(const std::string& path) {
  return Reader(path).Read();
}

}  // namespace braid::services
