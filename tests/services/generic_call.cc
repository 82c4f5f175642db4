#include "generic_call.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "braid/v1/admin_service.pb.h"
#include "braid/v1/answer_service.pb.h"
#include "braid/v1/collection_service.pb.h"
#include "braid/v1/document_service.pb.h"
#include "braid/v1/generation_service.pb.h"
#include "braid/v1/operation_service.pb.h"
#include "braid/v1/retrieval_service.pb.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"

namespace braid::services {

std::vector<const google::protobuf::MethodDescriptor*> AllMethods() {
  std::vector<const google::protobuf::MethodDescriptor*> methods;
  for (const auto* type :
       {v1::SearchRequest::descriptor(), v1::AnswerRequest::descriptor(),
        v1::GenerateRequest::descriptor(),
        v1::GetCollectionRequest::descriptor(), v1::IngestRequest::descriptor(),
        v1::VerifyRequest::descriptor(),
        v1::ListOperationsRequest::descriptor()}) {
    const auto* file = type->file();
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        methods.push_back(file->service(s)->method(m));
      }
    }
  }
  return methods;
}

GenericOutcome CallMethod(const std::shared_ptr<grpc::Channel>& channel,
                          const google::protobuf::MethodDescriptor& method,
                          const std::string& request,
                          const std::string& authorization) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(20));
  if (!authorization.empty()) {
    context.AddMetadata("authorization", authorization);
  }
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(
      &context,
      absl::StrCat("/", method.service()->full_name(), "/", method.name()),
      &queue);
  const auto wait = [&queue] {
    void* tag;
    bool ok = false;
    queue.Next(&tag, &ok);
    return ok;
  };
  call->StartCall(nullptr);
  wait();
  const grpc::Slice sent(request);
  call->WriteLast(grpc::ByteBuffer(&sent, 1), grpc::WriteOptions(), nullptr);
  wait();
  GenericOutcome outcome;
  while (true) {
    grpc::ByteBuffer buffer;
    call->Read(&buffer, nullptr);
    if (!wait()) break;
    std::vector<grpc::Slice> slices;
    if (!buffer.Dump(&slices).ok()) break;
    std::string& message = outcome.messages.emplace_back();
    for (const grpc::Slice& slice : slices) {
      message.append(reinterpret_cast<const char*>(slice.begin()),
                     slice.size());
    }
  }
  call->Finish(&outcome.status, nullptr);
  wait();
  return outcome;
}

}  // namespace braid::services
