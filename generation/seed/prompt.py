"""A question with its passages, as tokens.

The form is that of Braid's generator (generation/answer/generative_answerer.cc) run
through the chat template of tokens.py; check.py compares the two.
"""

import numpy

from tokens import ASSISTANT, USER

ABSTENTION = "Not in the passages."
NOTHING, TEXT, QUESTION, ANSWER = range(4)  # kinds of tokens


class Prompts:
  """`vocabulary`: see store.py. A passage is (title, [lines]), as tokens."""

  def __init__(self, vocabulary):
    self.vocabulary = vocabulary

  def block(self, number, title, lines):
    piece, newline = self.vocabulary.piece, self.vocabulary.newline
    parts = [piece(f"[{number}]"), title, newline]
    for line in lines:
      parts += [piece(">"), line, newline]
    return numpy.concatenate([*parts, newline])

  def passages(self, passages, question):
    """[(tokens, kind)] of the passages, numbered from 1, behind the question."""
    newline = self.vocabulary.newline
    return [([USER], NOTHING),
            (self.vocabulary.piece("Question:"), NOTHING), (question, NOTHING),
            (newline, NOTHING), (newline, NOTHING),
            *((self.block(i + 1, *passage), TEXT)
              for i, passage in enumerate(passages))]

  def question(self, question):
    """The question once more, up to where the answer begins."""
    return [(self.vocabulary.piece("Question:"), NOTHING), (question, QUESTION),
            ([ASSISTANT], NOTHING)]

  def encode(self, passages, question):
    """The same from text, as a list of token ids."""
    encode = lambda text: self.vocabulary.encode(" " + text)
    parts = self.passages([(encode(title), [encode(line) for line in lines])
                           for title, lines in passages], encode(question))
    parts += self.question(encode(question))
    return numpy.concatenate([tokens for tokens, _ in parts]).tolist()
