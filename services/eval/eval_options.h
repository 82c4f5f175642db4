// What `braid eval` is asked to do.
#ifndef BRAID_SERVICES_EVAL_EVAL_OPTIONS_H_
#define BRAID_SERVICES_EVAL_EVAL_OPTIONS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace braid::services {

struct EvalOptions {
  std::string dataset;  // directory in the BEIR layout
  std::string queries;  // instead of the directory's own; all of them are run
  std::string qrels;    // instead of the directory's own
  // TREC file of the fused run; the others go to `run_out` + ".bm25", ".dense",
  // ".rrf" (and ".reranked"). Empty for none.
  std::string run_out;
  size_t leg_limit = 100;
  // As in a request; unset: no for the fused run, yes for the reranked one and
  // the answers.
  std::optional<bool> multi_hop;
  bool answers = false;  // ask for answers, too: see ask_questions.h
  // Questions that the corpus does not answer: lines {"_id", "text"}. Asked
  // with `answers`. Empty for none.
  std::string unanswerable;
  std::vector<std::string> results;  // files that WriteResult writes
  std::string plot;                  // an .svg to be written; empty for none
  std::string compare;  // a .json of an earlier evaluation; empty for none
  // With `compare`: nDCG@10 of the final run may fall by so much, unless the
  // fall is significant.
  std::optional<double> max_drop;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_EVAL_OPTIONS_H_
