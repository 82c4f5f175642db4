// RetrievalService.Embed.
#ifndef BRAID_SERVICES_SERVER_EMBED_H_
#define BRAID_SERVICES_SERVER_EMBED_H_

#include "absl/status/status.h"
#include "braid/v1/retrieval_service.pb.h"
#include "services/server/call.h"

namespace braid::services {

// Looks at the deadline and the stop token every few texts.
absl::Status Embed(Call& call, const v1::EmbedRequest& request,
                   v1::EmbedResponse* response);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_EMBED_H_
