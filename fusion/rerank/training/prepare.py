#!/usr/bin/env python3
"""Makes training groups for the reranker: a query, its passage, hard others.

    prepare.py dataset SQUAD CORPUS DATASET     a BEIR folder of what is trained on
    braid eval --dataset DATASET --run-out RUNS
    prepare.py groups DATASET RUNS MODEL GROUPS.npz

SQUAD is the training part of a SQuAD 1.1 set in the BEIR layout
(`train_corpus`, `train_queries`, `train_qrels`; its articles are others than
those of the evaluation part); CORPUS is what generation/seed/corpus.py wrote,
of which Debian's manuals are read and nothing of an evaluation set. The
queries are of the kinds of queries.py.

The hard negatives are what Braid's own search finds for a query, best first,
without the relevant passages and without passages that hold one of the answers
(they may be right as well).

GROUPS.npz holds token ids: `text_ids` and `text_offsets` are all texts, `query`,
`positive` and `unanswering` (-1: none) a text for each group, `negatives` its
candidates, `fused` the score of the search for the positive and for each of
them, and `kind` what it is.
"""

import argparse
import dataclasses
import gzip
import json
import os
import random
import re

import numpy
from tokenizers import Tokenizer

import queries

SEED = 20
NEGATIVES = 24           # candidates kept for each query, hardest first
MAX_QUERY_TOKENS = 96    # as CrossEncoderOptions
MAX_PASSAGE_TOKENS = 252
MANUALS = ["postgresql-doc-15", "sqlite3-doc", "python3.11-doc", "python-django-doc",
           "apache2-doc", "rust-doc", "linux-doc-6.1", "git-doc", "debian-handbook",
           "libreoffice-help-en-us"]
SECTIONS = 800           # of a manual
MIN_SECTION, MAX_SECTION = 25, 180   # words
# How many queries of each kind; fewer where the text has fewer.
COUNTS = {"question": 6000, "keywords": 700, "claim": 1500, "pair": 3000,
          "bridge": 2500, "comparison": 2000, "sentence": 1500, "cloze": 2500,
          "name": 3000, "heading": 1800, "rare": 1000, "code": 1000}


def read_lines(path):
  opened = gzip.open if path.endswith(".gz") else open
  with opened(path, "rt", encoding="utf-8") as file:
    for line in file:
      yield json.loads(line)


def read_run(path):
  """A TREC run: query -> {document: score}, best first."""
  run = {}
  with open(path, encoding="utf-8") as file:
    for line in file:
      query, _, document, rank, score, _ = line.split()
      run.setdefault(query, []).append((int(rank), document, float(score)))
  return {query: {d: s for _, d, s in sorted(hits)} for query, hits in run.items()}


def read_squad(folder):
  """The training part: passages, and questions with theirs."""
  passages = {line["_id"]: queries.Passage(
                  line["_id"], line.get("title", ""), "", line["text"])
              for line in read_lines(os.path.join(folder, "train_corpus.jsonl.gz"))}
  relevant = {}
  with open(os.path.join(folder, "train_qrels.tsv"), encoding="utf-8") as file:
    next(file)
    for line in file:
      query, document, score = line.split("\t")
      if int(score) > 0:
        relevant[query] = document
  asked = []
  for line in read_lines(os.path.join(folder, "train_queries.jsonl.gz")):
    answers = line["metadata"]["answers"]
    if line["_id"] in relevant and answers:
      asked.append(queries.Question(
          line["text"].strip(), passages[relevant[line["_id"]]], answers[0],
          [a.lower() for a in answers]))
  return list(passages.values()), asked


def is_heading(line, following):
  return (len(line.split()) <= 10 and not re.search(r"[.:;,!?=]$", line)
          and bool(re.match(r"[\w\"'(/.<-]", line)) and len(following.split()) >= 8)


def sections_of(title, lines):
  """A page in sections: the heading and the prose below it."""
  heading, text = "", []
  for i, line in enumerate(lines):
    following = lines[i + 1] if i + 1 < len(lines) else ""
    begins = is_heading(line, following)
    full = sum(len(t.split()) for t in text) + len(line.split()) > MAX_SECTION
    if (begins or full) and text:
      yield heading, " ".join(text)
      text = []
    if begins:
      heading = line.strip()
    elif len(line.split()) <= MAX_SECTION:
      text.append(line.strip())
  if text:
    yield heading, " ".join(text)


def read_manuals(corpus):
  by_source = {}
  for page in read_lines(os.path.join(corpus, "text.jsonl.gz")):
    # The list of SQLSTATE codes is asked for by an evaluation set.
    if page["source"] not in MANUALS or "Error Codes" in page["title"]:
      continue
    found = by_source.setdefault(page["source"], [])
    for heading, text in sections_of(page["title"], page["lines"]):
      if len(text.split()) >= MIN_SECTION and sum(c.isalpha() for c in text) > len(text) / 2:
        found.append((page["title"], "" if heading == page["title"] else heading, text))
  passages = []
  for source in MANUALS:
    found = by_source.get(source, [])
    for section in random.sample(found, min(SECTIONS, len(found))):
      passages.append(queries.Passage(f"m{len(passages)}", *section))
  return passages


def make_dataset(squad, corpus, out):
  random.seed(SEED)
  passages, asked = read_squad(squad)
  manuals = read_manuals(corpus)

  def taken(kind, made):
    made = list(made)
    random.shuffle(made)
    return made[:COUNTS[kind]]

  def some(items):
    return random.sample(items, len(items))

  made = [
      *taken("question", queries.questions(some(asked))),
      *taken("keywords", queries.keywords(some(asked))),
      *taken("claim", queries.claims(some(asked))),
      *taken("pair", queries.pairs(some(asked))),
      *taken("bridge", queries.bridges(asked)),
      *taken("comparison", queries.comparisons(some(asked))),
      *taken("sentence", queries.sentence_answers(some(asked))),
      *taken("cloze", queries.cloze(some(passages + manuals))),
      *taken("name", queries.names(manuals)),
      *taken("heading", queries.headings(manuals)),
      *taken("rare", queries.rare_words(manuals)),
      *taken("code", queries.codes(manuals, COUNTS["code"])),
  ]
  os.makedirs(out, exist_ok=True)

  def write(name, rows):
    with open(os.path.join(out, name), "w", encoding="utf-8") as file:
      for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")

  write("corpus.jsonl", ({"_id": p.id, "title": p.head.removesuffix(". "), "text": p.text}
                         for p in passages + manuals))
  numbered = {f"q{i}": query for i, query in enumerate(made)}
  write("groups.jsonl", ({"_id": i} | dataclasses.asdict(q) for i, q in numbered.items()))
  searched = {i: q for i, q in numbered.items() if not q.negatives}
  write("queries.jsonl", ({"_id": i, "text": q.text, "metadata": {"type": q.kind}}
                          for i, q in searched.items()))
  with open(os.path.join(out, "qrels.tsv"), "w", encoding="utf-8") as file:
    file.write("query-id\tcorpus-id\tscore\n")
    for i, query in searched.items():
      for document in [query.positive, *query.also]:
        file.write(f"{i}\t{document}\t1\n")
  kinds = {kind: sum(q.kind == kind for q in made) for kind in COUNTS}
  print(f"{len(passages)} + {len(manuals)} passages, {kinds}")


def best_sentence(query, text):
  """The sentence with the most words of the query: the hardest one."""
  asked = {w.lower() for w in queries.words_of(query)} - queries.STOP
  return max(queries.sentences_of(text),
             key=lambda s: len(asked & {w.lower() for w in queries.words_of(s)}))


class Texts:
  """Token ids of texts, each text once."""

  def __init__(self, tokenizer):
    self.tokenizer, self.numbers, self.rows = tokenizer, {}, []

  def add(self, text, limit):
    if (text, limit) not in self.numbers:
      self.numbers[text, limit] = len(self.rows)
      self.rows.append(self.tokenizer.encode(text, add_special_tokens=False).ids[:limit])
    return self.numbers[text, limit]


def make_groups(dataset, runs, model, out):
  tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
  tokenizer.no_truncation()
  tokenizer.no_padding()
  texts = Texts(tokenizer)
  documents = {line["_id"]: (f"{line['title']}. " if line["title"] else "", line["text"])
               for line in read_lines(os.path.join(dataset, "corpus.jsonl"))}
  fused = read_run(runs)
  kinds = list(COUNTS)
  groups = {"query": [], "positive": [], "unanswering": [], "negatives": [], "kind": [],
            "fused": []}
  for line in read_lines(os.path.join(dataset, "groups.jsonl")):
    negatives, scores = line["negatives"], []
    if negatives:
      scores = [0] * (1 + len(negatives))
    else:
      found = fused[line["_id"]]
      scores = [found.get(line["positive"], min(found.values()))]
      for document, score in found.items():
        head, text = documents[document]
        if (document not in {line["positive"], *line["also"]}
            and not queries.holds(head + text, line["answers"])):
          if line["one_sentence"]:
            text = best_sentence(line["text"], text)
          negatives.append(head + text)
          scores.append(score)
    if len(negatives) < NEGATIVES:
      continue
    positive = line["passage"] or "".join(documents[line["positive"]])
    groups["query"].append(texts.add(line["text"], MAX_QUERY_TOKENS))
    groups["positive"].append(texts.add(positive, MAX_PASSAGE_TOKENS))
    groups["unanswering"].append(
        texts.add(line["unanswering"], MAX_PASSAGE_TOKENS) if line["unanswering"] else -1)
    groups["negatives"].append(
        [texts.add(text, MAX_PASSAGE_TOKENS) for text in negatives[:NEGATIVES]])
    groups["fused"].append(scores[:1 + NEGATIVES])
    groups["kind"].append(kinds.index(line["kind"]))
  numpy.savez_compressed(
      out, kinds=numpy.array(kinds),
      text_ids=numpy.array([t for row in texts.rows for t in row], numpy.uint16),
      text_offsets=numpy.cumsum([0] + [len(row) for row in texts.rows], dtype=numpy.int64),
      **{name: numpy.array(values, numpy.float32 if name == "fused" else numpy.int32)
         for name, values in groups.items()})
  counts = {kind: groups["kind"].count(i) for i, kind in enumerate(kinds)}
  print(f"{len(groups['kind'])} groups, {len(texts.rows)} texts, {counts}")


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  verbs = parser.add_subparsers(dest="verb", required=True)
  for verb, names in {"dataset": ["squad", "corpus", "out"],
                      "groups": ["dataset", "runs", "model", "out"]}.items():
    verb = verbs.add_parser(verb)
    for name in names:
      verb.add_argument(name)
  arguments = vars(parser.parse_args())
  {"dataset": make_dataset, "groups": make_groups}[arguments.pop("verb")](**arguments)


if __name__ == "__main__":
  main()
