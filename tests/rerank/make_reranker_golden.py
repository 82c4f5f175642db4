#!/usr/bin/env python3
"""Logits of the reranker as transformers computes them, in f32.

    make_reranker_golden.py MODEL tests/seed/data/questions.jsonl > data/logits_golden.jsonl

MODEL is what average.py wrote: the weights before they were quantised.
"""

import json
import sys

import torch
import transformers


def main():
  model = transformers.AutoModelForSequenceClassification.from_pretrained(
      sys.argv[1], dtype=torch.float32).eval()
  tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
  for line in open(sys.argv[2], encoding="utf-8"):
    question = json.loads(line)
    texts = [f"{p['title']}. {p['text']}" for p in question["passages"]]
    pairs = tokenizer([question["question"]] * len(texts), texts, padding=True,
                      return_tensors="pt")
    with torch.no_grad():
      logits = model(**pairs).logits.flatten().tolist()
    print(json.dumps({"logits": [round(logit, 4) for logit in logits]}))


if __name__ == "__main__":
  main()
