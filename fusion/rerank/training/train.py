#!/usr/bin/env python3
"""Trains the reranker from the text encoder.

    train.py MODEL GROUPS.npz OUT [--minutes N] [--steps N] [--resume]

MODEL is the encoder's HF directory (all-MiniLM-L6-v2): the cross-encoder starts
from its weights, with a new pooler and classifier. A group is a question with
its passage and some of its hard negatives; the loss is the cross-entropy of the
right one among them (localized contrastive estimation: Gao, Dai and Callan,
"Rethink Training of BERT Rerankers in Multi-Stage Retrieval Pipeline", 2021,
section 3), plus the mean binary cross-entropy of its pairs, so that a logit
says something by itself: a question without any right passage has only
negative ones. Every other group has its own passage without the answer among
the negatives, and one group in eight asks with a sentence (see prepare.py).

OUT is an HF directory that `braid --reranker OUT` takes. The run is written
to OUT.state.pt every few minutes with all that is needed to go on exactly where it
stopped (--resume): weights, optimizer, schedule and the state of every random
number. The schedule is over steps, whatever the time.
"""

import argparse
import json
import os
import shutil
import time

import numpy
import torch
import transformers

SEED = 20
CLS, SEP = 101, 102


class Groups:
  """Token ids of questions and passages, and which belong together."""

  def __init__(self, path, negatives):
    data = numpy.load(path)
    self.data = {name: data[name] for name in data.files}
    self.negatives = negatives
    self.size = len(self.data["positives"])

  def tokens(self, kind, index):
    offsets = self.data[kind + "_offsets"]
    ids = self.data[kind + "_ids"]
    return ids[offsets[index]:offsets[index + 1]].astype(numpy.int64)

  def pairs(self, group, random):
    """The right pair first."""
    hard = [self.tokens("passage", passage) for passage in random.choice(
        self.data["negatives"][group], self.negatives, replace=False)]
    kind = random.integers(8)
    query = self.tokens("query", group)
    positive = self.tokens("passage", self.data["positives"][group])
    if kind == 0 and len(self.tokens("cloze_query", group)) > 0:
      query = self.tokens("cloze_query", group)
      positive = self.tokens("cloze_passage", group)
    elif kind % 2 == 1 and len(self.tokens("unanswering", group)) > 0:
      hard[0] = self.tokens("unanswering", group)
    return [(query, passage) for passage in [positive, *hard]]

  def batches(self, groups, random, arguments, device):
    """The groups' pairs as model inputs, those of like length together.

    Yields the pairs' numbers (in the order of the groups) with their inputs.
    """
    pairs = []
    for group in groups:
      for query, text in self.pairs(group, random):
        pairs.append((query, text[:arguments.max_tokens - 3 - len(query)]))
    lengths = numpy.array([len(q) + len(t) + 3 for q, t in pairs])
    by_length = numpy.argsort(lengths, kind="stable")
    for rows in numpy.array_split(by_length, -(-len(pairs) // arguments.rows)):
      ids = numpy.zeros((len(rows), lengths[rows].max()), numpy.int64)
      types = numpy.zeros_like(ids)
      mask = numpy.zeros_like(ids)
      for row, pair in enumerate(rows):
        query, text = pairs[pair]
        first = len(query) + 2
        end = first + len(text) + 1
        ids[row, :end] = [CLS, *query, SEP, *text, SEP]
        types[row, first:end] = 1
        mask[row, :end] = 1
      yield rows, {
          "input_ids": torch.from_numpy(ids).to(device),
          "token_type_ids": torch.from_numpy(types).to(device),
          "attention_mask": torch.from_numpy(mask).to(device),
      }


def logits_of(model, groups, chosen, random, arguments, device):
  """[groups, 1 + negatives] f32, the right pair's first."""
  rows, logits = [], []
  for numbers, inputs in groups.batches(chosen, random, arguments, device):
    with torch.autocast(device.type, torch.bfloat16):
      logits.append(model(**inputs).logits.float().flatten())
    rows.append(torch.from_numpy(numbers))
  order = torch.argsort(torch.cat(rows)).to(device)
  return torch.cat(logits)[order].view(len(chosen), -1)


def make_model(directory):
  # Without dropout: hardly a pair is seen twice.
  config = transformers.AutoConfig.from_pretrained(
      directory, num_labels=1, hidden_dropout_prob=0.0,
      attention_probs_dropout_prob=0.0)
  return transformers.AutoModelForSequenceClassification.from_pretrained(
      directory, config=config, dtype=torch.float32)


@torch.no_grad()
def evaluate(model, groups, held_out, arguments, device):
  """Accuracy and mean reciprocal rank of the right one among all candidates."""
  model.eval()
  random = numpy.random.default_rng(SEED)
  ranks = []
  for begin in range(0, len(held_out), arguments.groups):
    part = held_out[begin:begin + arguments.groups]
    logits = logits_of(model, groups, part, random, arguments, device)
    ranks += (1 + (logits[:, 1:] >= logits[:, :1]).sum(1)).tolist()
  model.train()
  ranks = numpy.array(ranks)
  return {"accuracy": float((ranks == 1).mean()), "mrr": float((1 / ranks).mean())}


def save(path, **parts):
  torch.save(parts, path + ".tmp")
  os.replace(path + ".tmp", path)


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("model")
  parser.add_argument("data")
  parser.add_argument("out")
  parser.add_argument("--minutes", type=float, default=1e9)
  parser.add_argument("--steps", type=int, default=1000)
  parser.add_argument("--groups", type=int, default=12, help="per step")
  parser.add_argument("--negatives", type=int, default=4, help="per group")
  parser.add_argument("--rows", type=int, default=15, help="pairs at a time")
  parser.add_argument("--rate", type=float, default=1e-4)
  parser.add_argument("--max-tokens", type=int, default=256)
  parser.add_argument("--hold-out", type=int, default=240,
                      help="groups that are not trained on")
  parser.add_argument("--save-every", type=float, default=120, help="seconds")
  parser.add_argument("--resume", action="store_true")
  arguments = parser.parse_args()

  device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
  torch.manual_seed(SEED)
  random = numpy.random.default_rng(SEED)
  groups = Groups(arguments.data, arguments.negatives)
  order = numpy.random.default_rng(SEED).permutation(groups.size)
  held_out, trained = order[:arguments.hold_out], order[arguments.hold_out:]
  model = make_model(arguments.model).to(device).train()
  optimizer = torch.optim.AdamW(model.parameters(), arguments.rate,
                                weight_decay=0.01)
  warm_up = max(1, arguments.steps // 10)
  schedule = torch.optim.lr_scheduler.LambdaLR(
      optimizer, lambda step: min((step + 1) / warm_up,
                                  (arguments.steps - step) /
                                  max(1, arguments.steps - warm_up)))
  os.makedirs(arguments.out, exist_ok=True)
  state_path = os.path.normpath(arguments.out) + ".state.pt"
  step, curve = 0, []
  if arguments.resume:
    state = torch.load(state_path, map_location=device, weights_only=False)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    random.bit_generator.state = state["random"]
    torch.set_rng_state(state["torch"].cpu())
    step, curve = state["step"], state["curve"]

  started = saved = time.time()
  while step < arguments.steps:
    if time.time() - started > arguments.minutes * 60:
      break
    batch = random.choice(trained, arguments.groups, replace=False)
    logits = logits_of(model, groups, batch, random, arguments, device)
    right = torch.zeros_like(logits)
    right[:, 0] = 1
    loss = (torch.nn.functional.cross_entropy(logits, right) +
            torch.nn.functional.binary_cross_entropy_with_logits(logits, right))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    step += 1
    if step % 25 == 0 or step == arguments.steps:
      row = {"step": step, "loss": loss.item(),
             "seconds": round(time.time() - started, 1)}
      if step % 250 == 0 or step == arguments.steps:
        row |= evaluate(model, groups, held_out, arguments, device)
      curve.append(row)
      print(json.dumps(row), flush=True)
    if time.time() - saved > arguments.save_every:
      save(state_path, model=model.state_dict(), step=step, curve=curve,
           optimizer=optimizer.state_dict(), schedule=schedule.state_dict(),
           random=random.bit_generator.state, torch=torch.get_rng_state())
      saved = time.time()

  save(state_path, model=model.state_dict(), step=step, curve=curve,
       optimizer=optimizer.state_dict(), schedule=schedule.state_dict(),
       random=random.bit_generator.state, torch=torch.get_rng_state())
  model.half().save_pretrained(arguments.out)
  for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(os.path.join(arguments.model, name), arguments.out)
  with open(os.path.join(arguments.out, "training_curve.jsonl"), "w") as file:
    for row in curve:
      file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
  main()
