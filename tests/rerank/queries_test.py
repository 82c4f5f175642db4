#!/usr/bin/env python3
"""The queries that the reranker is trained on. Usage: queries_test.py SOURCE"""

import dataclasses
import os
import random
import subprocess
import sys
import unittest

SOURCE = sys.argv.pop(1)
sys.path.insert(0, os.path.join(SOURCE, "fusion/rerank/training"))
import queries  # noqa: E402
from queries import Passage, Question  # noqa: E402

LIGHTHOUSE = Passage(
    "light", "Karvik lighthouse", "",
    "The lighthouse at Karvik was built in 1887 by the engineer Elin Aas. It stands 41 "
    "metres high, and its light reaches 19 nautical miles. The last keeper, Tor Myhre, "
    "left the island in 1968.")
HESSLE = Passage(
    "hessle", "Ada Hessle", "",
    "Ada Hessle was born in Uppsala and taught chemistry in that town for thirty years. "
    "The salt that is named after her dissolves at 24 degrees.")
UPPSALA = Passage(
    "uppsala", "Uppsala", "",
    "Uppsala lies on a plain north of Stockholm, with a cathedral that was begun in 1272. "
    "Its university is the oldest one in the north of Europe.")


def ask(text, passage, answer):
  return Question(text, passage, answer, [answer.lower()])


ASKED = [
    ask("Who built the lighthouse at Karvik?", LIGHTHOUSE, "Elin Aas"),
    ask("What city was Ada Hessle born in?", HESSLE, "Uppsala"),
    ask("What is the name of the town where Ada Hessle taught?", HESSLE, "Uppsala"),
    ask("What was begun in Uppsala in 1272?", UPPSALA, "cathedral"),
]


class QueriesTest(unittest.TestCase):

  def setUp(self):
    random.seed(1)

  def test_the_robbed_passage_does_not_answer(self):
    made = list(queries.questions(ASKED))
    self.assertEqual([q.text for q in made], [a.text for a in ASKED])
    for query in made:
      self.assertFalse(queries.holds(query.unanswering.removeprefix(
          "Uppsala. "), query.answers), query.unanswering)
    self.assertIn("19 nautical miles", made[0].unanswering)

  def test_keywords_lose_small_words(self):
    made = [sorted(q.text.split()) for q in queries.keywords(ASKED)]
    self.assertEqual(made[0], ["Karvik", "built", "lighthouse"])

  def test_a_claim_is_the_sentence_that_answers(self):
    for query in queries.claims(ASKED):
      passage = next(a.passage for a in ASKED if a.passage.id == query.positive)
      words = passage.text.split()
      self.assertTrue(all(w in words for w in query.text.split()))

  def test_a_description_stands_for_an_answer(self):
    for question, description in {
        "Who built the lighthouse?": "the one who built the lighthouse",
        "Who was the last keeper?": "the last keeper",
        "What is the name of the town?": "the town",
        "What city did she visit?": "the city that she visit",
        "Which city hosted the fair?": "the city that hosted the fair",
        "Why is it so?": None}.items():
      self.assertEqual(queries.described(question), description)

  def test_a_bridge_hides_the_name(self):
    made = list(queries.bridges(ASKED))
    self.assertEqual(len(made), 1)
    self.assertNotIn("Uppsala", made[0].text)
    self.assertIn("Ada Hessle", made[0].text)
    self.assertEqual({made[0].positive, *made[0].also}, {"hessle", "uppsala"})

  def test_two_questions_have_two_passages(self):
    made = list(queries.pairs(ASKED))
    self.assertTrue(made)
    for query in made:
      self.assertEqual(len({query.positive, *query.also}), 2)

  def test_comparisons_are_of_single_sentences(self):
    for query in queries.comparisons(ASKED):
      self.assertTrue(query.one_sentence)
      self.assertEqual(len(queries.sentences_of(query.passage.split(". ", 1)[1])), 1)

  def test_a_cloze_takes_its_sentence_out(self):
    cut = 0
    for _ in range(20):
      for query in queries.cloze([LIGHTHOUSE]):
        cut += len(query.passage) < len(LIGHTHOUSE.head + LIGHTHOUSE.text)
    self.assertTrue(0 < cut < 20, cut)

  def test_a_name_asks_for_where_it_is_defined(self):
    define = Passage("a", "Settings", "max_wal_size (integer)",
                     "Sets how far max_wal_size lets the log grow.")
    mention = Passage("b", "Tuning", "", "Raise max_wal_size if checkpoints are frequent.")
    made = list(queries.names([mention, define]))
    self.assertEqual([q.positive for q in made], ["a"])
    self.assertIn("max_wal_size", made[0].text)

  def test_a_code_differs_from_its_negatives(self):
    for query in queries.codes([LIGHTHOUSE, HESSLE], 50):
      self.assertGreaterEqual(len(query.negatives), 24)
      self.assertNotIn(query.passage, query.negatives)
      code = next(w for w in query.text.split() if any(c.isdigit() for c in w)).strip("?")
      self.assertIn(code, query.passage)
      self.assertFalse(any(code in negative.split() for negative in query.negatives))

  def test_rare_words_are_of_the_passage(self):
    filler = [dataclasses.replace(LIGHTHOUSE, id=str(i)) for i in range(3)]
    for query in queries.rare_words(filler):
      self.assertTrue(set(query.text.split()) <= set(LIGHTHOUSE.text.lower().replace(
          ",", "").replace(".", "").split()))

  def test_the_same_seed_makes_the_same_queries(self):
    # Sets of words are ordered anew in every process.
    made = {subprocess.run(
        [sys.executable, __file__, SOURCE, "--print"], check=True,
        capture_output=True, env=os.environ | {"PYTHONHASHSEED": str(seed)}).stdout
            for seed in range(4)}
    self.assertEqual(len(made), 1)


def print_all():
  random.seed(1)
  filler = [dataclasses.replace(LIGHTHOUSE, id=str(i)) for i in range(3)]
  twins = ASKED + [ask("Which town taught chemistry?", HESSLE, "Ada Hessle"),
                   ask("Did Ada Hessle of Uppsala see Karvik?", LIGHTHOUSE, "no")]
  for make in (queries.questions, queries.keywords, queries.claims, queries.pairs,
               queries.bridges, queries.comparisons, queries.sentence_answers):
    for _ in range(5):
      print(*make(twins), sep="\n")
  for make in (queries.cloze, queries.names, queries.headings, queries.rare_words):
    print(*make(filler), sep="\n")
  print(*queries.codes(filler, 5), sep="\n")


if __name__ == "__main__":
  if sys.argv[1:] == ["--print"]:
    sys.exit(print_all())
  unittest.main()
