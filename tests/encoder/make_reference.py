#!/usr/bin/env python3
"""Reference token ids and vectors of a text encoder, by sentence-transformers.

  make_reference.py --model DIR --texts TEXTS.json --out REFERENCE.jsonl
  make_reference.py --model DIR --sample DATA --count 1000 --out REFERENCE.jsonl

--texts takes a JSON list of strings; data/texts.json, written for this test,
makes data/reference.jsonl. --sample draws passages of many lengths from
evaluation sets in the BEIR layout and from plain texts under DATA, always the
same ones for the same data.

Writes one JSON object a line: first {"model", "versions"}, then for each text
{"text", "ids", "vector"}: ids as the model gets them, vector as base64 of
little-endian f16. Each text is encoded alone, in f32, so no padding is involved.

Made with torch 2.15.0, transformers 5.x and sentence-transformers 5.x on a CPU;
the exact versions are in the first line of the output.
"""
import argparse
import base64
import gzip
import json
import os
import pathlib
import random

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import sentence_transformers
import tokenizers
import torch
import transformers

# Texts with these spelled out are left out: transformers reads them as control
# tokens, Braid on purpose as plain text.
CONTROL = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")


def passages(data, name):
    with gzip.open(data / name / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            title = row.get("title", "")
            yield f"{title}. {row['text']}" if title else row["text"]


def sample(data, count):
    """A fifth from each of four sets, the rest cut out of long texts at every length."""
    rng = random.Random(20)
    texts = []
    for name in ("squad", "multihop", "techdocs", "scifact"):
        texts += rng.sample(list(passages(data, name)), count // 5)
    books = []
    for path in sorted((data / "longtext").glob("*.txt.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            books.append(file.read())
    while len(texts) < count:
        book = rng.choice(books)
        length = rng.choice((1, 2, 5, 10, 50, 200, 1000, 2000))
        start = rng.randrange(len(book) - length)
        texts.append(book[start : start + length])
    return [text for text in texts if not any(word in text for word in CONTROL)]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--model", required=True, help="directory in the sentence-transformers layout")
    source = args.add_mutually_exclusive_group(required=True)
    source.add_argument("--texts", type=pathlib.Path, help="JSON list of strings")
    source.add_argument("--sample", type=pathlib.Path, help="folder of evaluation sets")
    args.add_argument("--count", type=int, default=1000)
    args.add_argument("--out", required=True, type=pathlib.Path)
    args = args.parse_args()

    model = sentence_transformers.SentenceTransformer(args.model, device="cpu")
    if args.texts:
        texts = json.loads(args.texts.read_text(encoding="utf-8"))
    else:
        texts = sample(args.sample, args.count)
    header = {
        "model": pathlib.Path(args.model).name,
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, tokenizers, sentence_transformers)},
    }
    with args.out.open("w", encoding="ascii") as out:
        out.write(json.dumps(header) + "\n")
        for text in texts:
            ids = model.tokenize([text])["input_ids"][0].tolist()
            vector = model.encode([text], batch_size=1, normalize_embeddings=True, show_progress_bar=False)[0]
            encoded = base64.b64encode(vector.astype("<f2").tobytes()).decode()
            out.write(json.dumps({"text": text, "ids": ids, "vector": encoded}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
