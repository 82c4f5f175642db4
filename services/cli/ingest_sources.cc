#include "services/cli/ingest_sources.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "retrieval/ingest/jsonl.h"
#include "services/server/metadata.h"

namespace braid::services::cli {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

bool IsStdin(const retrieval::FoundFile& file) {
  return file.path == retrieval::kStdinPath;
}

bool HoldsRows(absl::string_view name) {
  absl::ConsumeSuffix(&name, ".gz");
  return absl::EndsWithIgnoreCase(name, ".jsonl") ||
         absl::EndsWithIgnoreCase(name, ".ndjson");
}

void SetMetadata(const retrieval::Metadata& own, const Struct& winner,
                 Struct* metadata) {
  ToProto(own, metadata);
  for (const auto& [name, value] : winner.fields()) {
    (*metadata->mutable_fields())[name] = value;
  }
}

v1::IngestRequest ToRequest(retrieval::InlineDocument row,
                            const Struct& metadata) {
  v1::IngestRequest request;
  v1::InlineDocument* document = request.mutable_document();
  document->set_document_id(std::move(row.document_id));
  document->set_title(std::move(row.title));
  document->set_text(std::move(row.text));
  SetMetadata(row.metadata, metadata, document->mutable_metadata());
  return request;
}

v1::IngestRequest ToRequest(retrieval::SourceFile file,
                            const Struct& metadata) {
  v1::IngestRequest request;
  v1::SourceFile* source = request.mutable_source();
  source->set_document_id(std::move(file.document_id));
  source->set_content(std::move(file.content));
  source->set_media_type(std::move(file.media_type));
  source->set_file_name(
      std::filesystem::path(file.file_name).filename().string());
  SetMetadata(file.metadata, metadata, source->mutable_metadata());
  return request;
}

// Returns false to stop. A row that fails does not stop the others.
bool VisitRows(const retrieval::FoundFile& file, const SourceOptions& options,
               const SourceSink& sink) {
  std::unique_ptr<retrieval::JsonlReader> reader;
  const std::string name = IsStdin(file) ? options.stdin_name : file.path;
  if (IsStdin(file)) {
    reader = retrieval::JsonlReader::FromFile(stdin, name);
  } else {
    auto opened = retrieval::JsonlReader::Open(file.path);
    if (!opened.ok()) return sink(name, opened.status());
    reader = *std::move(opened);
  }
  while (auto row = reader->Next()) {
    const std::string origin = absl::StrCat(name, ":", reader->line_number());
    const bool more =
        row->ok() ? sink(origin, ToRequest(**std::move(row), options.metadata))
                  : sink(origin, row->status());
    if (!more) return false;
  }
  return true;
}

bool VisitFile(const retrieval::FoundFile& file, const SourceOptions& options,
               const SourceSink& sink) {
  absl::StatusOr<retrieval::SourceFile> source =
      retrieval::ReadSourceFile(file, options.max_file_bytes);
  if (!source.ok()) return sink(file.path, source.status());
  if (IsStdin(file)) {
    source->document_id = options.stdin_name;
    source->file_name = options.stdin_name;
    source->metadata["path"] = options.stdin_name;
  }
  return sink(file.path, ToRequest(*std::move(source), options.metadata));
}

}  // namespace

IngestSources::IngestSources(const std::vector<std::string>& arguments) {
  retrieval::FileList found = retrieval::ExpandPaths(arguments);
  errors_ = std::move(found.errors);
  std::map<std::string, std::string> taken;  // id -> path
  for (retrieval::FoundFile& file : found.files) {
    const auto [there, fresh] = taken.emplace(file.document_id, file.path);
    if (!fresh && !HoldsRows(file.path)) {
      errors_.push_back({file.path, absl::AlreadyExistsError(absl::StrCat(
                                        "its document id `", file.document_id,
                                        "` is that of ", there->second))});
      continue;
    }
    files_.push_back(std::move(file));
  }
}

void IngestSources::KeepOnly(const std::set<std::string>& paths) {
  errors_.clear();
  std::erase_if(files_, [&paths](const retrieval::FoundFile& file) {
    return !paths.contains(file.path);
  });
}

bool IngestSources::one_document_per_file() const {
  return std::none_of(files_.begin(), files_.end(),
                      [](const retrieval::FoundFile& file) {
                        return IsStdin(file) || HoldsRows(file.path);
                      });
}

void IngestSources::ForEach(const SourceOptions& options,
                            const SourceSink& sink) const {
  for (const retrieval::FileError& error : errors_) {
    if (!sink(error.path, error.status)) return;
  }
  for (const retrieval::FoundFile& file : files_) {
    const bool rows = HoldsRows(IsStdin(file) ? options.stdin_name : file.path);
    const bool more =
        rows ? VisitRows(file, options, sink) : VisitFile(file, options, sink);
    if (!more) return;
  }
}

absl::StatusOr<Struct> ParseMetadata(
    const std::string& flag, const std::vector<std::string>& assignments) {
  Struct metadata;
  for (const std::string& assignment : assignments) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          flag, " `", assignment, "` is not of the form KEY=VALUE"));
    }
    const std::string key = assignment.substr(0, equals);
    std::string text = assignment.substr(equals + 1);
    const bool again = metadata.fields().contains(key);
    Value& value = (*metadata.mutable_fields())[key];
    if (again) {
      // What it was becomes the first of a list.
      if (!value.has_list_value()) {
        if (!value.has_string_value()) {
          return absl::InvalidArgumentError(
              absl::StrCat(flag, " ", key,
                           ": a list holds strings; write \"quoted\" values"));
        }
        const std::string first = value.string_value();
        value.mutable_list_value()->add_values()->set_string_value(first);
      }
      value.mutable_list_value()->add_values()->set_string_value(text);
      continue;
    }
    double number = 0;
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
      value.set_string_value(text.substr(1, text.size() - 2));
    } else if (text == "true" || text == "false") {
      value.set_bool_value(text == "true");
    } else if (absl::SimpleAtod(text, &number) && std::isfinite(number)) {
      value.set_number_value(number);
    } else {
      value.set_string_value(text);
    }
  }
  return metadata;
}

}  // namespace braid::services::cli
