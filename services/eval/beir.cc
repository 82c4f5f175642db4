#include "services/eval/beir.h"

#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "services/eval/line_reader.h"

namespace braid::services {
namespace {

using nlohmann::json;

absl::StatusOr<std::string> FindFile(const std::string& directory,
                                     std::initializer_list<const char*> names) {
  for (const char* name : names) {
    for (const char* suffix : {"", ".gz"}) {
      const std::filesystem::path path =
          std::filesystem::path(directory) / absl::StrCat(name, suffix);
      std::error_code error;
      if (std::filesystem::is_regular_file(path, error)) return path.string();
    }
  }
  return absl::NotFoundError(absl::StrCat(
      directory, " has no ", absl::StrJoin(names, " or "), " (plain or .gz)"));
}

absl::StatusOr<json> ParseRow(absl::string_view line) {
  json row = json::parse(line.begin(), line.end(), nullptr, false);
  if (row.is_discarded()) return absl::InvalidArgumentError("not JSON");
  if (!row.is_object()) return absl::InvalidArgumentError("not a JSON object");
  return row;
}

// The value of a field that must be a string; absent is "" unless required.
absl::StatusOr<std::string> StringField(const json& row, const char* name,
                                        bool required) {
  const auto field = row.find(name);
  if (field == row.end() || field->is_null()) {
    if (!required) return std::string();
    return absl::InvalidArgumentError(absl::StrCat("no \"", name, "\""));
  }
  if (!field->is_string()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" is not a string"));
  }
  return field->get<std::string>();
}

}  // namespace

absl::StatusOr<std::string> FindCorpus(const std::string& directory) {
  return FindFile(directory, {"corpus.jsonl"});
}

absl::StatusOr<DatasetFiles> FindDataset(const std::string& directory,
                                         const std::string& queries,
                                         const std::string& qrels) {
  absl::StatusOr<std::string> corpus = FindCorpus(directory);
  if (!corpus.ok()) return corpus.status();
  absl::StatusOr<std::string> queries_found =
      queries.empty() ? FindFile(directory, {"queries.jsonl"}) : queries;
  if (!queries_found.ok()) return queries_found.status();
  absl::StatusOr<std::string> qrels_found =
      qrels.empty() ? FindFile(directory, {"qrels.tsv", "qrels/test.tsv"})
                    : qrels;
  if (!qrels_found.ok()) return qrels_found.status();
  return DatasetFiles{*std::move(corpus), *std::move(queries_found),
                      *std::move(qrels_found)};
}

absl::Status ForEachCorpusRow(
    const std::string& path,
    const std::function<bool(retrieval::InlineDocument)>& visit) {
  bool stopped = false;
  const absl::Status status =
      ForEachLine(path, [&](size_t, absl::string_view line) -> absl::Status {
        absl::StatusOr<json> row = ParseRow(line);
        if (!row.ok()) return row.status();
        retrieval::InlineDocument document;
        for (const auto& [name, required, field] :
             {std::tuple{"_id", true, &document.document_id},
              std::tuple{"title", false, &document.title},
              std::tuple{"text", true, &document.text}}) {
          absl::StatusOr<std::string> value = StringField(*row, name, required);
          if (!value.ok()) return value.status();
          *field = *std::move(value);
        }
        if (!visit(std::move(document))) {
          stopped = true;
          return absl::CancelledError("stopped");
        }
        return absl::OkStatus();
      });
  return stopped ? absl::OkStatus() : status;
}

absl::StatusOr<std::vector<DatasetQuery>> ReadQueries(const std::string& path) {
  std::vector<DatasetQuery> queries;
  const absl::Status status =
      ForEachLine(path, [&](size_t, absl::string_view line) -> absl::Status {
        absl::StatusOr<json> row = ParseRow(line);
        if (!row.ok()) return row.status();
        absl::StatusOr<std::string> id = StringField(*row, "_id", true);
        if (!id.ok()) return id.status();
        absl::StatusOr<std::string> text = StringField(*row, "text", true);
        if (!text.ok()) return text.status();
        queries.push_back({*std::move(id), *std::move(text)});
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return queries;
}

absl::StatusOr<Qrels> ReadQrels(const std::string& path) {
  Qrels qrels;
  const absl::Status status = ForEachLine(
      path, [&](size_t number, absl::string_view line) -> absl::Status {
        std::vector<std::string> fields = absl::StrSplit(line, '\t');
        if (fields.size() < 3) {
          fields =
              absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
        }
        if (fields.size() != 3 && fields.size() != 4) {
          return absl::InvalidArgumentError(
              "expected `query-id corpus-id score`");
        }
        int score = 0;
        if (!absl::SimpleAtoi(fields.back(), &score)) {
          // Only the first line may be a header.
          if (number == 1) return absl::OkStatus();
          return absl::InvalidArgumentError(
              absl::StrCat("score `", fields.back(), "` is not a number"));
        }
        qrels[fields[0]][fields[fields.size() - 2]] = score;
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return qrels;
}

}  // namespace braid::services
