#!/usr/bin/env python3
"""Writes data/metrics_golden.json: rankings, judgements and what trec_eval
(through pytrec_eval) says of them. Run it where pytrec_eval is installed:

  python3 make_metrics_golden.py > data/metrics_golden.json

Only the order of a ranking counts, so trec_eval gets scores that fall with the
rank. MAP@10 is not trec_eval's: it is written out below as in the MultiHop-RAG
paper's own script. All@10 is trec_eval's recall at 10 where that is 1."""
import json
import random
import sys

import pytrec_eval

MEASURES = {"ndcg_cut.10", "recall.10,50,100", "recip_rank", "success.4,10"}


def expected(run, qrels):
    judged = [q for q in qrels if any(score > 0 for score in qrels[q].values())]
    evaluator = pytrec_eval.RelevanceEvaluator({q: qrels[q] for q in judged}, MEASURES)
    found = evaluator.evaluate(
        {q: {d: float(-i) for i, d in enumerate(run[q])} for q in judged if run.get(q)})
    names = ["ndcg@10", "recall@50", "recall@100", "mrr@10", "hits@4", "hits@10", "all@10", "map@10"]
    total = dict.fromkeys(names, 0.0)
    for q in judged:
        if q not in found:
            continue
        gold = {d for d, score in qrels[q].items() if score > 0}
        ranks = [i for i, d in enumerate(run[q][:10], 1) if d in gold]
        total["ndcg@10"] += found[q]["ndcg_cut_10"]
        total["recall@50"] += found[q]["recall_50"]
        total["recall@100"] += found[q]["recall_100"]
        total["mrr@10"] += found[q]["recip_rank"] if ranks else 0.0
        total["hits@4"] += found[q]["success_4"]
        total["hits@10"] += found[q]["success_10"]
        total["all@10"] += found[q]["recall_10"] == 1.0
        total["map@10"] += sum(1 / r for r in ranks) / min(len(gold), 10)
    return {"judged": len(judged),
            "missing": sum(q not in run for q in judged),
            "mean": {name: total[name] / len(judged) for name in names}}


def random_case(seed, queries, documents, depth, relevant, grades):
    rng = random.Random(seed)
    names = [f"d{i}" for i in range(documents)]
    run, qrels = {}, {}
    for i in range(queries):
        run[f"q{i}"] = rng.sample(names, min(depth, documents))
        judged = rng.sample(names, rng.randint(1, relevant))
        qrels[f"q{i}"] = {d: rng.choice(grades) for d in judged}
    return run, qrels


def cases():
    yield "binary", *random_case(1, 40, 60, 60, 4, [1])
    yield "graded", *random_case(2, 40, 30, 30, 15, [0, 1, 2, 3])
    yield "negative grades do not count", *random_case(3, 20, 30, 20, 8, [-1, 0, 1, 2])
    yield "deeper than 100", *random_case(4, 10, 300, 250, 30, [1, 2])
    yield "more than ten relevant", *random_case(5, 20, 40, 40, 30, [1])
    run, qrels = random_case(6, 12, 40, 20, 5, [1, 2])
    for q in ("q1", "q5", "q9"):
        del run[q]
    yield "missing queries score 0", run, qrels
    run, qrels = random_case(7, 12, 40, 20, 5, [1])
    qrels["q2"] = {"d1": 0, "d2": 0}
    run["unjudged"] = ["d1", "d2"]
    run["q3"] = []
    yield "nothing relevant is left out, unjudged is ignored", run, qrels
    yield "first relevant at rank 11", {"q": [f"d{i}" for i in range(20)]}, {"q": {"d10": 1}}


def main():
    out = [{"name": name, "run": run, "qrels": qrels, "expected": expected(run, qrels)}
           for name, run, qrels in cases()]
    json.dump(out, sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
