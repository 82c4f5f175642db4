#!/usr/bin/env python3
"""Trains the model.

    train.py CONFIG DATA OUT [--scale S] [--minutes N] [--stop-at STEP]
    train.py OUT/recipe.json DATA OUT --resume [--minutes N] [--stop-at STEP]

CONFIG is one of configs/, DATA what tokens.py wrote. OUT holds state.safetensors
(all that is needed to go on), curve.jsonl, and recipe.json: the CONFIG with S times
the tokens in every phase. After --minutes, counted from the start of the program,
the state is written and the run ends; --resume goes on with it at the next step. A
step's rows are a function of the seed and the step's number alone, so on one machine
the stopped run and the whole run are the same; on a CPU, bit for bit.

The rate warms up, stays, and falls linearly over the last part of the tokens
(warmup-stable-decay). CONFIG says whether products are taken in bf16 and whether the
model is compiled.
"""

import argparse
import json
import os
import time

import numpy
import torch

import initial
import state
from model import Config, Seed, WeightedCrossEntropy, sizes
from optimizer import Optimizer
from prompt import ANSWER, QUESTION, TEXT
from reading import Reader, Rows
from store import Store

CLIP = 1.0


class Plan:
  """What each step does."""

  def __init__(self, config):
    self.phases = config["phases"]
    self.batch = config["batch_tokens"]
    self.rate = config["rate"]
    # (phase, step in the phase, length of its rows) of every step
    self.steps = []
    for index, phase in enumerate(self.phases):
      for i in range(phase["tokens"] // self.batch):
        lengths = phase["lengths"]
        self.steps.append((index, i, lengths[i % len(lengths)]))
    self.warm_up = max(1, round(config["warmup_share"] * len(self.steps)))
    self.decay = max(1, round(config["decay_share"] * len(self.steps)))

  def rate_at(self, step, rewarm_from):
    shares = [1, (step + 1) / self.warm_up, (len(self.steps) - step) / self.decay]
    if rewarm_from is not None:
      shares.append((step - rewarm_from + 1) / state.REWARM_STEPS)
    return self.rate * min(shares)


class Batches(torch.utils.data.Dataset):
  """Item i: (tokens, segments, weights, kinds, sources) of step i."""

  def __init__(self, plan, rows):
    self.plan, self.rows = plan, rows

  def __len__(self):
    return len(self.plan.steps)

  def __getitem__(self, step):
    index, place, length = self.plan.steps[step]
    phase = self.plan.phases[index]
    rows = [self.rows.row(index, place, i, length, phase["mixture"])
            for i in range(max(1, self.plan.batch // length))]
    *rows, pairs = zip(*rows)
    tokens, kinds, segments = map(numpy.stack, rows)
    # [(row, place that an answer begins behind, where a passage holds it)]
    sources = numpy.array([(row, *pair) for row, found in enumerate(pairs)
                           for pair in found], numpy.int64).reshape(-1, 3)
    weight_of = numpy.zeros(4, numpy.float32)
    for kind, name in ((TEXT, "text"), (QUESTION, "question"), (ANSWER, "answer")):
      weight_of[kind] = phase["weights"][name]
    weights = weight_of[kinds[:, 1:]] * (segments[:, 1:] == segments[:, :-1])
    # An answer's first token is the one that has to be looked for.
    weights[(kinds[:, 1:] == ANSWER) & (kinds[:, :-1] != ANSWER)] *= (
        phase["weights"]["first"])
    # The head is half of the work, and most tokens are no answer: of those a sample.
    share = phase["text_share"]
    taken = numpy.random.default_rng([self.rows.seed, step]).random(weights.shape)
    weights *= numpy.where(kinds[:, 1:] == ANSWER, 1,
                           (taken < share) / numpy.float32(share))
    return tokens, segments[:, :-1].copy(), weights, kinds[:, 1:].copy(), sources


def pointing_loss(model, segments, sources):
  """Minus the logarithm of the attention on what is to be answered, summed.

  The last head of the last attention layer is told where to look: an answer's first
  token is what the passage holds there. `sources` [n, 3] as Batches makes them.
  """
  asking, number = sources[:, :2].unique(dim=0, return_inverse=True)
  looks = model.pointing(asking[:, 0], asking[:, 1], segments)
  right = torch.zeros(looks.shape, dtype=torch.bool, device=looks.device)
  right[number, sources[:, 2]] = True
  return -looks.where(right, -torch.inf).logsumexp(-1).sum(), len(asking)


def train_step(model, batch, device, micro_tokens, recipe, precision):
  """Gradients of one step.

  Returns the mean losses of text, of answers, and of where answers are looked for.
  """
  tokens, segments, weights, kinds, sources = map(torch.from_numpy, batch)
  total = weights.sum().item()
  length = segments.shape[1]
  rows = max(1, micro_tokens // length)
  count = -(-len(tokens) // rows)
  answers = max(1, len(sources[:, :2].unique(dim=0)))
  sums = torch.zeros(3, 2, device=device)
  for begin in range(0, len(tokens), rows):
    part = slice(begin, begin + rows)
    ids = tokens[part].to(device, non_blocking=True)
    weight = (weights[part] / total).to(device).flatten()
    counted = weight.nonzero()[:, 0]
    weight = weight[counted]
    inside = segments[part].to(device)
    there = (sources[:, 0] >= begin) & (sources[:, 0] < begin + rows)
    found = sources[there].to(device)
    pointing = 0
    with torch.autocast(device.type, precision,
                        enabled=precision != torch.float32):
      hidden, balance = model.model(ids[:, :-1], inside, False)
      if len(found):
        found[:, 0] -= begin
        pointing, asked = pointing_loss(model.model, inside, found)
        sums[2, 0] += pointing.detach()
        sums[2, 1] += asked
    loss, each = WeightedCrossEntropy.apply(
        hidden.flatten(0, 1)[counted], model.model.embed_tokens.weight,
        ids[:, 1:].flatten()[counted], weight, model.config.logits_scaling, precision)
    (loss + recipe["balance_share"] * balance / count +
     recipe["pointing_share"] * pointing / answers).backward()
    kind = kinds[part].to(device).flatten()[counted]
    for i, which in enumerate((TEXT, ANSWER)):
      chosen = (kind == which).float()
      sums[i, 0] += (each * chosen).sum()
      sums[i, 1] += chosen.sum()
  return sums[:, 0] / sums[:, 1].clamp(min=1)


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("config")
  parser.add_argument("data")
  parser.add_argument("out")
  parser.add_argument("--scale", type=float, default=1, help="of the phases' tokens")
  parser.add_argument("--minutes", type=float, default=1e9)
  parser.add_argument("--stop-at", type=int, default=1 << 60, metavar="STEP")
  parser.add_argument("--resume", action="store_true")
  parser.add_argument("--workers", type=int,
                      default=max(0, (os.cpu_count() or 1) - 2),
                      help="processes that make rows")
  parser.add_argument("--micro-tokens", type=int, default=65536,
                      help="that fit the device's memory at once")
  arguments = parser.parse_args()
  started = time.time()

  with open(arguments.config, encoding="utf-8") as file:
    recipe = json.load(file)
  if arguments.resume and arguments.scale != 1:
    parser.error("--scale: a run keeps the schedule that it began with")
  for phase in recipe["phases"]:
    phase["tokens"] = round(phase["tokens"] * arguments.scale)
  config = Config.read(recipe["model"])
  device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
  precision = getattr(torch, recipe["precision"])
  torch.set_float32_matmul_precision("high")
  torch.manual_seed(recipe["seed"])
  model = Seed(config).to(device)
  if recipe["initial"]:
    initial.put_into(model, arguments.data)
  optimizer = Optimizer(model, config, recipe["weight_decay"])
  plan = Plan(recipe)
  os.makedirs(arguments.out, exist_ok=True)
  state_path = os.path.join(arguments.out, "state.safetensors")
  curve_path = os.path.join(arguments.out, "curve.jsonl")
  progress = {"step": 0, "tokens": 0, "seconds": 0, "rewarm_from": None}
  curve = []
  if arguments.resume:
    progress |= state.read(state_path, model, optimizer)
    with open(curve_path) as file:
      curve = [row for row in map(json.loads, file) if row["step"] <= progress["step"]]
  with open(os.path.join(arguments.out, "recipe.json"), "w") as file:
    json.dump(recipe, file, indent=1)
  with open(curve_path, "w") as file:
    file.writelines(json.dumps(row) + "\n" for row in curve)

  total, active = sizes(config)
  store = Store(arguments.data, recipe["sources"])
  print(json.dumps({
      "parameters": total, "active": active, "device": str(device),
      "steps": len(plan.steps), "from": progress["step"],
      "passages": len(store.passages), "questions": len(store.questions),
      "prepared_seconds": round(time.time() - started, 1)}), flush=True)
  begin, last = progress["step"], min(len(plan.steps), arguments.stop_at)
  batches = torch.utils.data.DataLoader(
      Batches(plan, Rows(Reader(store), recipe["seed"])), batch_size=None,
      sampler=range(begin, last), num_workers=arguments.workers,
      prefetch_factor=3 if arguments.workers else None, collate_fn=lambda item: item)
  if recipe["compile"]:
    # Layers of one kind share their code: one compilation for each kind and length.
    torch._dynamo.config.recompile_limit = 64
    for layer in model.model.layers:
      layer.compile(dynamic=False)

  before, shown = progress["seconds"], (time.time(), progress["tokens"])
  losses = torch.zeros(3, device=device)
  since = 0
  with open(curve_path, "a") as curve_file:
    for step, batch in zip(range(begin, last), batches):
      losses += train_step(model, batch, device, arguments.micro_tokens, recipe,
                           precision)
      norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
      rate = plan.rate_at(step, progress["rewarm_from"])
      optimizer.step(rate)
      since += 1
      progress["step"] = step + 1
      progress["tokens"] += batch[1].size
      spent = time.time() - started
      progress["seconds"] = before + spent
      ends = step + 1 == last or spent > arguments.minutes * 60
      if (step + 1) % recipe["report_every"] == 0 or ends:
        text, answer, pointing = (losses / since).tolist()
        row = {"step": step + 1, "tokens": progress["tokens"],
               "phase": plan.phases[plan.steps[step][0]]["name"],
               "text_loss": round(text, 4), "answer_loss": round(answer, 4),
               "pointing_loss": round(pointing, 4),
               "norm": round(float(norm), 3), "rate": round(rate, 7),
               "tokens_per_second": round((progress["tokens"] - shown[1]) /
                                          (time.time() - shown[0])),
               "seconds": round(progress["seconds"], 1)}
        shown, since = (time.time(), progress["tokens"]), 0
        losses.zero_()
        curve_file.write(json.dumps(row) + "\n")
        curve_file.flush()
        print(json.dumps(row), flush=True)
      if ends:
        break
  state.write(state_path, model, optimizer, progress)
  print(json.dumps({"done": progress["step"] == len(plan.steps),
                    **progress}), flush=True)


if __name__ == "__main__":
  main()
