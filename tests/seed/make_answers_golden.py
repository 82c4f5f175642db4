#!/usr/bin/env python3
"""Writes data/answers_golden.jsonl: what Hugging Face's implementation answers to
data/questions.jsonl, with the weights that export.py wrote, in f32.

  python3 make_answers_golden.py MODEL data/questions.jsonl > data/answers_golden.jsonl

MODEL is the directory before `braid model quantize`."""
import json
import pathlib
import sys

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "generation" / "seed"))
from check import prompt_text  # noqa: E402


@torch.no_grad()
def main():
  transformers.logging.set_verbosity_error()
  tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
  model = transformers.AutoModelForCausalLM.from_pretrained(
      sys.argv[1], dtype=torch.float32).eval()
  with open(sys.argv[2], encoding="utf-8") as questions:
    for row in map(json.loads, questions):
      passages = [(p["title"], p["text"].split("\n")) for p in row["passages"]]
      text = tokenizer.apply_chat_template(
          [{"role": "user", "content": prompt_text(passages, row["question"])}],
          tokenize=False, add_generation_prompt=True)
      prompt = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
      ids = model.generate(prompt, do_sample=False, max_new_tokens=32)[0, prompt.shape[1]:]
      print(json.dumps({"answer": tokenizer.decode(ids, skip_special_tokens=True).strip()}))


if __name__ == "__main__":
  main()
