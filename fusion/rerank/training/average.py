#!/usr/bin/env python3
"""The mean of the weights of models of one shape, where they were between them.

    average.py MODEL MODEL [MODEL ...] OUT

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models
improves accuracy without increasing inference time", 2022: what a run learns late
of its own data costs it on others, and the mean of an early and a late point of it
keeps most of both.
"""

import os
import shutil
import sys

import torch
import transformers


def load(directory):
  return transformers.AutoModelForSequenceClassification.from_pretrained(
      directory, dtype=torch.float32)


def main():
  *sources, out = sys.argv[1:]
  if len(sources) < 2:
    sys.exit(__doc__)
  states = [load(source).state_dict() for source in sources]
  model = load(sources[0])
  model.load_state_dict({
      name: sum(state[name] for state in states) / len(states)
      if value.is_floating_point() else value
      for name, value in states[0].items()})
  model.half().save_pretrained(out)
  for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(os.path.join(sources[0], name), out)


if __name__ == "__main__":
  main()
