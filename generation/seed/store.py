"""The tokens of the corpus, as documents, lines and passages."""

import json
import os

import numpy
from tokenizers import Tokenizer

from tokens import END, read_tokens

LONG_LINE = 320  # tokens; a longer line is cut behind a sentence
PASSAGE = (80, 240)  # lines are joined up to the first, and not past the second


class Vocabulary:
  """What can be known of a token by its text."""

  def __init__(self, tokenizer):
    self.tokenizer = tokenizer
    size = tokenizer.get_vocab_size()
    texts = [tokenizer.id_to_token(i) for i in range(size)]
    plain = [t[1:] if t.startswith("\u0120") else t for t in texts]
    flag = lambda test: numpy.array([bool(test(t)) for t in plain])
    self.spaced = numpy.array([t.startswith("\u0120") for t in texts])
    self.word = flag(lambda t: t and t[0].isascii() and t[0].isalnum())
    self.capital = flag(lambda t: t and t[0].isascii() and t[0].isupper())
    self.digit = flag(lambda t: t and t[0].isascii() and t[0].isdigit())
    self.year = flag(lambda t: len(t) == 4 and t.isdigit() and t[0] in "12")
    self.stop = flag(lambda t: t and t[0] in ".?!" and len(t) <= 3)
    ids = {t: i for i, t in enumerate(texts)}
    self.lower = numpy.array([ids.get(t.lower(), i) for i, t in enumerate(texts)])
    self.names = numpy.flatnonzero(self.spaced & flag(
        lambda t: len(t) >= 4 and t.isascii() and t.isalpha() and t.islower()))
    self.newline = self.encode("\n")
    self.cache = {}

  @staticmethod
  def from_folder(folder):
    return Vocabulary(Tokenizer.from_file(os.path.join(folder, "tokenizer.json")))

  def encode(self, text):
    return numpy.array(self.tokenizer.encode(text).ids, numpy.int64)

  def piece(self, text):
    """encode, remembered: for the fixed words of prompts."""
    if text not in self.cache:
      self.cache[text] = self.encode(text)
    return self.cache[text]


def contains(tokens, part):
  """Whether `part` stands in `tokens` (arrays of the same type)."""
  haystack, needle = tokens.tobytes(), part.tobytes()
  at = haystack.find(needle)
  while at >= 0 and at % tokens.itemsize:
    at = haystack.find(needle, at + 1)
  return at >= 0


class Store:
  """Documents are numbered in the order of the file, lines and passages too.

  A passage is some lines of one document, as ranges of `tokens`.
  """

  def __init__(self, folder, factors):
    """`factors`: by how much the passages of a source are drawn more often."""
    self.vocabulary = Vocabulary.from_folder(os.path.join(folder, "tokenizer"))
    self.tokens = read_tokens(os.path.join(folder, "text.xz")).astype(numpy.int64)
    with open(os.path.join(folder, "tables.json"), encoding="utf-8") as file:
      tables = json.load(file)
    self.titles, self.passages = [], []  # ranges; [(document, [line ranges])]
    self.of_document = []  # ranges of passages
    self.raw_lines = []
    self.raw_documents = []
    self.read_documents()
    self.questions = self.read_questions(folder, tables["question_lines"])
    self.about = {}  # line range -> questions that it answers
    for number, (_, _, _, line) in enumerate(self.questions):
      self.about.setdefault(line, []).append(number)
    weights, first = [], 0
    for source in tables["sources"]:
      factor = factors.get(source["source"], 1)
      last = first + source["documents"]
      for document in range(first, last):
        begin, end = self.of_document[document]
        weights += [factor] * (end - begin)
      first = last
    self.cumulative = numpy.cumsum(numpy.array(weights, numpy.float64))

  def read_documents(self):
    tokens = self.tokens
    breaks = numpy.flatnonzero(tokens == self.vocabulary.newline[0])
    ends = numpy.flatnonzero(tokens == END)
    begin, next_break = 0, 0
    for end in ends:
      edges = []
      while next_break < len(breaks) and breaks[next_break] < end:
        edges.append(int(breaks[next_break]))
        next_break += 1
      document = len(self.titles)
      self.titles.append((begin, edges[0]))
      lines, at = [], edges[0] + 1
      for edge in edges[1:]:
        self.raw_lines.append((at, edge))
        self.raw_documents.append(document)
        lines += self.cut(at, edge)
        at = edge + 1
      first = len(self.passages)
      group, size = [], 0
      for line in lines:
        length = line[1] - line[0]
        if group and (size >= PASSAGE[0] or size + length > PASSAGE[1]):
          self.passages.append((document, group))
          group, size = [], 0
        group.append(line)
        size += length
      if group:
        self.passages.append((document, group))
      self.of_document.append((first, len(self.passages)))
      begin = int(end) + 1

  def cut(self, begin, end):
    """A line as pieces of at most about LONG_LINE tokens."""
    pieces = []
    while end - begin > LONG_LINE:
      part = self.tokens[begin:begin + LONG_LINE]
      vocabulary = self.vocabulary
      starts = (vocabulary.stop[part[:-1]] & vocabulary.spaced[part[1:]] &
                vocabulary.capital[part[1:]])
      places = numpy.flatnonzero(starts)
      if len(places) == 0:
        places = numpy.flatnonzero(vocabulary.spaced[part[1:]])
      at = begin + (int(places[-1]) + 1 if len(places) else LONG_LINE)
      pieces.append((begin, at))
      begin = at
    return pieces + [(begin, end)]

  def read_questions(self, folder, of_line):
    """[(question, answer, document, line range)]"""
    tokens = read_tokens(os.path.join(folder, "questions.xz")).astype(numpy.int64)
    ends = numpy.flatnonzero(tokens == END)
    begins = numpy.concatenate([[0], ends[:-1] + 1])
    parts = [tokens[b:e] for b, e in zip(begins, ends)]
    return [(parts[2 * i], parts[2 * i + 1], self.raw_documents[line],
             self.raw_lines[line]) for i, line in enumerate(of_line)]

  def draw(self, random):
    """A passage's number."""
    point = random.random() * self.cumulative[-1]
    return int(numpy.searchsorted(self.cumulative, point, "right"))

  def passage(self, number):
    """(title, [lines]), as tokens."""
    document, lines = self.passages[number]
    return self.title(document), [self.tokens[b:e] for b, e in lines]

  def title(self, document):
    begin, end = self.titles[document]
    return self.tokens[begin:end]
