#!/usr/bin/env python3
"""Writes granite_*.golden.json: what HF transformers computes for the tiny models of these tests.

The weights are not stored: the tests and this script draw them by the same rule (`draw`, and Draw in make_tiny_model.cc)
from the tensor's name, so only configs and goldens are committed. The tensor names and shapes here are those that
transformers itself writes. The format is that of `braid model verify`.

Usage: python make_goldens.py      (needs torch, transformers >= 5, safetensors, numpy)
"""
import json
import os
import tempfile

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
PROMPT, DECODE = 90, 12
M64 = (1 << 64) - 1


def uniform(name, count, low, high):
    h = 0xCBF29CE484222325  # FNV-1a
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & M64
    x = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(h)  # splitmix64
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    unit = (x >> np.uint64(40)).astype(np.float64) / 2.0**24
    return (low + unit * (high - low)).astype(np.float32)


def draw(name, shape):
    count = int(np.prod(shape))
    if name.endswith("A_log"):
        low, high = -1.0, 1.75
    elif name.endswith("dt_bias"):
        low, high = -4.5, -0.25
    elif name.endswith(".D"):
        low, high = 0.25, 1.75
    elif "norm" in name:
        low, high = 0.5, 1.5
    elif name.endswith("bias"):
        low, high = -0.5, 0.5
    elif "conv1d" in name:
        low, high = -1.0, 1.0
    elif "embed_tokens" in name or "lm_head" in name:
        low, high = -0.5, 0.5
    else:
        high = 2.0 / np.sqrt(float(shape[-1]))
        low = -high
    return uniform(name, count, low, high).reshape(shape)


def top(row, k):
    values, ids = torch.topk(row, k)
    return [[int(i), round(float(v), 5)] for v, i in zip(values, ids)]


def make(name):
    raw = json.load(open(os.path.join(HERE, name + ".config.json")))
    spelling = {"mamba": "linear_attention", "attention": "full_attention"}
    config = dict(raw, layer_types=[spelling.get(t, t) for t in raw["layer_types"]])
    config.pop("time_step_limit", None)  # infinity is the default
    cls = transformers.GraniteMoeHybridForCausalLM
    with tempfile.TemporaryDirectory() as d:
        cls(transformers.GraniteMoeHybridConfig(**config)).save_pretrained(d)
        path = os.path.join(d, "model.safetensors")
        with safe_open(path, "np") as f:
            shapes = {k: f.get_slice(k).get_shape() for k in f.keys()}
        save_file({k: draw(k, s) for k, s in shapes.items()}, path, metadata={"format": "pt"})
        model = cls.from_pretrained(d, dtype=torch.float32, attn_implementation="eager").eval()
    ids = [1] + [int(6 + v) for v in (uniform("prompt", PROMPT - 1, 0, 256))]
    with torch.no_grad():
        out = model(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        full = out.logits[0]
        decoded, steps, tokens = [], [], list(ids)
        for _ in range(DECODE):  # without a cache: the plainest decoding there is
            row = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
            steps.append(top(row, 5))
            decoded.append(int(row.argmax()))
            tokens.append(decoded[-1])
    margin = min(s[0][1] - s[1][1] for s in steps)
    print(name, "std %.2f" % full.std(), "greedy margin %.3f" % margin, "decoded", decoded)
    assert margin > 0.01
    golden = {
        "source": "transformers %s, float32" % transformers.__version__, "tolerance": 1e-3,
        "parameters": sum(p.numel() for p in model.parameters()), "prompt_ids": ids,
        "prefill_top5": [top(row, 2) for row in full], "prefill_top20_last": [top(full[-1], 20)],
        "layer_out_last_pos": [[round(float(v), 5) for v in h[0, -1]] for h in out.hidden_states[1:-1]],
        "decode_ids": decoded, "decode_top20": steps,
    }
    with open(os.path.join(HERE, name + ".golden.json"), "w") as f:
        json.dump(golden, f, separators=(",", ":"))
        f.write("\n")


for model_name in ("granite_moe", "granite_rope"):
    make(model_name)
