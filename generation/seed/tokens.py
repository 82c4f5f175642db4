#!/usr/bin/env python3
"""Trains the tokenizer and writes the text as tokens.

    tokens.py CORPUS OUT [--vocabulary N]

CORPUS is what corpus.py wrote. OUT becomes a folder that holds all that training
reads, small enough to be carried to another machine:

    tokenizer/       the files of the tokenizer and the chat template
    text.xz          uint16: a document is its title, then its lines, each ended by
                     a line break; END closes it
    questions.xz     uint16: question, answer, both ended by END
    tables.json      documents per source; for each question the number of its line

Every title and line is encoded with a space in front, because that is how it stands
in a prompt ("> line", "[1] title"): no token reaches over the edge of a piece, so
that a prompt put together from tokens is the one that Braid encodes from text.
"""

import argparse
import gzip
import json
import lzma
import os

import numpy
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"]
PAD, END, USER, ASSISTANT = range(4)
# Words and numbers (up to four digits: years stay whole) with the space before
# them; other characters; white space, of which the last one goes with the word.
PATTERN = (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}{1,4}| ?[^\s\p{L}\p{N}]+|"
           r"\s+(?!\S)|\s+")
# The system turn is left out: the model knows one task only.
TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'user' -%}
<|user|>{{ message.content }}
{%- elif message.role == 'assistant' -%}
<|assistant|>{{ ' ' + message.content }}<|end|>
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|assistant|>
{%- endif -%}
"""


def read_json_lines(path):
  with gzip.open(path, "rt", encoding="utf-8") as file:
    for line in file:
      yield json.loads(line)


def train_tokenizer(texts, size):
  tokenizer = Tokenizer(models.BPE())
  tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
      pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
      pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
  # An answer begins with a space, like the words of the passages that it is
  # copied from; nobody needs to see it.
  tokenizer.decoder = decoders.Sequence(
      [decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
  tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
      vocab_size=size, special_tokens=SPECIAL, show_progress=False,
      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
  return tokenizer


def write_tokenizer(tokenizer, folder):
  os.makedirs(folder, exist_ok=True)
  tokenizer.save(os.path.join(folder, "tokenizer.json"))
  with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
    json.dump({"tokenizer_class": "PreTrainedTokenizerFast",
               "bos_token": SPECIAL[END], "eos_token": SPECIAL[END],
               "pad_token": SPECIAL[PAD],
               "clean_up_tokenization_spaces": False}, file, indent=1)
  with open(os.path.join(folder, "chat_template.jinja"), "w") as file:
    file.write(TEMPLATE)


def write_tokens(path, pieces):
  tokens = numpy.concatenate(pieces).astype("<u2")
  # Low and high bytes apart compress better.
  planes = tokens.view(numpy.uint8).reshape(-1, 2).T.tobytes()
  with open(path, "wb") as file:
    file.write(lzma.compress(planes, preset=6))
  return len(tokens)


def read_tokens(path):
  with open(path, "rb") as file:
    planes = numpy.frombuffer(lzma.decompress(file.read()), numpy.uint8)
  return planes.reshape(2, -1).T.copy().view("<u2")[:, 0]


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("corpus")
  parser.add_argument("out")
  parser.add_argument("--vocabulary", type=int, default=16384)
  arguments = parser.parse_args()

  documents = list(read_json_lines(os.path.join(arguments.corpus, "text.jsonl.gz")))
  tokenizer = train_tokenizer(
      (" " + line for d in documents for line in d["lines"]), arguments.vocabulary)
  write_tokenizer(tokenizer, os.path.join(arguments.out, "tokenizer"))
  newline = numpy.array(tokenizer.encode("\n").ids)
  end = numpy.array([END])

  def encode(texts):
    # Text that spells a control token must not become one.
    return [numpy.array(e.ids) for e in tokenizer.encode_batch(
        [" " + text.replace("<|", "< |") for text in texts])]

  pieces, sources, line_numbers, lines = [], [], {}, 0
  for document in documents:
    if not sources or sources[-1]["source"] != document["source"]:
      sources.append({"source": document["source"], "documents": 0, "tokens": 0})
    encoded = encode([document["title"], *document["lines"]])
    for text, ids in zip([None, *document["lines"]], encoded):
      if text is not None:
        line_numbers.setdefault((document["title"], text), lines)
        lines += 1
      pieces += [ids, newline]
    pieces.append(end)
    sources[-1]["documents"] += 1
    sources[-1]["tokens"] += sum(map(len, encoded))
  total = write_tokens(os.path.join(arguments.out, "text.xz"), pieces)

  pieces, of_line = [], []
  for row in read_json_lines(os.path.join(arguments.corpus, "questions.jsonl.gz")):
    number = line_numbers.get((row["title"], row["line"]))
    if number is None:
      continue
    answer = min(row["answers"], key=len)
    question, answer = encode([row["question"], answer.rstrip(" .,;:") or answer])
    pieces += [question, end, answer, end]
    of_line.append(number)
  write_tokens(os.path.join(arguments.out, "questions.xz"), pieces)
  with open(os.path.join(arguments.out, "tables.json"), "w") as file:
    json.dump({"sources": sources, "question_lines": of_line}, file)
  print(f"{total} tokens of text, {len(of_line)} questions, "
        f"vocabulary {tokenizer.get_vocab_size()}")


if __name__ == "__main__":
  main()
