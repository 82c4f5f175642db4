#!/usr/bin/env python3
"""The recipe of the default model, end to end, at the size of a toy.

    seed_test.py SOURCE BRAID

From the repository's own documents: tokens, training with and without an
interruption, packing, export, and the logits of three implementations (this
recipe's, Hugging Face's, Braid's). Exits with 77 where PyTorch, transformers,
tokenizers or safetensors is missing.
"""

import glob
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
  import numpy
  import safetensors
  import tokenizers
  import torch
  import transformers
  from safetensors.torch import load_file, save_file
except ImportError as error:
  print(f"skipped: {error}")
  sys.exit(77)

SOURCE, BRAID = sys.argv[1:3]
SEED = os.path.join(SOURCE, "generation", "seed")
CONFIG = os.path.join(SEED, "configs", "tiny.json")
STEPS, STOP = 40, 17
sys.path.insert(0, SEED)


def run(script, *arguments):
  done = subprocess.run(
      [sys.executable, os.path.join(SEED, script), *map(str, arguments)],
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
      env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"})
  if done.returncode != 0:
    raise AssertionError(f"{script} ended with {done.returncode}:\n{done.stdout}")
  return done.stdout


def write_corpus(folder):
  """The repository's Markdown, and questions for words in backquotes."""
  os.makedirs(folder)
  questions = []
  with gzip.open(os.path.join(folder, "text.jsonl.gz"), "wt") as file:
    for path in sorted(glob.glob(os.path.join(SOURCE, "**", "*.md"), recursive=True)):
      if os.path.join(SOURCE, "build") in path:
        continue
      with open(path, encoding="utf-8") as source:
        paragraphs = re.split(r"\n\s*\n", source.read())
      lines = [" ".join(p.split()) for p in paragraphs if p.strip()]
      title = os.path.relpath(path, SOURCE)
      file.write(json.dumps({"source": "docs", "title": title, "lines": lines}) + "\n")
      for line in lines:
        for word in re.findall(r"`([a-z_]+)`", line)[:2]:
          before = line[:line.index(f"`{word}`")].split()[-6:]
          questions.append({"question": " ".join([*before, "what?"]),
                            "answers": [word], "title": title, "line": line})
  with gzip.open(os.path.join(folder, "questions.jsonl.gz"), "wt") as file:
    file.writelines(json.dumps(q) + "\n" for q in questions)


class SeedTest(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    cls.folder = tempfile.TemporaryDirectory()
    root = cls.folder.name
    cls.data = os.path.join(root, "data")
    write_corpus(os.path.join(root, "corpus"))
    run("tokens.py", os.path.join(root, "corpus"), cls.data, "--vocabulary", 1024)
    # What initial.py makes of an encoder.
    vectors = torch.randn(1024, 96, generator=torch.Generator().manual_seed(1))
    vectors[:4] = 0
    save_file({"vectors": vectors.half()},
              os.path.join(cls.data, "vectors.safetensors"))
    cls.whole, cls.cut = os.path.join(root, "whole"), os.path.join(root, "cut")
    train = ("--workers", 0)
    run("train.py", CONFIG, cls.data, cls.whole, *train)
    run("train.py", CONFIG, cls.data, cls.cut, *train, "--stop-at", STOP)
    shutil.copytree(cls.cut, os.path.join(root, "moved"))
    run("train.py", CONFIG, cls.data, cls.cut, *train, "--resume")

  @classmethod
  def tearDownClass(cls):
    cls.folder.cleanup()

  def path(self, *names):
    return os.path.join(self.folder.name, *names)

  def test_loss_falls(self):
    with open(os.path.join(self.whole, "curve.jsonl")) as file:
      curve = [json.loads(line) for line in file]
    self.assertEqual(curve[-1]["step"], STEPS)
    self.assertLess(curve[-1]["text_loss"], curve[0]["text_loss"] - 0.5)
    self.assertLess(curve[-1]["answer_loss"], curve[0]["answer_loss"] - 0.5)

  def test_a_stopped_run_is_the_whole_run(self):
    whole = load_file(os.path.join(self.whole, "state.safetensors"))
    cut = load_file(os.path.join(self.cut, "state.safetensors"))
    self.assertEqual(set(whole), set(cut))
    for name, tensor in whole.items():
      self.assertTrue(torch.equal(tensor, cut[name]), name)

  def test_packed_state(self):
    moved = self.path("moved")
    path = os.path.join(moved, "state.safetensors")
    exact = load_file(path)
    run("state.py", "pack", path, self.path("parts"), "--part-mib", 0.25)
    os.remove(path)
    parts = glob.glob(self.path("parts", "part-*"))
    self.assertGreater(len(parts), 2)
    self.assertLessEqual(max(map(os.path.getsize, parts)), 1 << 18)
    run("state.py", "unpack", self.path("parts"), path)
    back = load_file(path)
    self.assertEqual(set(exact), set(back))
    for name, tensor in exact.items():
      if name.startswith("weight/"):
        error = (tensor - back[name]).norm() / tensor.norm()
        self.assertLess(error, 0.004, name)
    # It goes on, slowly at first.
    run("train.py", os.path.join(moved, "recipe.json"), self.data, moved,
        "--workers", 0, "--resume", "--stop-at", STOP + 2)
    with open(os.path.join(moved, "curve.jsonl")) as file:
      last = [json.loads(line) for line in file][-1]
    with open(CONFIG) as file:
      rate = json.load(file)["rate"]
    self.assertEqual(last["step"], STOP + 2)
    self.assertAlmostEqual(last["rate"], rate * 2 / 20, 6)
    os.remove(parts[1])
    with self.assertRaises(AssertionError):
      run("state.py", "unpack", self.path("parts"), path)

  def test_three_implementations_agree(self):
    run("export.py", self.whole, self.data, self.path("model"), "--type", "float32")
    output = run("check.py", self.path("model"), "--braid", BRAID)
    self.assertIn('"ok"', output)

  def test_copying_begins_before_training(self):
    import initial
    from model import Config, Seed
    with open(CONFIG) as file:
      config = Config.read(json.load(file)["model"])
    torch.manual_seed(3)
    length = 40
    once = 4 + torch.randperm(config.vocab_size - 4)[:length]
    tokens = torch.cat([once, once])[None]
    later = torch.arange(length, 2 * length - 1)
    shares = []

    def look(attention, inputs):
      q, k = (projection(inputs[0])[0].unflatten(-1, (heads, -1)).transpose(0, 1)
              for projection, heads in ((attention.q_proj, attention.heads),
                                        (attention.k_proj, attention.kv_heads)))
      scores = q[0] @ k[0].T * attention.scale
      seen = torch.ones_like(scores).tril().bool()
      weights = scores.where(seen, -torch.inf).softmax(-1)
      # On what came behind the same token, the first time.
      shares.append(weights[later, later - length + 1].mean().item())

    for copying in (False, True):
      model = Seed(config)
      if copying:
        initial.put_into(model, self.data)
      layer = next(l for l in model.model.layers if not l.is_mamba)
      layer.self_attn.register_forward_pre_hook(look)
      with torch.no_grad():
        model(tokens)
    self.assertLess(shares[0], 0.05)
    self.assertGreater(shares[1], 3 * shares[0])

  def test_rows_hold_whole_prompts(self):
    from prompt import ABSTENTION, ANSWER, NOTHING
    from reading import Reader, Rows
    from store import Store
    from tokens import ASSISTANT, END, USER
    store = Store(self.data, {})
    rows = Rows(Reader(store), seed=1)
    mixture = {"cloze": 1, "recall": 1, "follow": 1, "recurring": 1, "question": 1,
               "copy": 1}
    answered, pointed = 0, 0
    for index in range(20):
      tokens, kinds, segments, sources = rows.row(0, 0, index, 1024, mixture)
      again = rows.row(0, 0, index, 1024, mixture)[0]
      self.assertTrue(numpy.array_equal(tokens, again))
      self.assertEqual(len(tokens), 1025)
      for behind, place in sources:
        self.assertEqual(tokens[behind], ASSISTANT)
        self.assertEqual(tokens[behind + 1], tokens[place])
        self.assertEqual(segments[behind], segments[place])
        pointed += 1
      for segment in range(segments[-1]):  # the last may be cut
        part = tokens[segments == segment]
        kind = kinds[segments == segment]
        self.assertEqual(part[0], USER)
        # Runs of answer tokens, each behind its question.
        edges = numpy.flatnonzero(numpy.diff(numpy.concatenate(
            [[0], kind == ANSWER, [0]])))
        decode = lambda ids: store.vocabulary.tokenizer.decode(ids.tolist())
        for begin, end in zip(edges[::2], edges[1::2]):
          self.assertEqual(part[begin - 1], ASSISTANT)
          self.assertEqual(kind[begin - 1], NOTHING)
          self.assertEqual(part[end - 1], END)
          answer = decode(part[begin:end - 1])
          if answer == ABSTENTION:
            continue
          # The passage that is cited holds the answer.
          found = re.fullmatch(r"(.*) \[(\d+)\]", answer, re.S)
          self.assertIsNotNone(found, answer)
          passages = decode(part[1:edges[0]])
          self.assertTrue(passages.startswith("Question: "), passages)
          blocks = re.split(r"(?:^|\n\n)\[\d+\] ", passages)
          self.assertIn(found[1], blocks[int(found[2])])
          answered += 1
    self.assertGreater(answered, 20)
    self.assertGreaterEqual(pointed, answered)

  def test_scan_is_the_recurrence(self):
    from model import ssd
    torch.manual_seed(0)
    batch, length, heads, width, state = 2, 300, 3, 4, 5
    x = torch.randn(batch, length, heads, width, dtype=torch.float64)
    dt = torch.rand(batch, length, heads, dtype=torch.float64)
    a = -3 * torch.rand(heads, dtype=torch.float64)
    b = torch.randn(batch, length, state, dtype=torch.float64)
    c = torch.randn(batch, length, state, dtype=torch.float64)
    segments = torch.tensor([[0] * 100 + [1] * 3 + [2] * 150 + [3] * 47,
                             [0] * 128 + [1] * 172])
    s = torch.zeros(batch, heads, width, state, dtype=torch.float64)
    expected = []
    for t in range(length):
      if t > 0:
        s = s * (segments[:, t] == segments[:, t - 1]).double()[:, None, None, None]
      s = (s * torch.exp(dt[:, t] * a)[..., None, None] +
           (dt[:, t, :, None] * x[:, t])[..., None] * b[:, t, None, None, :])
      expected.append((s * c[:, t, None, None, :]).sum(-1))
    error = (ssd(x, dt, a, b, c, segments, 64) - torch.stack(expected, 1)).abs().max()
    self.assertLess(error, 1e-10)


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
