// A bar chart as SVG, drawn without a library.
#ifndef BRAID_SERVICES_EVAL_PLOT_H_
#define BRAID_SERVICES_EVAL_PLOT_H_

#include <string>
#include <vector>

#include "services/eval/result.h"
#include "services/eval/significance.h"

namespace braid::services {

struct PlotBar {
  std::string label;
  double value = 0;  // 0 to 1
  Interval interval;
};

// An SVG 1.1 document: a bar for each value with its interval as a whisker, an
// axis from 0 to 1. Labels and title may hold any bytes: what XML cannot hold
// is replaced, the rest escaped.
std::string DrawBars(const std::string& title,
                     const std::vector<PlotBar>& bars);

// nDCG@10 of every run with its 95 % bootstrap interval.
std::string PlotRuns(const EvalResult& result);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_PLOT_H_
