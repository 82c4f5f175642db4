// DocumentService.Ingest: documents in, one acknowledgement each out.
#ifndef BRAID_SERVICES_SERVER_INGEST_STREAM_H_
#define BRAID_SERVICES_SERVER_INGEST_STREAM_H_

#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "services/server/call.h"

namespace braid::services {

// The method takes raw messages: one that does not parse is then answered like
// any other document that fails, where gRPC's own parsing would end the stream
// as if the client had closed it.
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartIngest(
    ServerCore* core, grpc::CallbackServerContext* context);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_INGEST_STREAM_H_
