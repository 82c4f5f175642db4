#include "services/cli/connection.h"

#include <braid/v1/collection_service.grpc.pb.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/cli/client_channel.h"

namespace braid::services::cli {
namespace {

constexpr std::chrono::seconds kConnectTimeout{5};

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(
    const Context& context) {
  absl::StatusOr<Config> config = LoadSettings(context.options);
  if (!config.ok()) return config.status();
  std::unique_ptr<Connection> connection(new Connection());
  connection->config_ = *std::move(config);

  if (!context.options.data.empty()) {
    connection->target_ = context.options.data;
    QuietLog(&connection->config_);
    absl::StatusOr<std::unique_ptr<Runtime>> runtime =
        Runtime::Create(connection->config_);
    if (!runtime.ok()) return runtime.status();
    connection->runtime_ = *std::move(runtime);
    absl::StatusOr<std::unique_ptr<Server>> server =
        Server::Start(connection->runtime_.get(), /*address=*/"");
    if (!server.ok()) return server.status();
    connection->server_ = *std::move(server);
    connection->channel_ = connection->server_->InProcessChannel();
    return connection;
  }

  connection->target_ = connection->config_.address;
  auto channel = MakeClientChannel(connection->config_);
  if (!channel.ok()) return channel.status();
  connection->channel_ = *std::move(channel);
  // Refused connections are tried again until the timeout, so that a server
  // that is just starting is found.
  const auto deadline = std::chrono::steady_clock::now() + kConnectTimeout;
  while (!connection->channel_->WaitForConnected(
      std::chrono::system_clock::now() + std::chrono::milliseconds(100))) {
    if (context.signals->stopped()) return absl::CancelledError("interrupted");
    if (std::chrono::steady_clock::now() >= deadline) {
      return absl::UnavailableError(absl::StrCat(
          "no server answers at ", connection->target_,
          ": start one with `braid serve`, name another with --address, or "
          "use a data directory with --data"));
    }
  }
  return connection;
}

Connection::~Connection() {
  channel_.reset();
  if (server_ != nullptr) server_->Shutdown(absl::ZeroDuration());
  server_.reset();
  if (runtime_ != nullptr) runtime_->Shutdown();
}

retrieval::Sequence Connection::SequenceToWaitFor(
    const Context& context, const std::string& collection) const {
  if (!in_process()) return 0;
  const auto stub = v1::CollectionService::NewStub(channel_);
  v1::GetCollectionRequest request;
  request.set_name(CollectionName(collection));
  v1::GetCollectionResponse response;
  Call call(context);
  // An unknown collection is reported by the query itself.
  if (!stub->GetCollection(call.get(), request, &response).ok()) return 0;
  return response.collection().last_sequence();
}

}  // namespace braid::services::cli
