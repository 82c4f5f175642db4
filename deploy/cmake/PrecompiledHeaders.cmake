# Half of the compile time goes into the headers of gRPC, JSON and GoogleTest.
# Sources include what they use all the same: with
# -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON everything builds as well.

# For services/: the target braid_service_headers compiles it, the others reuse it.
set(braid_service_headers
  <map> <memory> <optional> <string> <vector>
  <absl/container/flat_hash_map.h>
  <absl/status/statusor.h>
  <absl/strings/str_cat.h>
  <absl/synchronization/mutex.h>
  <absl/time/time.h>
  <grpcpp/grpcpp.h>
  <nlohmann/json.hpp>
  <braid/v1/admin_service.grpc.pb.h>
  <braid/v1/answer_service.grpc.pb.h>
  <braid/v1/collection_service.grpc.pb.h>
  <braid/v1/document_service.grpc.pb.h>
  <braid/v1/generation_service.grpc.pb.h>
  <braid/v1/retrieval_service.grpc.pb.h>)

# For tests/: the target braid_test_headers compiles it, most others reuse it.
set(braid_test_headers
  <map> <memory> <optional> <string> <vector>
  <absl/status/statusor.h>
  <absl/strings/str_cat.h>
  <gmock/gmock.h>
  <gtest/gtest.h>
  <nlohmann/json.hpp>)
