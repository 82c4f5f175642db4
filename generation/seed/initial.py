#!/usr/bin/env python3
"""What a model knows before training begins.

    initial.py BERT DATA

Some million tokens of text teach a small model to read only where it need not find
out first which words go together, and how to look for a word that it has seen before.
Both are put into its first weights:

Words. Embeddings begin as those of an encoder. BERT is a Hugging Face directory with
WordPieces (Braid's default encoder, all-MiniLM-L6-v2, Apache 2.0), DATA what tokens.py
wrote, where vectors.safetensors is put. A token begins as the mean of the pieces that
its text is made of, turned to their principal components, as many as the model is
wide.

Copying. An induction head (Olsson et al., "In-context learning and induction heads",
2022) finds where the present token stood before and says what came next. A random
start learns it late; one that is near it, at once (Trockman and Kolter, "Mimetic
initialization of self-attention layers", 2023, and Trockman et al., "Mimetic
initialization helps state space models learn to recall", 2024). So the first Mamba
layer begins by writing the token before, and the second one the last tokens together,
each turned by a rotation of its own. In every attention layer the first half of the
heads looks for what came behind the present token before; in all but the last layer the
other half looks for words like the last ones here. What they find they pass on.
"""

import math
import os
import sys

import torch
from safetensors.torch import load_file, save_file
from tokenizers import BertWordPieceTokenizer

from model import EMBEDDING_RMS, SHARP
from store import Vocabulary

FILE = "vectors.safetensors"
LOUD = 4.0  # how loud the first layers write
PASSED = 3.0  # how loud attention passes on what it found
CONSTANT = 3.0  # the entry that all embeddings share, in units of the others
WINDOW = 8.0  # tokens after which a bag has forgotten two thirds


def put_words(model, folder):
  """`folder`: DATA. Special tokens keep what they have."""
  embedding = model.model.embed_tokens.weight
  vectors = load_file(os.path.join(folder, FILE))["vectors"].double()
  known = vectors.square().sum(-1) > 0
  centred = vectors[known] - vectors[known].mean(0)
  values, directions = torch.linalg.eigh(centred.t() @ centred)
  largest = values.argsort(descending=True)[:embedding.shape[1] - 1]
  chosen = centred @ directions[:, largest]
  chosen *= EMBEDDING_RMS / chosen.square().mean().sqrt()
  known = known.to(embedding.device)
  # A quarter of what was there: tokens of one text, but for case, are not one.
  embedding[known, 1:] = chosen.to(embedding) + embedding[known, 1:] / 4


def rotation(size):
  """Of all entries but the constant one, which it takes away."""
  turned = torch.zeros(size, size)
  turned[1:, 1:] = torch.linalg.qr(torch.randn(size - 1, size - 1)).Q
  return turned


def write(mamba, turned, current):
  """The layer writes its input, or the one before it, turned."""
  inner = mamba.config.inner
  mixing = rotation(turned.shape[0])
  # silu(z) - silu(-z) = z: two channels pass a value on as it is.
  mamba.in_proj.weight[inner:2 * inner] = torch.cat([mixing, -mixing])
  mamba.conv1d.weight[:inner] = 0
  mamba.conv1d.weight[:inner, 0, -1 if current else -2] = 1
  mamba.conv1d.bias[:inner] = 0
  # All gates open alike, by the constant entry.
  mamba.in_proj.weight[:inner] *= 0.1
  mamba.in_proj.weight[:inner, 0] = 1
  mamba.out_proj.weight.copy_(LOUD * turned @ torch.cat([mixing, -mixing]).t())


def gather(mamba, turned):
  """The layer writes the last tokens together, older ones more softly."""
  config = mamba.config
  write(mamba, turned, current=True)
  # B and C are constants with B C' = 1.
  keys = slice(config.inner, config.inner + 2 * config.mamba_d_state)
  mamba.in_proj.weight[2 * config.inner:] *= 0.1
  mamba.conv1d.weight[keys] *= 0.1
  target, bias = config.mamba_d_state ** -0.5, 0.2
  for _ in range(50):
    bias *= target / (bias / (1 + math.exp(-bias)))
  mamba.conv1d.bias[keys] = bias
  mamba.A_log.fill_(0)
  mamba.dt_bias.fill_(math.log(math.expm1(1 / WINDOW)))
  mamba.D.fill_(0)


def put_copying(model):
  config = model.config
  width = config.hidden_size
  if config.inner != 2 * width:
    raise ValueError("copying needs Mamba layers twice as wide as the model")
  model.model.embed_tokens.weight[:, 0] = CONSTANT * EMBEDDING_RMS
  before, around = rotation(width), rotation(width)
  mambas = [layer.mamba for layer in model.model.layers if layer.is_mamba]
  write(mambas[0], before, current=False)
  gather(mambas[1], around)
  attentions = [layer.self_attn for layer in model.model.layers if not layer.is_mamba]
  for attention in attentions:
    group = attention.heads // attention.kv_heads
    rows = width // attention.heads
    compared, found = rotation(width), rotation(width)
    for head in range(attention.kv_heads):
      copies = head < (attention.kv_heads + 1) // 2
      part = slice(head * rows, (head + 1) * rows)
      # Of the queries that share these keys the first; the others stay random.
      first = slice(head * group * rows, (head * group + 1) * rows)
      attention.v_proj.weight[part] = found[part]
      attention.o_proj.weight[:, first] = PASSED * found[part].t()
      if not copies and attention is attentions[-1]:
        continue  # train.py tells it where to look
      looking = SHARP * compared[part]
      attention.k_proj.weight[part] = looking @ before.t() if copies else looking
      attention.q_proj.weight[first] = looking if copies else looking @ around.t()


@torch.no_grad()
def put_into(model, folder):
  put_words(model, folder)
  put_copying(model)


def main():
  if len(sys.argv) != 3:
    sys.exit(__doc__)
  bert, folder = sys.argv[1:]
  weights = load_file(os.path.join(bert, "model.safetensors"))
  table = next(weight for name, weight in weights.items()
               if name.endswith("embeddings.word_embeddings.weight")).float()
  pieces = BertWordPieceTokenizer(os.path.join(bert, "vocab.txt"), lowercase=True)
  unknown = pieces.token_to_id("[UNK]")
  tokenizer = Vocabulary.from_folder(os.path.join(folder, "tokenizer")).tokenizer
  vectors = torch.zeros(tokenizer.get_vocab_size(), table.shape[1])
  count = 0
  for token in range(len(vectors)):
    text = tokenizer.decode([token])
    inside = pieces.token_to_id("##" + text.lower())  # of a word
    ids = ([inside] if inside is not None and not text.startswith(" ") and
           text.isalpha() else pieces.encode(text, add_special_tokens=False).ids)
    ids = [i for i in ids if i != unknown]
    if ids:
      vectors[token] = table[ids].mean(0)
      count += 1
  save_file({"vectors": vectors.half()}, os.path.join(folder, FILE))
  print(f"{count} of {len(vectors)} tokens")


if __name__ == "__main__":
  main()
