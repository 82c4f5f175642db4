// What every verb gets: the common flags, the signals, and calls that obey
// them.
#ifndef BRAID_SERVICES_CLI_CONTEXT_H_
#define BRAID_SERVICES_CLI_CONTEXT_H_

#include <grpcpp/client_context.h>

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "services/cli/exit_code.h"
#include "services/cli/signals.h"
#include "services/config/config.h"

namespace CLI {
class App;
}

namespace braid::services::cli {

// Flags that many verbs share. Empty or 0: not given.
struct CommonOptions {
  std::string config_file;
  std::string address;
  std::string data;
  std::string encoder;
  std::string reranker;
  std::string roles;
  std::string model;
  int threads = 0;
  double timeout_seconds = 0;
  bool json = false;
};

struct Context {
  CommonOptions options;
  SignalWatcher* signals = nullptr;
};

// A verb, ready to run. Returns the exit code.
using Action = std::function<ExitCode(const Context&)>;

// Adds `--config` and `--json`.
void AddBasicFlags(CLI::App* verb, CommonOptions* options);
// Adds the flags of a verb that talks to a server.
void AddServerFlags(CLI::App* verb, CommonOptions* options);
// Adds the flags of a verb that talks to a server or opens a data directory.
void AddConnectionFlags(CLI::App* verb, CommonOptions* options);
// Adds `--encoder`, `--reranker` and `--threads`, for what runs in this
// process.
void AddEngineFlags(CLI::App* verb, CommonOptions* options);

// The configuration in effect: flags > BRAID_* > file > defaults.
absl::StatusOr<Config> LoadSettings(const CommonOptions& options);

// For a server inside a tool: its log says only what goes wrong, unless more
// than the default was asked for.
void QuietLog(Config* config);

// One RPC: its deadline comes from --timeout, and a signal cancels it.
class Call {
 public:
  explicit Call(const Context& context);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  grpc::ClientContext* get() { return &context_; }
  grpc::ClientContext* operator->() { return &context_; }

 private:
  struct Cancel {
    grpc::ClientContext* context;
    void operator()() const { context->TryCancel(); }
  };
  grpc::ClientContext context_;
  std::optional<std::stop_callback<Cancel>> on_signal_;
};

// `collections/{id}`; a full name is taken as it is.
std::string CollectionName(const std::string& id);
// `collections/{collection}/documents/{id}`; a full name is taken as it is.
std::string DocumentName(const std::string& collection, const std::string& id);
// The document id of a full name.
std::string DocumentIdOf(const std::string& name);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_CONTEXT_H_
