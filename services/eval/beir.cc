#include "services/eval/beir.h"

#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "retrieval/ingest/jsonl.h"
#include "retrieval/ingest/prepare.h"
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

// Reads what is used of a query's metadata.
absl::Status ReadMetadata(const json& row, DatasetQuery* query) {
  const auto metadata = row.find("metadata");
  if (metadata == row.end() || !metadata->is_object()) return absl::OkStatus();
  const auto type = metadata->find("type");
  if (type != metadata->end() && type->is_string()) {
    query->type = type->get<std::string>();
  }
  const auto answers = metadata->find("answers");
  if (answers == metadata->end() || answers->is_null()) return absl::OkStatus();
  const absl::Status bad =
      absl::InvalidArgumentError("\"metadata.answers\" is no list of strings");
  if (!answers->is_array()) return bad;
  for (const json& answer : *answers) {
    if (!answer.is_string()) return bad;
    query->answers.push_back(answer.get<std::string>());
  }
  return absl::OkStatus();
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
  auto reader = retrieval::JsonlReader::Open(path);
  if (!reader.ok()) return reader.status();
  while (auto row = (*reader)->Next()) {
    if (!row->ok()) return row->status();
    // Judged by title and text alone: metadata would only cost.
    (*row)->metadata.clear();
    if (!visit(**std::move(row))) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DatasetQuery>> ReadQueries(const std::string& path) {
  std::vector<DatasetQuery> queries;
  std::set<std::string> ids;
  const absl::Status status =
      ForEachLine(path, [&](size_t, absl::string_view line) -> absl::Status {
        const json row = json::parse(line.begin(), line.end(), nullptr, false);
        if (!row.is_object()) {
          return absl::InvalidArgumentError("not a JSON object");
        }
        DatasetQuery query;
        for (const auto& [name, field] :
             {std::pair{"_id", &query.id}, std::pair{"text", &query.text}}) {
          const auto value = row.find(name);
          if (value == row.end() || !value->is_string()) {
            return absl::InvalidArgumentError(
                absl::StrCat("\"", name, "\" is missing or not a string"));
          }
          *field = value->get<std::string>();
        }
        if (!ids.insert(query.id).second) {
          return absl::InvalidArgumentError(
              absl::StrCat("a second query with the _id \"", query.id, "\""));
        }
        absl::Status metadata = ReadMetadata(row, &query);
        queries.push_back(std::move(query));
        return metadata;
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

std::string JudgementsFingerprint(const Qrels& qrels) {
  std::string lines;
  for (const auto& [query, judgements] : qrels) {
    for (const auto& [document, score] : judgements) {
      // Lengths first: an id may hold any byte.
      absl::StrAppend(&lines, query.size(), ":", query, document.size(), ":",
                      document, score, "\n");
    }
  }
  return retrieval::Sha256Hex(lines);
}

}  // namespace braid::services
