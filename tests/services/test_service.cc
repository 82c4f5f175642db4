#include "test_service.h"

#include <stdlib.h>

#include <filesystem>
#include <thread>

#include "generation/answer/extractive_answerer.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "services/sentence_similarity.h"
#include "tests/ingest/in_process_parser.h"

namespace braid::services {
namespace {

std::string MakeDirectory() {
  std::string path = ::testing::TempDir() + "/braid_service_XXXXXX";
  if (mkdtemp(path.data()) == nullptr) abort();
  return path;
}

std::unique_ptr<Runtime> MakeRuntime(const std::string& directory,
                                     const TestOptions& options) {
  Config config;
  config.data_directory = directory;
  config.encoder_directory = options.encoder_directory;
  config.log_level = "off";
  config.threads = 2;
  config.limits = options.limits;
  config.parser_executable = BRAID_PARSER;
  if (options.configure) options.configure(&config);
  if (!options.encoder_directory.empty()) {
    auto runtime = Runtime::Create(config);
    if (!runtime.ok()) {
      ADD_FAILURE() << runtime.status();
      abort();
    }
    return *std::move(runtime);
  }
  Runtime::Parts parts;
  auto encoder = std::make_unique<FakeEncoder>();
  if (options.backend) {
    parts.backend = options.backend();
  } else {
    retrieval::LocalBackendOptions backend_options;
    backend_options.directory = directory;
    backend_options.index_interval = absl::Milliseconds(10);
    backend_options.store.clock = options.clock;
    auto backend =
        retrieval::LocalBackend::Open(backend_options, encoder.get());
    if (!backend.ok()) {
      ADD_FAILURE() << backend.status();
      abort();
    }
    parts.backend = *std::move(backend);
  }
  parts.parser = std::make_unique<retrieval::InProcessParser>();
  const FakeEncoder* similar = encoder.get();
  parts.encoder = std::move(encoder);
  if (options.answerer) {
    parts.answerer = std::make_unique<ScriptedAnswerer>(options.answerer);
  } else {
    parts.answerer = generation::MakeExtractiveAnswerer(
        MakeSentenceSimilarity(similar, config.threads),
        generation::ExtractiveOptions());
  }
  if (options.generator) {
    parts.generator = std::make_unique<ScriptedGenerator>(options.generator);
  }
  return Runtime::Assemble(config, std::move(parts));
}

}  // namespace

TestService::TestService(TestOptions options)
    : directory_(MakeDirectory()), runtime_(MakeRuntime(directory_, options)) {
  auto server = Server::Start(runtime_.get(), options.address);
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    abort();
  }
  server_ = *std::move(server);
  channel_ = options.address.empty()
                 ? server_->InProcessChannel()
                 : grpc::CreateChannel(server_->address(),
                                       grpc::InsecureChannelCredentials());
  collections_ = v1::CollectionService::NewStub(channel_);
  documents_ = v1::DocumentService::NewStub(channel_);
  retrieval_ = v1::RetrievalService::NewStub(channel_);
  generation_ = v1::GenerationService::NewStub(channel_);
  answers_ = v1::AnswerService::NewStub(channel_);
  admin_ = v1::AdminService::NewStub(channel_);
  operations_ = v1::OperationService::NewStub(channel_);
}

TestService::~TestService() {
  server_.reset();
  runtime_.reset();
  std::filesystem::remove_all(directory_);
}

std::vector<v1::IngestResponse> TestService::Ingest(
    const std::vector<v1::IngestRequest>& requests) {
  grpc::ClientContext context;
  auto stream = documents_->Ingest(&context);
  std::thread writer([&] {
    for (const v1::IngestRequest& request : requests) {
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
  });
  std::vector<v1::IngestResponse> responses;
  v1::IngestResponse response;
  while (stream->Read(&response)) responses.push_back(response);
  writer.join();
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return responses;
}

uint64_t TestService::Put(const std::string& collection, const std::string& id,
                          const std::string& text) {
  const auto responses = Ingest({TextRequest(collection, id, text)});
  if (responses.size() != 1 || responses[0].has_error()) {
    ADD_FAILURE() << "not written: "
                  << (responses.empty() ? "" : responses[0].DebugString());
    return 0;
  }
  return responses[0].sequence();
}

v1::IngestRequest TextRequest(const std::string& collection,
                              const std::string& id, const std::string& text) {
  v1::IngestRequest request;
  request.set_collection("collections/" + collection);
  request.mutable_document()->set_document_id(id);
  request.mutable_document()->set_text(text);
  return request;
}

}  // namespace braid::services
