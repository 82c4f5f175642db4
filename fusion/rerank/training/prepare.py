#!/usr/bin/env python3
"""Makes training groups for the reranker: a question, its passage, hard others.

    prepare.py dataset SQUAD DATASET      a BEIR folder of the training part
    braid eval --dataset DATASET --run-out RUNS
    prepare.py groups SQUAD RUNS MODEL GROUPS.npz

The hard negatives are what both legs of Braid's own search find for a training
question: BM25 and dense runs, in turn, without the relevant passage and without
passages that hold one of the answers (they may be right as well). Only the
training part of the set is read: `train_corpus`, `train_queries`,
`train_qrels`; its articles are others than those of the evaluation part.

Two more kinds of passages come from the right one, as in a cloze test:
  - without the sentences that hold the answer, it does not answer the question
    any more: a negative that only the answer's absence tells from the positive;
  - one of its other sentences, taken out, is a query that is no question, and
    what is left is the passage for it (the inverse cloze task: Lee, Chang and
    Toutanova, "Latent Retrieval for Weakly Supervised Open Domain Question
    Answering", 2019, section 4).

GROUPS.npz holds token ids, so that it is small: about 5 MB for 11,877
questions.
"""

import argparse
import gzip
import json
import os
import random
import re

import numpy
from tokenizers import Tokenizer

SEED = 20
NEGATIVES = 40           # candidates kept for each question, hardest first
MAX_QUERY_TOKENS = 96    # as CrossEncoderOptions
MAX_PASSAGE_TOKENS = 252
MIN_SENTENCES = 3        # of a passage that one is taken out of
MIN_WORDS = 8            # of a sentence that becomes a query


def read_lines(path):
  opened = gzip.open if path.endswith(".gz") else open
  with opened(path, "rt", encoding="utf-8") as file:
    for line in file:
      yield json.loads(line)


def read_qrels(path):
  qrels = {}
  with open(path, encoding="utf-8") as file:
    next(file)
    for line in file:
      query, document, score = line.split("\t")
      if int(score) > 0:
        qrels.setdefault(query, set()).add(document)
  return qrels


def read_run(path):
  """A TREC run: query -> documents, best first."""
  run = {}
  with open(path, encoding="utf-8") as file:
    for line in file:
      query, _, document, rank, _, _ = line.split()
      run.setdefault(query, []).append((int(rank), document))
  return {query: [d for _, d in sorted(hits)] for query, hits in run.items()}


def make_dataset(squad, out):
  os.makedirs(out, exist_ok=True)
  for part in ("corpus", "queries"):
    with open(os.path.join(out, f"{part}.jsonl"), "w", encoding="utf-8") as file:
      for line in read_lines(os.path.join(squad, f"train_{part}.jsonl.gz")):
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
  with open(os.path.join(squad, "train_qrels.tsv"), encoding="utf-8") as source:
    with open(os.path.join(out, "qrels.tsv"), "w", encoding="utf-8") as file:
      file.write(source.read())


def interleave(*lists):
  seen = set()
  for items in zip(*lists):
    for item in items:
      if item not in seen:
        seen.add(item)
        yield item


def sentences_of(text):
  return re.split(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z0-9])", text)


def without_answer(sentences, answers):
  """The text without every sentence that holds an answer, or None."""
  left = [s for s in sentences if not any(a in s.lower() for a in answers)]
  if not left or len(left) == len(sentences):
    return None
  return " ".join(left)


def cloze(sentences, answers):
  """A sentence without an answer and the text around it, or None."""
  able = [i for i, s in enumerate(sentences)
          if len(s.split()) >= MIN_WORDS
          and not any(a in s.lower() for a in answers)]
  if len(sentences) < MIN_SENTENCES or not able:
    return None
  taken = random.choice(able)
  rest = [s for i, s in enumerate(sentences) if i != taken]
  return sentences[taken], " ".join(rest)


def make_groups(squad, runs, model, out):
  random.seed(SEED)
  tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
  tokenizer.no_truncation()
  tokenizer.no_padding()
  documents, titles, sentences = {}, {}, {}
  for line in read_lines(os.path.join(squad, "train_corpus.jsonl.gz")):
    title, text = line.get("title", ""), line["text"]
    titles[line["_id"]] = f"{title}. " if title else ""
    documents[line["_id"]] = titles[line["_id"]] + text
    sentences[line["_id"]] = sentences_of(text)
  numbers = {document: i for i, document in enumerate(documents)}
  qrels = read_qrels(os.path.join(squad, "train_qrels.tsv"))
  bm25 = read_run(runs + ".bm25")
  dense = read_run(runs + ".dense")

  def encode(text, limit):
    return tokenizer.encode(text, add_special_tokens=False).ids[:limit]

  passages = [encode(text, MAX_PASSAGE_TOKENS) for text in documents.values()]
  queries, positives, negatives = [], [], []
  unanswering, cloze_queries, cloze_passages = [], [], []
  for line in read_lines(os.path.join(squad, "train_queries.jsonl.gz")):
    relevant = qrels.get(line["_id"], set())
    if not relevant:
      continue
    answers = [a.lower() for a in line["metadata"]["answers"]]
    hard = [
        numbers[d]
        for d in interleave(bm25.get(line["_id"], []), dense.get(line["_id"], []))
        if d not in relevant
        and not any(a in documents[d].lower() for a in answers)
    ][:NEGATIVES]
    if len(hard) < NEGATIVES:
      continue
    queries.append(encode(line["text"], MAX_QUERY_TOKENS))
    positive = random.choice(sorted(relevant))
    positives.append(numbers[positive])
    negatives.append(hard)
    parts, title = sentences[positive], titles[positive]
    left = without_answer(parts, answers)
    unanswering.append(encode(title + left, MAX_PASSAGE_TOKENS) if left else [])
    query, rest = cloze(parts, answers) or ("", "")
    cloze_queries.append(encode(query, MAX_QUERY_TOKENS))
    cloze_passages.append(encode(title + rest, MAX_PASSAGE_TOKENS) if rest else [])

  def pack(rows):
    offsets = numpy.cumsum([0] + [len(row) for row in rows], dtype=numpy.int64)
    return numpy.array([t for row in rows for t in row], numpy.uint16), offsets

  texts = {"query": queries, "passage": passages, "unanswering": unanswering,
           "cloze_query": cloze_queries, "cloze_passage": cloze_passages}
  packed = {}
  for name, rows in texts.items():
    packed[name + "_ids"], packed[name + "_offsets"] = pack(rows)
  numpy.savez_compressed(
      out, **packed,
      positives=numpy.array(positives, numpy.uint16),
      negatives=numpy.array(negatives, numpy.uint16))
  print(f"{len(queries)} groups, {len(passages)} passages, "
        f"{sum(map(bool, unanswering))} without their answer, "
        f"{sum(map(bool, cloze_queries))} cloze queries")


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  verbs = parser.add_subparsers(dest="verb", required=True)
  dataset = verbs.add_parser("dataset")
  dataset.add_argument("squad")
  dataset.add_argument("out")
  groups = verbs.add_parser("groups")
  groups.add_argument("squad")
  groups.add_argument("runs")
  groups.add_argument("model")
  groups.add_argument("out")
  arguments = parser.parse_args()
  if arguments.verb == "dataset":
    make_dataset(arguments.squad, arguments.out)
  else:
    make_groups(arguments.squad, arguments.runs, arguments.model, arguments.out)


if __name__ == "__main__":
  main()
