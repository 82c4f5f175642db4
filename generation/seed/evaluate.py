#!/usr/bin/env python3
"""Measures a model: reading, abstention, and recall over distance.

    evaluate.py MODEL DATA OUT.json [--squad DIR] [--limit N] [--lengths N,...]
                                    [--braid BINARY]

MODEL is a directory that export.py wrote, DATA what tokens.py wrote (text between
the made-up facts), DIR the SQuAD set whose dev part is measured on. With --braid it is
not PyTorch that computes, but Braid's service: many times faster on a CPU, and able to
measure what `braid model quantize` wrote. What is measured:

    alone         a question with the paragraph that answers it: EM and F1 as SQuAD
                  defines them (Rajpurkar et al., 2016)
    among         the same with four other paragraphs, the same article's first;
                  `cited`: how often the answer names the right one
    abstention    as many unanswerable questions, each with the paragraph that it was
                  written against, as answerable ones: precision, recall, F1
    recall        made-up facts in text of so many tokens: one (needle) or 32
                  (key-value). A fact counts when every token of the answer, citation
                  included, is the most likely one
"""

import argparse
import collections
import contextlib
import gzip
import json
import os
import re
import string

import numpy
import torch

from model import load
from prompt import ABSTENTION, ANSWER, Prompts
from reading import Reader
from served import serve
from store import Store
from tokens import END, PAD

SEED = 20
ANSWER_TOKENS = 32
OTHERS = 4


def read_json_lines(path):
  with gzip.open(path, "rt", encoding="utf-8") as file:
    return [json.loads(line) for line in file]


class Squad:
  """The dev part: [(question, answers, paragraph)] and the paragraphs."""

  def __init__(self, folder):
    path = lambda name: os.path.join(folder, name)
    self.paragraphs = {row["_id"]: (row["title"], row["text"].split("\n"))
                       for row in read_json_lines(path("corpus.jsonl.gz"))}
    relevant = {}
    with open(path("qrels.tsv"), encoding="utf-8") as file:
      next(file)
      for line in file:
        question, paragraph, _ = line.split()
        relevant[question] = paragraph
    self.questions = [
        (row["text"], row["metadata"]["answers"], relevant[row["_id"]])
        for row in read_json_lines(path("queries.jsonl.gz"))]
    self.unanswerable = [
        (row["text"], [], row["doc"])
        for row in read_json_lines(path("unanswerable.jsonl.gz"))
        if row["doc"] in self.paragraphs]
    self.of_title = collections.defaultdict(list)
    for name, (title, _) in self.paragraphs.items():
      self.of_title[title].append(name)

  def others(self, random, name, count):
    """Paragraphs beside one: of its article, then of others."""
    near = [n for n in self.of_title[self.paragraphs[name][0]] if n != name]
    near = [near[i] for i in random.permutation(len(near))[:count]]
    everything = list(self.paragraphs)
    while len(near) < count:
      near.append(everything[int(random.integers(len(everything)))])
    return near


def words(text):
  text = "".join(c for c in text.lower() if c not in string.punctuation)
  return re.sub(r"\b(a|an|the)\b", " ", text).split()


def exact_match(answer, gold):
  return float(any(words(answer) == words(g) for g in gold))


def f1(answer, gold):
  best = 0.0
  for one in gold:
    got, right = words(answer), words(one)
    same = sum((collections.Counter(got) & collections.Counter(right)).values())
    if same:
      best = max(best, 2 * same / (len(got) + len(right)))
  return best


class TorchModel:

  def __init__(self, folder, tokenizer, device):
    self.device, self.tokenizer = device, tokenizer
    self.model = load(folder, device)
    # Tokens that are computed at once.
    self.most = 65536 if device.type == "cuda" else 8192

  def hidden(self, rows):
    """Rows of different lengths; what follows a row does not change it."""
    length = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (length - len(row)) for row in rows],
                       device=self.device)
    with torch.autocast(self.device.type, torch.bfloat16,
                        enabled=self.device.type == "cuda"):
      return self.model.model(ids, torch.zeros_like(ids), True)[0]

  @torch.no_grad()
  def answer(self, prompts, most):
    """The most likely text behind each prompt, up to its end or `most` tokens."""
    answers = [[] for _ in prompts]
    waiting = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    while waiting:
      rows = []
      while waiting and (len(rows) + 1) * (
          len(prompts[waiting[0]]) + most) <= max(
              self.most, len(prompts[waiting[0]]) + most):
        rows.append(waiting.pop(0))
      for _ in range(most):
        texts = [prompts[i] + answers[i] for i in rows]
        hidden = self.hidden(texts)
        last = hidden[torch.arange(len(rows)),
                      torch.tensor([len(text) - 1 for text in texts])]
        best = self.model.head(last.float()).argmax(-1).tolist()
        for i, token in zip(rows, best):
          if token != END:
            answers[i].append(token)
        rows = [i for i, token in zip(rows, best) if token != END]
        if not rows:
          break
    return [self.tokenizer.decode(tokens) for tokens in answers]

  @torch.no_grad()
  def says(self, tokens, begin):
    """Whether tokens[begin:] is what it would write behind tokens[:begin]."""
    hidden = self.hidden([tokens[:-1]])[0, begin - 1:]
    best = self.model.head(hidden.float()).argmax(-1).tolist()
    return best == tokens[begin:]


def read(model, prompts, squad, questions, random, others):
  """[(answer without its marker, cited right, abstained)]"""
  asked, places = [], []
  for question, _, name in questions:
    names = squad.others(random, name, others)
    place = int(random.integers(others + 1))
    names.insert(place, name)
    places.append(place + 1)
    asked.append(prompts.encode([squad.paragraphs[n] for n in names], question))
  results = []
  for text, place in zip(model.answer(asked, ANSWER_TOKENS), places):
    cited = re.findall(r"\[(\d+)\]", text)
    results.append((re.sub(r"\s*\[\d+\]", "", text), cited == [str(place)],
                    text.strip() == ABSTENTION))
  return results


def mean(values):
  values = list(values)
  return round(sum(values) / len(values), 4)


def reading(model, prompts, squad, limit):
  questions, report = squad.questions[:limit], {"questions": limit}
  for name, others in (("alone", 0), ("among", OTHERS)):
    results = read(model, prompts, squad, questions,
                   numpy.random.default_rng(SEED), others)
    report[name] = {
        "em": mean(exact_match(a, q[1]) for (a, _, _), q in zip(results, questions)),
        "f1": mean(f1(a, q[1]) for (a, _, _), q in zip(results, questions)),
        "cited": mean(c for _, c, _ in results),
        "abstained": mean(n for _, _, n in results)}
    if name == "alone":
      report["examples"] = [
          {"question": q[0], "gold": q[1][0], "answer": a}
          for (a, _, _), q in list(zip(results, questions))[:12]]
      wrongly = sum(n for _, _, n in results)
  unanswerable = squad.unanswerable[:limit]
  results = read(model, prompts, squad, unanswerable,
                 numpy.random.default_rng(SEED), 0)
  rightly = sum(n for _, _, n in results)
  precision = rightly / max(1, rightly + wrongly)
  recall = rightly / len(unanswerable)
  report["abstention"] = {
      "unanswerable": len(unanswerable), "precision": round(precision, 4),
      "recall": round(recall, 4),
      "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4)}
  return report


def recall(model, reader, lengths, tries):
  table = []
  for length in lengths:
    row = {"tokens": length, "tries": tries}
    for name, facts in (("needle", 1), ("key_value", 32)):
      random = numpy.random.default_rng([SEED, length, facts])
      right = []
      for _ in range(tries):
        example = reader.recall(random, length, facts, 1)
        tokens = numpy.concatenate([part for part, _ in example]).tolist()
        begin = sum(len(part) for part, kind in example if kind != ANSWER)
        right.append(model.says(tokens, begin))
      row[name] = mean(right)
    table.append(row)
    print(json.dumps(row), flush=True)
  return table


def weight_bits(folder):
  with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
    return json.load(file).get("quantization_config", {}).get("bits", 16)


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("model")
  parser.add_argument("data")
  parser.add_argument("out")
  parser.add_argument("--squad")
  parser.add_argument("--limit", type=int, default=1000, help="questions")
  parser.add_argument("--lengths", default="1024,4096,16384,65536")
  parser.add_argument("--tries", type=int, default=50, help="facts for each length")
  parser.add_argument("--braid", help="Braid's binary, to measure through its service")
  arguments = parser.parse_args()
  device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
  reader = Reader(Store(arguments.data, {}))
  tokenizer = reader.vocabulary.tokenizer
  with contextlib.ExitStack() as stack:
    if arguments.braid:
      model = stack.enter_context(serve(arguments.braid, arguments.model, tokenizer))
    else:
      model = TorchModel(arguments.model, tokenizer, device)
    results = {"computed_by": (f"Braid, in {weight_bits(arguments.model)} bits"
                               if arguments.braid else f"PyTorch, {device}")}
    if arguments.squad:
      squad = Squad(arguments.squad)
      limit = min(arguments.limit, len(squad.questions))
      results["reading"] = reading(model, reader.prompts, squad, limit)
      print(json.dumps(results["reading"]), flush=True)
    lengths = [int(n) for n in arguments.lengths.split(",") if n]
    results["recall"] = recall(model, reader, lengths, arguments.tries)
  with open(arguments.out, "w") as file:
    json.dump(results, file, indent=1)


if __name__ == "__main__":
  main()
