#!/usr/bin/env python3
"""Compares an exported model's logits: this code, transformers, and Braid.

    check.py MODEL [--braid BINARY]

Hugging Face's implementation is the reference: its logits go to MODEL/reference.json,
with which `braid model verify` compares Braid's. Prompts are compared too: put
together from tokens as in training, and encoded from the chat template's text. Exits
with 1 when something differs.
"""

import argparse
import json
import os
import subprocess
import sys

import torch
import transformers

from model import load
from prompt import Prompts
from store import Vocabulary

TOLERANCE = 2e-3  # of a logit, in f32
DECODED = 16
PASSAGES = [
    ("Lighthouses", ["The tower at Karvik was built in 1887 by Elin Aas.",
                     "It stands 41 metres high; its light reaches 19 miles."]),
    ("", ["    braid ask \"What is RRF?\"", "(see section 3.2)"]),
    ("Na\u00efve caf\u00e9s", ["\"Why not?\" she said. Don't \u2014 it's 12,345.67 \u20ac!"]),
]
QUESTION = "Who built the tower at Karvik, and when?"


def prompt_text(passages, question):
  """As GenerativeAnswerer makes it."""
  blocks = [f"[{i + 1}] {title}\n" + "\n".join(f"> {line}" for line in lines) + "\n\n"
            for i, (title, lines) in enumerate(passages)]
  return f"Question: {question}\n\n" + "".join(blocks) + f"Question: {question}"


def pairs(row, count):
  best = row.topk(count)
  return [[int(i), float(v)] for v, i in zip(best.values, best.indices)]


@torch.no_grad()
def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("model")
  parser.add_argument("--braid")
  arguments = parser.parse_args()
  folder = arguments.model
  transformers.logging.set_verbosity_error()
  failed = []

  tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
  text = tokenizer.apply_chat_template(
      [{"role": "system", "content": "Answer."},
       {"role": "user", "content": prompt_text(PASSAGES, QUESTION)}],
      tokenize=False, add_generation_prompt=True)
  prompt = tokenizer(text, add_special_tokens=False).input_ids
  put_together = Prompts(Vocabulary.from_folder(folder)).encode(PASSAGES, QUESTION)
  if prompt != put_together:
    failed.append("the prompt's tokens")
    print(f"prompt: {tokenizer.convert_ids_to_tokens(prompt)}\n"
          f"training: {tokenizer.convert_ids_to_tokens(put_together)}")

  reference = transformers.AutoModelForCausalLM.from_pretrained(
      folder, dtype=torch.float32).eval()
  ids = torch.tensor([prompt])
  seen = {}

  def remember(index):
    def hook(_, inputs, output):
      hidden = output[0] if isinstance(output, tuple) else output
      seen[index] = hidden[0, -1].float().tolist()
    return hook

  hooks = [layer.register_forward_hook(remember(i))
           for i, layer in enumerate(reference.model.layers)]
  logits = reference(ids, use_cache=False).logits[0].float()
  for hook in hooks:
    hook.remove()
  own = load(folder, "cpu")(ids)[0]
  error = (own - logits).abs().max().item()
  print(json.dumps({"own_max_abs_logit_error": error}))
  if not error <= TOLERANCE:
    failed.append("the logits of this code")

  decoded, best, after = [], [], ids
  row = logits[-1]
  for _ in range(DECODED):
    best.append(pairs(row, 20))
    decoded.append(best[-1][0][0])
    after = torch.cat([after, torch.tensor([[decoded[-1]]])], 1)
    row = reference(after, use_cache=False).logits[0, -1].float()
  last = len(prompt) - 1
  with open(os.path.join(folder, "reference.json"), "w") as file:
    json.dump({
        "tolerance": TOLERANCE, "prompt_ids": prompt, "decode_ids": decoded,
        "prefill_top5": [pairs(r, 5) for r in logits],
        "prefill_top20_last": [pairs(r, 20) for r in logits[-16:]],
        "prefill_full_positions": {str(p): logits[p].tolist() for p in (0, 63, last)},
        "layer_out_last_pos": [seen[i] for i in sorted(seen)],
        "decode_top20": best,
        "tokenizer_cases": [[text, prompt]]}, file)
  if arguments.braid:
    run = subprocess.run([arguments.braid, "model", "verify", folder, "--json"],
                         capture_output=True, text=True, check=False)
    print(run.stdout.strip() or run.stderr.strip())
    if run.returncode != 0:
      failed.append("Braid")
  if failed:
    sys.exit("differs: " + ", ".join(failed))


if __name__ == "__main__":
  main()
