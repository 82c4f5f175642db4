// Any RPC, by its descriptor.
#ifndef BRAID_TESTS_SERVICES_GENERIC_CALL_H_
#define BRAID_TESTS_SERVICES_GENERIC_CALL_H_

#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/status.h"

namespace braid::services {

// Every RPC of braid.v1.
std::vector<const google::protobuf::MethodDescriptor*> AllMethods();

struct GenericOutcome {
  grpc::Status status;
  std::vector<std::string> messages;  // serialized, all that came
};

// Sends one message, `request`, and reads to the end: gRPC's wire is the same
// for all kinds of RPC. `authorization` is the header, left out if empty.
GenericOutcome CallMethod(const std::shared_ptr<grpc::Channel>& channel,
                          const google::protobuf::MethodDescriptor& method,
                          const std::string& request,
                          const std::string& authorization = "");

}  // namespace braid::services

#endif  // BRAID_TESTS_SERVICES_GENERIC_CALL_H_
