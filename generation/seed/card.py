#!/usr/bin/env python3
"""Writes the model card from what was measured.

    card.py RUN CORPUS DATA RESULTS.json MODEL --device "one H100"

RUN is train.py's OUT, CORPUS what corpus.py wrote, DATA what tokens.py wrote,
RESULTS.json what evaluate.py wrote for MODEL. Every figure of MODEL/README.md comes
from these files; one that is missing is an error.
"""

import argparse
import json
import os
import string

from model import Config, sizes
from prompt import ABSTENTION

CURVE_ROWS = 12


def read_json(*path):
  with open(os.path.join(*path), encoding="utf-8") as file:
    return json.load(file)


def table(rows):
  clean = lambda cell: str(cell).replace("|", "\\|").replace("\n", " ")
  return "\n".join("| " + " | ".join(map(clean, row)) + " |" for row in rows)


def millions(count):
  return f"{count / 1e6:.1f} M"


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("run")
  parser.add_argument("corpus")
  parser.add_argument("data")
  parser.add_argument("results")
  parser.add_argument("model")
  parser.add_argument("--device", required=True, help="what it was trained on")
  arguments = parser.parse_args()

  recipe = read_json(arguments.run, "recipe.json")
  config = Config.read(recipe["model"])
  with open(os.path.join(arguments.run, "curve.jsonl")) as file:
    curve = [json.loads(line) for line in file]
  corpus = read_json(arguments.corpus, "sources.json")
  tables = read_json(arguments.data, "tables.json")
  results = read_json(arguments.results)
  reading = results["reading"]
  total, active = sizes(config)
  attention = [i for i, kind in enumerate(config.layer_types) if kind == "attention"]
  shown = [curve[round(i * (len(curve) - 1) / (CURVE_ROWS - 1))]
           for i in range(CURVE_ROWS)] if len(curve) > CURVE_ROWS else curve
  fields = {
      "abstention": ABSTENTION,
      "layers": len(config.layer_types),
      "last_layer": len(config.layer_types) - 1,
      "mamba_layers": len(config.layer_types) - len(attention),
      "attention_layers": len(attention),
      "attention_places": ", ".join(map(str, attention)),
      "experts": config.num_local_experts, "chosen": config.num_experts_per_tok,
      "width": config.hidden_size, "state": config.mamba_d_state,
      "heads": config.mamba_n_heads, "vocabulary": config.vocab_size,
      "parameters": millions(total), "active": millions(active),
      "text_tokens": millions(sum(s["tokens"] for s in tables["sources"])),
      "questions": len(tables["question_lines"]),
      "sources": table([s["source"], s["version"] or "", s["licence"], s["documents"],
                        s["characters"]] for s in corpus["sources"]),
      "trained_tokens": millions(curve[-1]["tokens"]),
      "hours": f"{curve[-1]['seconds'] / 3600:.2f}", "device": arguments.device,
      "speed": curve[-1]["tokens_per_second"], "seed": recipe["seed"],
      "phases": table([p["name"], ", ".join(map(str, sorted(set(p["lengths"])))),
                       millions(p["tokens"]),
                       ", ".join(f"{n} {s}" for n, s in p["mixture"].items())]
                      for p in recipe["phases"]),
      "curve": table([millions(r["tokens"]), r["phase"], r["text_loss"],
                      r["answer_loss"]] for r in shown),
      "asked": reading["questions"],
      "computed_by": results["computed_by"],
      "recall": table([r["tokens"], r["tries"], r["needle"], r["key_value"]]
                      for r in results["recall"]),
      "examples": table([e["question"], e["gold"], e["answer"]]
                        for e in reading["examples"]),
      "longest": max(n for p in recipe["phases"] for n in p["lengths"]),
  }
  for part in ("alone", "among", "abstention"):
    fields |= {f"{part}_{name}": value for name, value in reading[part].items()}
  with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                         "model_card.md"), encoding="utf-8") as file:
    text = string.Template(file.read()).substitute(fields)
  with open(os.path.join(arguments.model, "README.md"), "w", encoding="utf-8") as file:
    file.write(text)


if __name__ == "__main__":
  main()
