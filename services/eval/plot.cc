#include "services/eval/plot.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "services/text.h"

namespace braid::services {
namespace {

// Pixels.
constexpr int kLeft = 60;
constexpr int kTop = 50;
constexpr int kBottom = 40;
constexpr int kHeight = 300;  // of the axis
constexpr int kBarWidth = 70;
constexpr int kGap = 30;
constexpr int kWhisker = 8;  // half of its width
constexpr int kTicks = 5;

constexpr size_t kMaxTextBytes = 200;

std::string EscapeXml(absl::string_view text) {
  // U+FFFE and U+FFFF are characters that XML has no place for.
  return absl::StrReplaceAll(ToPrintable(text, kMaxTextBytes),
                             {{"&", "&amp;"},
                              {"<", "&lt;"},
                              {">", "&gt;"},
                              {"\"", "&quot;"},
                              {"\xEF\xBF\xBE", "\xEF\xBF\xBD"},
                              {"\xEF\xBF\xBF", "\xEF\xBF\xBD"}});
}

double YOf(double value) {
  return kTop + kHeight * (1 - std::clamp(value, 0.0, 1.0));
}

std::string Line(double x1, double y1, double x2, double y2,
                 absl::string_view color) {
  return absl::StrFormat(
      "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" "
      "stroke=\"%s\"/>\n",
      x1, y1, x2, y2, color);
}

std::string Text(double x, double y, absl::string_view anchor,
                 absl::string_view text) {
  return absl::StrFormat(
      "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y,
      anchor, EscapeXml(text));
}

std::string Axis(int width) {
  std::string svg;
  for (int i = 0; i <= kTicks; ++i) {
    const double value = static_cast<double>(i) / kTicks;
    absl::StrAppend(
        &svg, Line(kLeft, YOf(value), width, YOf(value), "#ddd"),
        Text(kLeft - 8, YOf(value) + 4, "end", absl::StrFormat("%.1f", value)));
  }
  return svg;
}

std::string Bar(const PlotBar& bar, double x) {
  const double middle = x + kBarWidth / 2.0;
  const double low = YOf(bar.interval.low);
  const double high = YOf(bar.interval.high);
  return absl::StrCat(
      absl::StrFormat("<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" "
                      "height=\"%.1f\" fill=\"#7aa6d6\"/>\n",
                      x, YOf(bar.value), kBarWidth, YOf(0) - YOf(bar.value)),
      Line(middle, low, middle, high, "#222"),
      Line(middle - kWhisker, low, middle + kWhisker, low, "#222"),
      Line(middle - kWhisker, high, middle + kWhisker, high, "#222"),
      Text(middle, high - 6, "middle", absl::StrFormat("%.4f", bar.value)),
      Text(middle, kTop + kHeight + 20, "middle", bar.label));
}

}  // namespace

std::string DrawBars(const std::string& title,
                     const std::vector<PlotBar>& bars) {
  const int width = std::max<int>(
      360, kLeft + kGap + static_cast<int>(bars.size()) * (kBarWidth + kGap));
  const int height = kTop + kHeight + kBottom;
  std::string svg = absl::StrFormat(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
      "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
      width, height, width, height, width, height);
  absl::StrAppend(&svg, Text(kLeft, 24, "start", title), Axis(width));
  double x = kLeft + kGap;
  for (const PlotBar& bar : bars) {
    absl::StrAppend(&svg, Bar(bar, x));
    x += kBarWidth + kGap;
  }
  return svg + "</svg>\n";
}

std::string PlotRuns(const EvalResult& result) {
  const MetricField& field = MetricFields().front();
  std::vector<PlotBar> bars;
  for (const ResultRun& run : result.runs) {
    bars.push_back({run.name, MeanMetrics(run.scores).*field.value,
                    BootstrapMean(ScoresOf(run, field))});
  }
  // The name comes last: a long one is cut.
  return DrawBars(
      absl::StrCat(field.label, ", ", result.queries.size(),
                   " queries, 95 % intervals by bootstrap: ", result.dataset),
      bars);
}

}  // namespace braid::services
