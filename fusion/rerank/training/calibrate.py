#!/usr/bin/env python3
"""Makes a reranker's calibration.json from runs over sets with judgements.

    braid eval --dataset SET --reranker MODEL --run-out RUNS   for every set, with
                                      MODEL still without a calibration.json
    calibrate.py MODEL SET=RUNS [SET=RUNS ...] [--depth N]

Two steps. First the share of the fused score, `fused_weight` over `scale`: by the
nDCG@10, averaged over the sets, of the order by logit + share * fused score. The
largest share that comes within .0005 of the best is taken: it stays nearest to what
the search found, on text that the model does not know too. Then Platt's regression of relevance on that sum,
every set with the same weight in all, so that 1 / (1 + exp(-z)) is the
probability that a passage is relevant. It is fitted on the passages that the
reranker sees in use: the first N of the fused order.
"""

import argparse
import gzip
import json
import math
import os

import numpy

SHARES = [0, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70]


def read_qrels(folder):
  qrels = {}
  path = os.path.join(folder, "qrels.tsv")
  opened = open
  if not os.path.exists(path):
    path, opened = path + ".gz", gzip.open
  with opened(path, "rt", encoding="utf-8") as file:
    next(file)
    for line in file:
      query, document, score = line.split("\t")
      qrels.setdefault(query, {})[document] = int(score)
  return qrels


def read_run(path):
  """query -> [(document, score)], best first."""
  run = {}
  with open(path, encoding="utf-8") as file:
    for line in file:
      query, _, document, rank, score, _ = line.split()
      run.setdefault(query, []).append((int(rank), document, float(score)))
  return {q: [(d, s) for _, d, s in sorted(hits)] for q, hits in run.items()}


def ndcg(ranking, judged):
  ideal = sorted((s for s in judged.values() if s > 0), reverse=True)[:10]
  gain = sum(max(0, judged.get(d, 0)) / math.log2(i + 2)
             for i, d in enumerate(ranking[:10]))
  return gain / sum(s / math.log2(i + 2) for i, s in enumerate(ideal))


class Set:
  """Candidates of one set: for each query documents, logits, fused scores."""

  def __init__(self, folder, runs, depth):
    self.name = os.path.basename(os.path.normpath(folder))
    self.qrels = {q: j for q, j in read_qrels(folder).items()
                  if any(s > 0 for s in j.values())}
    fused, reranked = read_run(runs), read_run(runs + ".reranked")
    self.queries = []
    for query, judged in self.qrels.items():
      hits = fused.get(query, [])
      probability = dict(reranked.get(query, []))
      documents = [d for d, _ in hits]
      seen = documents[:depth]
      p = numpy.clip([probability[d] for d in seen], 1e-12, 1 - 1e-9)
      self.queries.append(
          (judged, documents, numpy.log(p) - numpy.log1p(-p),
           numpy.array([s for _, s in hits[:depth]])))

  def score(self, share):
    total = 0
    for judged, documents, logits, fused in self.queries:
      order = numpy.argsort(-(logits + share * fused), kind="stable")
      total += ndcg([documents[i] for i in order] + documents[len(order):],
                    judged)
    return total / len(self.queries)

  def fused(self):
    return sum(ndcg(d, j) for j, d, _, _ in self.queries) / len(self.queries)

  def pairs(self, share):
    z, relevant = [], []
    for judged, documents, logits, fused in self.queries:
      z += list(logits + share * fused)
      relevant += [judged.get(d, 0) > 0 for d in documents[:len(logits)]]
    return numpy.array(z), numpy.array(relevant, float)


def platt(sets, share):
  """scale and bias of the logistic regression, by Newton's method."""
  z, relevant, weight = [], [], []
  for one in sets:
    x, y = one.pairs(share)
    z.append(x)
    relevant.append(y)
    weight.append(numpy.full(len(x), 1 / len(x)))
  z, relevant, weight = map(numpy.concatenate, (z, relevant, weight))
  features = numpy.stack([z, numpy.ones_like(z)], 1)
  # From spread features, so that Newton's first steps stay where p has a slope.
  centre, spread = z.mean(), z.std()
  features[:, 0] = (z - centre) / spread
  parameters = numpy.array([0.0, 0.0])
  for _ in range(50):
    p = 1 / (1 + numpy.exp(-features @ parameters))
    gradient = features.T @ (weight * (p - relevant))
    curvature = (features * (weight * p * (1 - p))[:, None]).T @ features
    parameters = parameters - numpy.linalg.solve(curvature, gradient)
  scale = parameters[0] / spread
  return scale, parameters[1] - scale * centre


def calibration_error(sets, share, scale, bias):
  """Expected calibration error over ten bins, mean of the sets."""
  errors = []
  for one in sets:
    z, relevant = one.pairs(share)
    p = 1 / (1 + numpy.exp(-(scale * z + bias)))
    bins = numpy.minimum((p * 10).astype(int), 9)
    errors.append(sum(abs(p[bins == b].mean() - relevant[bins == b].mean())
                      * (bins == b).mean()
                      for b in range(10) if (bins == b).any()))
  return sum(errors) / len(errors)


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("model")
  parser.add_argument("sets", nargs="+", metavar="SET=RUNS")
  parser.add_argument("--depth", type=int, default=16)
  arguments = parser.parse_args()
  sets = [Set(*entry.split("=", 1), arguments.depth)
          for entry in arguments.sets]
  print("share   " + "  ".join(f"{s.name[:8]:8}" for s in sets) + "  mean")
  print("fused   " + "  ".join(f"{s.fused():8.4f}" for s in sets))
  means = []
  for share in SHARES:
    scores = [s.score(share) for s in sets]
    mean = sum(scores) / len(scores)
    means.append(mean)
    print(f"{share:5}   " + "  ".join(f"{s:8.4f}" for s in scores)
          + f"  {mean:.4f}")
  share = max(s for s, mean in zip(SHARES, means) if mean >= max(means) - 0.0005)
  scale, bias = platt(sets, share)
  print(f"share {share}, scale {scale:.4f}, bias {bias:.4f}, calibration error "
        f"{calibration_error(sets, share, scale, bias):.4f}")
  with open(os.path.join(arguments.model, "calibration.json"), "w",
            encoding="utf-8") as file:
    json.dump({"scale": round(float(scale), 4),
               "fused_weight": round(float(scale * share), 4),
               "bias": round(float(bias), 4)}, file, indent=2)
    file.write("\n")


if __name__ == "__main__":
  main()
