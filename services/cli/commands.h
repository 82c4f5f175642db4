// The verbs. Each function adds one to the command line; parsing it stores in
// `action` what is to be run.
#ifndef BRAID_SERVICES_CLI_COMMANDS_H_
#define BRAID_SERVICES_CLI_COMMANDS_H_

#include "services/cli/context.h"

namespace braid::services::cli {

void AddServe(CLI::App& app, CommonOptions* common, Action* action);
void AddIngest(CLI::App& app, CommonOptions* common, Action* action);
void AddSearch(CLI::App& app, CommonOptions* common, Action* action);
void AddAsk(CLI::App& app, CommonOptions* common, Action* action);
void AddCollections(CLI::App& app, CommonOptions* common, Action* action);
void AddDocuments(CLI::App& app, CommonOptions* common, Action* action);
void AddOperations(CLI::App& app, CommonOptions* common, Action* action);
void AddEval(CLI::App& app, CommonOptions* common, Action* action);
void AddBench(CLI::App& app, CommonOptions* common, Action* action);
void AddModel(CLI::App& app, CommonOptions* common, Action* action);
// Adds `fetch` to the verb `model`.
void AddModelFetch(CLI::App* model, CommonOptions* common, Action* action);
void AddModelCompare(CLI::App* model, CommonOptions* common, Action* action);
void AddModelQuantize(CLI::App* model, CommonOptions* common, Action* action);
void AddBackup(CLI::App& app, CommonOptions* common, Action* action);
void AddRestore(CLI::App& app, CommonOptions* common, Action* action);
void AddKeys(CLI::App& app, CommonOptions* common, Action* action);
void AddDoctor(CLI::App& app, CommonOptions* common, Action* action);
// These two describe whatever `app` has when they run; it must live as long as
// their actions.
void AddCompletion(CLI::App& app, Action* action);
void AddMan(CLI::App& app, Action* action);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_COMMANDS_H_
