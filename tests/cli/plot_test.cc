#include "services/eval/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace braid::services {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Plot, DrawsABarAndItsInterval) {
  const std::string svg = DrawBars("title", {{"fused", 0.5, {0.25, 0.75}}});
  // The axis has 300 pixels from y 50 (1) to y 350 (0).
  EXPECT_THAT(svg, HasSubstr("y=\"200.0\" width=\"70\" height=\"150.0\""));
  EXPECT_THAT(svg, HasSubstr("y1=\"275.0\" x2=\"125.0\" y2=\"125.0\""));
  EXPECT_THAT(svg, HasSubstr(">0.5000</text>"));
  EXPECT_THAT(svg, HasSubstr(">fused</text>"));
}

TEST(Plot, EscapesText) {
  const std::string svg = DrawBars("a<b>&\"c\" \x01\xFF\xEF\xBF\xBF",
                                   {{"</svg>", 0.1, {0.0, 0.2}}});
  EXPECT_THAT(svg, HasSubstr("a&lt;b&gt;&amp;&quot;c&quot;"));
  EXPECT_THAT(svg, HasSubstr("&lt;/svg&gt;"));
  EXPECT_THAT(svg, Not(HasSubstr("\xEF\xBF\xBF")));
  EXPECT_THAT(svg, Not(HasSubstr("\x01")));
}

TEST(Plot, ShowsEveryRun) {
  EvalResult result;
  result.dataset = "stones";
  result.queries.resize(2);
  QueryScores hit;
  hit.metrics.ndcg_10 = 1;
  result.runs = {{"bm25", {hit, {}}}, {"fused", {hit, hit}}};
  result.final_run = "fused";
  const std::string svg = PlotRuns(result);
  EXPECT_THAT(svg, HasSubstr(">0.5000</text>"));
  EXPECT_THAT(svg, HasSubstr(">1.0000</text>"));
  EXPECT_THAT(
      svg,
      HasSubstr("nDCG@10, 2 queries, 95 % intervals by bootstrap: stones"));
}

}  // namespace
}  // namespace braid::services
