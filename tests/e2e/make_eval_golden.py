#!/usr/bin/env python3
"""Writes data/eval_golden.json: what trec_eval (through pytrec_eval) says of the
runs that `braid eval --dataset tests/data/beir --run-out RUN` wrote with
BRAID_ENCODER_WEIGHTS=f32.

  python3 make_eval_golden.py RUN ../data/beir/qrels/test.tsv > data/eval_golden.json

Look at the runs before committing: this checks the metrics, not the ranking."""
import collections
import importlib.util
import json
import pathlib
import sys

here = pathlib.Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("golden", here.parent / "cli" / "make_metrics_golden.py")
golden = importlib.util.module_from_spec(spec)
spec.loader.exec_module(golden)


def read_run(path):
    run = collections.defaultdict(list)
    for line in open(path):
        query, _, document, _, score, _ = line.split()
        run[query].append((-float(score), document))
    # By score, as trec_eval reads it: the rank column is ignored.
    return {query: [d for _, d in sorted(found)] for query, found in run.items()}


def main():
    qrels = collections.defaultdict(dict)
    for line in open(sys.argv[2]).read().splitlines()[1:]:
        query, document, score = line.split("\t")
        qrels[query][document] = int(score)
    runs = {"bm25": ".bm25", "dense": ".dense", "rrf": ".rrf", "fused": ""}
    print(json.dumps({name: golden.expected(read_run(sys.argv[1] + end), qrels)["mean"]
                      for name, end in runs.items()}, indent=1))


if __name__ == "__main__":
    main()
