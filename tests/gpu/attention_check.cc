#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/cuda/attention.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {
namespace {

namespace cuda = kernels::cuda;

struct Shape {
  std::vector<int32_t> lengths;  // of each sequence, new tokens included
  int64_t tokens;
  int heads;
  int kv_heads;
  int head_dim;
};

// A cache whose pages lie in random order, filled by AppendKv in two pieces.
template <class T>
struct Cache {
  Cache(Checks& checks, const Shape& s)
      : longest(*std::max_element(s.lengths.begin(), s.lengths.end())),
        width(int64_t{s.kv_heads} * s.head_dim),
        k(checks.Random<T>(s.lengths.size() * longest, width + 8, -1, 1)),
        v(checks.Random<T>(s.lengths.size() * longest, width + 8, -1, 1)),
        ld_table((longest + cuda::kKvPageTokens - 1) / cuda::kKvPageTokens + 1),
        table(Table(checks, s)),
        lengths(s.lengths),
        pages(s.lengths.size() * ld_table * 2 * width * cuda::kKvPageTokens) {
    kv.kv_heads = s.kv_heads;
    kv.head_dim = s.head_dim;
    kv.pages = pages.data();
    kv.table = table.data();
    kv.ld_table = ld_table;
    kv.lengths = lengths.data();
    for (size_t i = 0; i < s.lengths.size(); ++i) Append(checks, s, i);
  }

  static DeviceArray<int32_t> Table(Checks& checks, const Shape& s) {
    const int64_t longest =
        *std::max_element(s.lengths.begin(), s.lengths.end());
    const int64_t each =
        (longest + cuda::kKvPageTokens - 1) / cuda::kKvPageTokens + 1;
    std::vector<int32_t> numbers(s.lengths.size() * each);
    std::iota(numbers.begin(), numbers.end(), 0);
    std::shuffle(numbers.begin(), numbers.end(), checks.random());
    return DeviceArray<int32_t>(numbers);
  }

  // Sequence i, whose tokens are rows [i * longest, ...), in two calls.
  void Append(Checks& checks, const Shape& s, size_t i) {
    const int64_t length = s.lengths[i];
    const int64_t cut = length / 3;
    const std::vector<int32_t> ends = {static_cast<int32_t>(cut),
                                       static_cast<int32_t>(length)};
    const DeviceArray<int32_t> device_ends(ends);
    int64_t done = 0;
    for (int call = 0; call < 2; ++call) {
      cuda::AppendKvParams<T> p;
      p.kv = kv;
      p.kv.table = table.data() + i * ld_table;
      p.kv.lengths = device_ends.data() + call;
      p.sequences = 1;
      p.tokens = ends[call] - done;
      p.k = k.device.data() + (i * longest + done) * k.ld;
      p.ldk = k.ld;
      p.v = v.device.data() + (i * longest + done) * v.ld;
      p.ldv = v.ld;
      Require(cuda::AppendKv(p, checks.stream()));
      done = ends[call];
    }
    Require(cudaStreamSynchronize(checks.stream()), "append kv");
  }

  int64_t longest;
  int64_t width;
  Input<T> k;
  Input<T> v;
  int64_t ld_table;
  DeviceArray<int32_t> table;
  DeviceArray<int32_t> lengths;
  DeviceArray<T> pages;
  cuda::PagedKv<T> kv;
};

template <class T>
void CheckShape(Checks& checks, const Shape& s, bool compare, double bound) {
  const int sequences = static_cast<int>(s.lengths.size());
  const int64_t rows = sequences * s.tokens;
  const int64_t width = int64_t{s.heads} * s.head_dim;
  const int64_t ld = width + 8;
  const Cache<T> cache(checks, s);
  const auto q = checks.Random<T>(rows, ld, -1, 1);
  const float scale = 3.0f / std::sqrt(static_cast<float>(s.head_dim));
  DeviceArray<T> out(rows * ld);
  const DeviceArray<uint8_t> workspace(
      cuda::AttentionWorkspaceBytes(sequences, s.kv_heads, s.head_dim));
  cuda::AttentionParams<T> p;
  p.kv = cache.kv;
  p.sequences = sequences;
  p.tokens = s.tokens;
  p.q = q.device.data();
  p.ldq = ld;
  p.heads = s.heads;
  p.scale = scale;
  p.out = out.data();
  p.ldo = ld;
  Require(cuda::Attention(p, workspace.data(), checks.stream()));
  const std::string name =
      std::string("attention ") + TypeName<T>() + " " +
      std::to_string(sequences) + "x" + std::to_string(s.tokens) + " of " +
      std::to_string(s.lengths[0]) + " heads " + std::to_string(s.heads) + "/" +
      std::to_string(s.kv_heads) + "x" + std::to_string(s.head_dim);
  if (compare) {
    std::vector<double> expected(rows * width);
    Parallel(rows * s.heads, [&](int64_t unit) {
      const int64_t row = unit / s.heads;
      const int64_t head = unit % s.heads;
      const int64_t sequence = row / s.tokens;
      const int64_t at = head / (s.heads / s.kv_heads) * s.head_dim;
      const int64_t seen = s.lengths[sequence] - s.tokens + row % s.tokens + 1;
      std::vector<double> scores(seen);
      double highest = -1e300;
      for (int64_t i = 0; i < seen; ++i) {
        const int64_t from = sequence * cache.longest + i;
        for (int j = 0; j < s.head_dim; ++j) {
          scores[i] += scale * q.at(row, head * s.head_dim + j) *
                       cache.k.at(from, at + j);
        }
        highest = std::max(highest, scores[i]);
      }
      double total = 0;
      for (double& score : scores) total += score = std::exp(score - highest);
      for (int j = 0; j < s.head_dim; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < seen; ++i) {
          sum += scores[i] * cache.v.at(sequence * cache.longest + i, at + j);
        }
        expected[row * width + head * s.head_dim + j] = sum / total;
      }
    });
    checks.Compare(name, out, rows, width, ld, expected, bound);
    const auto first = out.Read();
    out.Poison();
    Require(cuda::Attention(p, workspace.data(), checks.stream()));
    checks.ExpectSame(name, first, out.Read());
  }
  if (s.lengths[0] >= 1024) {
    double seen = 0;  // pairs of query and key, of one head
    double tokens = 0;
    for (const int32_t length : s.lengths) {
      seen += s.tokens * (length - (s.tokens - 1) / 2.0);
      tokens += length;
    }
    checks.Time(
        name, 2.0 * tokens * cache.width * sizeof(T), 4.0 * seen * width, [&] {
          Require(cuda::Attention(p, workspace.data(), checks.stream()));
        });
  }
}

template <class T>
void CheckOf(Checks& checks, double bound) {
  for (const Shape& s :
       {Shape{{1}, 1, 1, 1, 8}, Shape{{5, 70, 64}, 1, 4, 2, 16},
        Shape{{200, 3}, 1, 16, 1, 64}, Shape{{130}, 3, 8, 2, 40},
        Shape{{65, 129}, 2, 4, 1, 128}, Shape{{70}, 1, 2, 2, 256},
        // Many rows.
        Shape{{17}, 17, 1, 1, 8}, Shape{{100, 70}, 37, 4, 2, 16},
        Shape{{129}, 65, 6, 2, 64}, Shape{{90}, 33, 2, 1, 128},
        Shape{{70}, 70, 1, 1, 200}}) {
    CheckShape<T>(checks, s, true, bound);
  }
  if (checks.small()) return;
  CheckShape<T>(checks, {{8192}, 1, 32, 2, 128}, true, bound);
  CheckShape<T>(checks, {{2048}, 512, 16, 2, 128}, true, bound);
}

}  // namespace

void CheckAttention(Checks& checks) {
  CheckOf<float>(checks, 1e-5);
  CheckOf<bf16>(checks, 1e-2);
  if (checks.small()) return;
  // Times alone.
  CheckShape<bf16>(checks, {{262144}, 1, 32, 2, 128}, false, 0);
  CheckShape<bf16>(checks, {std::vector<int32_t>(64, 8192), 1, 32, 2, 128},
                   false, 0);
  CheckShape<bf16>(checks, {{32768}, 4096, 32, 2, 128}, false, 0);
  CheckShape<bf16>(checks, {{16384}, 4096, 16, 2, 256}, false, 0);
}

}  // namespace braid::gpu_check
