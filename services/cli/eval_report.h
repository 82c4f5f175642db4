// The report of `braid eval` as people read it.
#ifndef BRAID_SERVICES_CLI_EVAL_REPORT_H_
#define BRAID_SERVICES_CLI_EVAL_REPORT_H_

#include <string>

#include "services/eval/json.h"

namespace braid::services::cli {

// Tables of what RunEval returned: the runs, each type of query, the stages.
std::string FormatEvalReport(const Json& report);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_EVAL_REPORT_H_
