// An answerer in the process that has the model.
#ifndef BRAID_SERVICES_GATEWAY_REMOTE_ANSWERER_H_
#define BRAID_SERVICES_GATEWAY_REMOTE_ANSWERER_H_

#include <string>

#include "generation/answer/answerer.h"
#include "services/server/call.h"

namespace braid::services {

// Answers with the rights of the caller of `call`, which must outlive it.
// Errors as UpstreamError.
class RemoteAnswerer final : public generation::Answerer {
 public:
  explicit RemoteAnswerer(Call* call) : call_(call) {}
  const std::string& name() const override { return name_; }
  absl::Status Answer(const generation::AnswerRequest& request,
                      const generation::AnswerSink& sink,
                      std::stop_token stop) override;

 private:
  Call* const call_;
  const std::string name_ = "remote";
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_GATEWAY_REMOTE_ANSWERER_H_
