// A channel to a server, or to one inside this process on a data directory.
#ifndef BRAID_SERVICES_CLI_CONNECTION_H_
#define BRAID_SERVICES_CLI_CONNECTION_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "retrieval/types.h"
#include "services/cli/context.h"
#include "services/runtime.h"
#include "services/server/server.h"

namespace braid::services::cli {

class Connection {
 public:
  // With --data, opens the directory and serves it in this process; otherwise
  // connects to the server. UNAVAILABLE, naming the address, if none answers.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(
      const Context& context);
  // Makes the indexes of a data directory durable.
  ~Connection();

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  bool in_process() const { return server_ != nullptr; }
  // What it is connected to, for messages: an address or a directory.
  const std::string& target() const { return target_; }
  const Config& config() const { return config_; }

  // The sequence a query has to wait for to see all that is stored. A data
  // directory that was just opened may still be replaying its log; a server is
  // asked for whatever it shows now (0).
  retrieval::Sequence SequenceToWaitFor(const Context& context,
                                        const std::string& collection) const;

 private:
  Connection() = default;

  Config config_;
  std::string target_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_CONNECTION_H_
