#!/usr/bin/env python3
"""Writes what was trained as a Hugging Face directory.

    export.py RUN DATA MODEL [--type bfloat16|float32]

RUN is train.py's OUT, DATA is what tokens.py wrote (for the tokenizer and the chat
template). `braid model quantize MODEL OUT --weights int8` makes it small.
"""

import argparse
import json
import os
import shutil

import torch
from safetensors.torch import save_file

import state
from model import Config, sizes
from tokens import END, PAD


def export(run, data, folder, dtype):
  with open(os.path.join(run, "recipe.json"), encoding="utf-8") as file:
    config = Config.read(json.load(file)["model"])
  os.makedirs(folder, exist_ok=True)
  weights = state.read_weights(os.path.join(run, "state.safetensors"))
  save_file({name: weight.to(dtype).contiguous() for name, weight in weights.items()},
            os.path.join(folder, "model.safetensors"), {"format": "pt"})
  fields = config.hub() | {
      "dtype": str(dtype).removeprefix("torch."), "pad_token_id": PAD,
      "bos_token_id": END, "eos_token_id": END}
  with open(os.path.join(folder, "config.json"), "w") as file:
    json.dump(fields, file, indent=1)
  with open(os.path.join(folder, "generation_config.json"), "w") as file:
    json.dump({"do_sample": False, "pad_token_id": PAD, "bos_token_id": END,
               "eos_token_id": END, "max_new_tokens": 64}, file, indent=1)
  for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
    shutil.copy(os.path.join(data, "tokenizer", name), folder)
  return sizes(config)


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("run")
  parser.add_argument("data")
  parser.add_argument("model")
  parser.add_argument("--type", choices=["bfloat16", "float32"], default="bfloat16")
  arguments = parser.parse_args()
  total, active = export(arguments.run, arguments.data, arguments.model,
                         getattr(torch, arguments.type))
  print(f"{total} parameters, {active} of them for a token")


if __name__ == "__main__":
  main()
