#!/usr/bin/env python3
"""Trains the reranker from the text encoder.

    train.py MODEL GROUPS.npz OUT [--kinds K,K] [--share S] [--minutes N] [--steps N]
             [--keep STEP] [--resume]

MODEL is the encoder's HF directory (all-MiniLM-L6-v2), from whose weights the
cross-encoder starts with a new pooler and classifier, or the OUT of another run.
A group is a query with its passage and some of its hard negatives. What is
trained is the sum that ranks in use: the logit plus a share of the fused score,
so that the cross-encoder learns what the search does not know already. The loss
is the cross-entropy of the right passage's sum among the group's (localized
contrastive estimation: Gao, Dai and Callan, "Rethink Training of BERT Rerankers
in Multi-Stage Retrieval Pipeline", 2021, section 3), plus the mean binary
cross-entropy of the sums, so that they say something by themselves: a question
without any right passage has only negative ones. Every other group that has one
holds its own passage without the answer among the negatives (see prepare.py).

OUT is an HF directory that `braid --reranker OUT` takes. The run is written
to OUT.state.pt every few minutes with all that is needed to go on exactly where it
stopped (--resume): weights, optimizer, schedule and the state of every random
number. The schedule is over steps, whatever the time. With --keep, OUT-STEP is the
model as it was after that step (see average.py).
"""

import argparse
import copy
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
  """Token ids of queries and passages, and which belong together."""

  def __init__(self, path, kinds, negatives):
    data = numpy.load(path)
    self.data = {name: data[name] for name in data.files}
    self.negatives = negatives
    names = [str(name) for name in self.data["kinds"]]
    wanted = [names.index(kind) for kind in kinds] if kinds else range(len(names))
    self.numbers = numpy.flatnonzero(numpy.isin(self.data["kind"], list(wanted)))

  def tokens(self, text):
    begin, end = self.data["text_offsets"][text:text + 2]
    return self.data["text_ids"][begin:end].astype(numpy.int64)

  def pairs(self, group, random):
    """[(query, passage, fused score)], the right one first."""
    data = self.data
    query = self.tokens(data["query"][group])
    right = data["fused"][group][0]
    pairs = [(query, self.tokens(data["positive"][group]), right)]
    for place in random.choice(data["negatives"].shape[1], self.negatives,
                               replace=False):
      pairs.append((query, self.tokens(data["negatives"][group][place]),
                    data["fused"][group][1 + place]))
    if data["unanswering"][group] >= 0 and random.integers(2):
      pairs[1] = (query, self.tokens(data["unanswering"][group]), right)
    return pairs

  def batches(self, groups, random, arguments, device):
    """The groups' pairs as model inputs, those of like length together.

    Yields the pairs' numbers (in the order of the groups) with their inputs and
    fused scores.
    """
    pairs, fused = [], []
    for group in groups:
      for query, text, score in self.pairs(group, random):
        pairs.append((query, text[:arguments.max_tokens - 3 - len(query)]))
        fused.append(score)
    fused = numpy.array(fused, numpy.float32)
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
      }, torch.from_numpy(fused[rows]).to(device)


def sums_of(model, groups, chosen, random, arguments, device):
  """[groups, 1 + negatives] f32, the right pair's first."""
  rows, sums = [], []
  for numbers, inputs, fused in groups.batches(chosen, random, arguments, device):
    with torch.autocast(device.type, torch.bfloat16):
      logits = model(**inputs).logits.float().flatten()
    # Half of the best possible score says neither yes nor no.
    sums.append(logits + arguments.share * (fused - 0.5))
    rows.append(torch.from_numpy(numbers))
  order = torch.argsort(torch.cat(rows)).to(device)
  return torch.cat(sums)[order].view(len(chosen), -1)


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
    sums = sums_of(model, groups, part, random, arguments, device)
    ranks += (1 + (sums[:, 1:] >= sums[:, :1]).sum(1)).tolist()
  model.train()
  ranks = numpy.array(ranks)
  kinds = groups.data["kind"][held_out]
  return {"accuracy": float((ranks == 1).mean()), "mrr": float((1 / ranks).mean()),
          "accuracy_by_kind": {
              str(groups.data["kinds"][kind]): round(float((ranks[kinds == kind] == 1)
                                                           .mean()), 3)
              for kind in sorted(set(kinds))}}


def export(model, source, out):
  """An HF directory in f16, with the tokenizer of `source`."""
  copy.deepcopy(model).half().save_pretrained(out)
  for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(os.path.join(source, name), out)


def save(path, **parts):
  torch.save(parts, path + ".tmp")
  os.replace(path + ".tmp", path)


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("model")
  parser.add_argument("data")
  parser.add_argument("out")
  parser.add_argument("--kinds", type=lambda text: text.split(","), default=[],
                      help="of queries (prepare.py's COUNTS); all of them")
  parser.add_argument("--share", type=float, default=12.0, help="of the fused score")
  parser.add_argument("--minutes", type=float, default=1e9)
  parser.add_argument("--steps", type=int, default=1000)
  parser.add_argument("--groups", type=int, default=12, help="per step")
  parser.add_argument("--negatives", type=int, default=4, help="per group")
  parser.add_argument("--rows", type=int, default=15, help="pairs at a time")
  parser.add_argument("--rate", type=float, default=1e-4)
  parser.add_argument("--max-tokens", type=int, default=256)
  parser.add_argument("--hold-out", type=int, default=240,
                      help="groups that are not trained on")
  parser.add_argument("--keep", type=int, default=0, metavar="STEP")
  parser.add_argument("--save-every", type=float, default=120, help="seconds")
  parser.add_argument("--resume", action="store_true")
  arguments = parser.parse_args()

  device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
  torch.manual_seed(SEED)
  random = numpy.random.default_rng(SEED)
  groups = Groups(arguments.data, arguments.kinds, arguments.negatives)
  order = numpy.random.default_rng(SEED).permutation(groups.numbers)
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
    sums = sums_of(model, groups, batch, random, arguments, device)
    right = torch.zeros_like(sums)
    right[:, 0] = 1
    loss = (torch.nn.functional.cross_entropy(sums, right) +
            torch.nn.functional.binary_cross_entropy_with_logits(sums, right))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    step += 1
    if step == arguments.keep:
      export(model, arguments.model, f"{os.path.normpath(arguments.out)}-{step}")
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
  export(model, arguments.model, arguments.out)
  with open(os.path.join(arguments.out, "training_curve.jsonl"), "w") as file:
    for row in curve:
      file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
  main()
