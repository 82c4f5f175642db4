#include "services/eval/significance.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>
#include <utility>

namespace braid::services {
namespace {

// Differences below this are rounding: metrics are sums of a few terms of
// order 1.
constexpr double kRounding = 1e-9;

// Samples of several values each, one after the other.
struct Table {
  size_t columns = 0;
  std::vector<double> cells;

  size_t rows() const { return cells.size() / columns; }
};

// Of each column, sorted: the means of samples of rows drawn with replacement.
// There is a row.
std::vector<std::vector<double>> ResampledMeans(
    const Table& table, const BootstrapOptions& options) {
  std::mt19937 random(options.seed);
  const size_t columns = table.columns;
  const uint64_t rows = table.rows();
  std::vector<std::vector<double>> means(columns);
  for (std::vector<double>& column : means) column.reserve(options.resamples);
  std::vector<double> sums(columns);
  for (uint32_t resample = 0; resample < options.resamples; ++resample) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (uint64_t i = 0; i < rows; ++i) {
      // The high bits of the product are an index: the standard's distributions
      // differ from library to library. Its bias is below rows / 2^32.
      const double* row =
          &table.cells[((uint64_t{random()} * rows) >> 32) * columns];
      for (size_t column = 0; column < columns; ++column) {
        sums[column] += row[column];
      }
    }
    for (size_t column = 0; column < columns; ++column) {
      means[column].push_back(sums[column] / static_cast<double>(rows));
    }
  }
  for (std::vector<double>& column : means) {
    std::sort(column.begin(), column.end());
  }
  return means;
}

// Linear between the two nearest, as NumPy's default. `sorted` is not empty.
double Quantile(absl::Span<const double> sorted, double fraction) {
  const double at = fraction * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = at - static_cast<double>(below);
  return sorted[below] + weight * (sorted[above] - sorted[below]);
}

Interval IntervalOf(absl::Span<const double> sorted) {
  return {Quantile(sorted, 0.025), Quantile(sorted, 0.975)};
}

// Of each column of differences.
std::vector<PairedDifference> Compare(Table deltas,
                                      const BootstrapOptions& options) {
  std::vector<PairedDifference> differences(deltas.columns);
  if (deltas.rows() == 0 || options.resamples == 0) return differences;
  for (size_t i = 0; i < deltas.cells.size(); ++i) {
    PairedDifference& difference = differences[i % deltas.columns];
    double& delta = deltas.cells[i];
    if (std::abs(delta) <= kRounding) delta = 0;
    if (delta > 0) ++difference.better;
    if (delta < 0) ++difference.worse;
    difference.mean += delta / static_cast<double>(deltas.rows());
  }
  const std::vector<std::vector<double>> means =
      ResampledMeans(deltas, options);
  for (size_t column = 0; column < deltas.columns; ++column) {
    PairedDifference& difference = differences[column];
    difference.interval = IntervalOf(means[column]);
    const double observed = std::abs(difference.mean) - kRounding;
    const auto extreme = std::count_if(
        means[column].begin(), means[column].end(), [&](double mean) {
          return std::abs(mean - difference.mean) >= observed;
        });
    // Counting the observed sample among the resamples keeps p above 0.
    difference.p = (static_cast<double>(extreme) + 1) /
                   (static_cast<double>(options.resamples) + 1);
  }
  return differences;
}

}  // namespace

Interval BootstrapMean(absl::Span<const double> values,
                       const BootstrapOptions& options) {
  if (values.empty() || options.resamples == 0) return {};
  const Table table = {1, {values.begin(), values.end()}};
  return IntervalOf(ResampledMeans(table, options).front());
}

PairedDifference PairedBootstrap(absl::Span<const double> before,
                                 absl::Span<const double> after,
                                 const BootstrapOptions& options) {
  Table deltas = {1, {}};
  for (size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    deltas.cells.push_back(after[i] - before[i]);
  }
  return Compare(std::move(deltas), options).front();
}

std::vector<PairedDifference> CompareScores(
    absl::Span<const QueryScores> before, absl::Span<const QueryScores> after,
    const BootstrapOptions& options) {
  Table deltas = {MetricFields().size(), {}};
  for (size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    for (const MetricField& field : MetricFields()) {
      deltas.cells.push_back(after[i].metrics.*field.value -
                             before[i].metrics.*field.value);
    }
  }
  return Compare(std::move(deltas), options);
}

bool IsSignificant(const PairedDifference& difference) {
  return difference.interval.low > 0 || difference.interval.high < 0;
}

}  // namespace braid::services
