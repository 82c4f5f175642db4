"""Queries of many kinds, made from questions with answers and from manuals.

A reranker that has only seen questions of one fact pushes down what holds one
half of a question of two, a page that defines a name, a claim's evidence. So
questions are put together, turned into claims and cut to keywords, and manuals
are asked for by heading, by name, by a sentence and by rare words. Every
function yields Query; the passages are named by id (see prepare.py).
"""

import collections
import dataclasses
import random
import re

STOP = set("""a about after all also am an and any are as at be because been before
being between both but by can could did do does during each for from had has have he
her his how i if in into is it its many may more most much not of on one or other our
own s she should so some such than that the their them then there these they this those
through to under up was we were what when where which while who whom whose why will
with would you your""".split())
MIN_WORDS = 8            # of a sentence that becomes a query
MAX_WORDS = 40


@dataclasses.dataclass
class Passage:
  id: str
  title: str
  heading: str
  text: str

  @property
  def head(self):
    """What stands before the text where Braid embeds or reads it."""
    title = " > ".join(dict.fromkeys(t for t in (self.title, self.heading) if t))
    return f"{title}. " if title else ""


@dataclasses.dataclass
class Question:
  text: str
  passage: Passage
  answer: str
  answers: list   # lower case


@dataclasses.dataclass
class Query:
  """A query, its passage, and what is wrong for it."""
  kind: str
  text: str
  positive: str                  # id of the passage
  answers: list                  # lower case: what holds one is no negative
  passage: str = ""              # the passage's text, where it is not the whole
  unanswering: str = ""          # the passage without its answer, or nothing
  negatives: list = dataclasses.field(default_factory=list)  # texts
  also: list = dataclasses.field(default_factory=list)       # ids, right as well
  one_sentence: bool = False     # negatives are cut to a sentence


def words_of(text):
  return re.findall(r"[A-Za-z0-9_']+", text)


def sentences_of(text):
  return re.split(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z0-9])", text)


def lower_first(text):
  """A sentence in the middle of another, without its end."""
  text = text.strip().rstrip(".!?")
  first = text.split(" ", 1)[0]
  return text if first[1:] != first[1:].lower() or first not in (
      "The", "In", "A", "An", "It", "This", "These", "However,", "At", "By", "On",
      "There", "During", "After", "Some", "Many", "As", "For") else (
          text[0].lower() + text[1:])


def thinned(sentence, share):
  """Words left out here and there, the order kept: a claim in fewer words."""
  words = sentence.split()
  kept = [w for w in words if random.random() >= share]
  return " ".join(kept) if len(kept) >= 5 else sentence


def holds(text, answers):
  text = text.lower()
  return any(a in text for a in answers)


def sentence_with(passage, answers):
  fitting = [s for s in sentences_of(passage.text) if holds(s, answers)]
  return fitting[0] if fitting else None


def questions(asked):
  """The questions as they are, with the passage robbed of its answer."""
  for question in asked:
    sentences = sentences_of(question.passage.text)
    left = [s for s in sentences if not holds(s, question.answers)]
    robbed = ""
    if left and len(left) < len(sentences):
      robbed = question.passage.head + " ".join(left)
    yield Query("question", question.text, question.passage.id, question.answers,
                unanswering=robbed)


def keywords(asked):
  for question in asked:
    words = [w for w in words_of(question.text) if w.lower() not in STOP]
    if len(words) >= 3:
      if random.random() < 0.3:
        random.shuffle(words)
      yield Query("keywords", " ".join(words), question.passage.id, question.answers)


def claims(asked):
  """The sentence that answers, in fewer words or as it stands."""
  for question in asked:
    sentence = sentence_with(question.passage, question.answers)
    if sentence and MIN_WORDS <= len(sentence.split()) <= MAX_WORDS:
      left = [s for s in sentences_of(question.passage.text) if s != sentence]
      yield Query("claim", thinned(sentence, random.choice([0, 0.15, 0.3])),
                  question.passage.id, question.answers,
                  unanswering=question.passage.head + " ".join(left)
                  if len(left) >= 2 else "")


def cloze(passages):
  """A sentence taken out of its passage asks for what is left (Lee, Chang and
  Toutanova, "Latent Retrieval for Weakly Supervised Open Domain Question
  Answering", 2019, section 4: the inverse cloze task)."""
  for passage in passages:
    sentences = sentences_of(passage.text)
    able = [s for s in sentences if MIN_WORDS <= len(s.split()) <= MAX_WORDS]
    if len(sentences) < 3 or not able:
      continue
    taken = random.choice(able)
    rest = passage.text if random.random() < 0.3 else " ".join(
        s for s in sentences if s != taken)
    yield Query("cloze", thinned(taken, random.choice([0, 0.3, 0.5])), passage.id,
                [], passage=passage.head + rest)


JOINS = [
    "{0} {1}", "{0} And {2}", "{0} Also, {2}",
    "I have two questions: {2} and {3}",
]


def pairs(asked):
  """Two questions in one; a passage that answers either is right."""
  by_title = collections.defaultdict(list)
  for question in asked:
    by_title[question.passage.title].append(question)
  for first in asked:
    pool = by_title[first.passage.title] if random.random() < 0.5 else asked
    second = random.choice(pool)
    if second.passage.id == first.passage.id:
      continue
    decapitalised = [lower_first_word(q.text) for q in (first, second)]
    text = random.choice(JOINS).format(first.text, second.text, decapitalised[1],
                                       decapitalised[0].rstrip("?"))
    right = random.choice([first, second])
    other = second if right is first else first
    yield Query("pair", text, right.passage.id, first.answers + second.answers,
                also=[other.passage.id])


def lower_first_word(text):
  first = text.split(" ", 1)[0]
  if first.lower() in STOP:
    return text[0].lower() + text[1:]
  return text


def described(text):
  """A question as a description of its answer, or None.

  "What city hosted the fair?" -> "the city that hosted the fair".
  """
  text = text.strip().rstrip("?").strip()
  match = re.match(r"(?i)who (?!do |did |does |is |was |are |were )(.+)", text)
  if match:
    return "the one who " + match.group(1)
  match = re.match(r"(?i)who (was|is|were|are) (?:the )?(.+)", text)
  if match:
    return "the " + match.group(2)
  match = re.match(r"(?i)(?:what|which) (?:is|was) (?:the )?name of (.+)", text)
  if match:
    return match.group(1)
  match = re.match(r"(?i)(?:what|which) (?:is|was) (the .+)", text)
  if match:
    return match.group(1)
  match = re.match(
      r"(?i)(?:what|which) ([a-z]+(?: [a-z]+)?) (?:do|did|does) (.+)", text)
  if match:
    return f"the {match.group(1)} that {match.group(2)}"
  match = re.match(r"(?i)(?:what|which) ([a-z]+) ([a-z]+(?:ed|s|es|t|d) .+)", text)
  if match and match.group(1).lower() not in STOP:
    return f"the {match.group(1)} that {match.group(2)}"
  return None


def bridges(asked):
  """A question whose subject stands behind another: two hops."""
  by_answer = collections.defaultdict(list)
  for question in asked:
    answer = question.answer
    description = described(question.text)
    if description and len(answer) >= 4 and answer[0].isupper():
      by_answer[answer].append((question, description))
  for second in asked:
    words = second.text.split()
    spans = {" ".join(words[i:j]).strip("?.,").removesuffix("'s")
             for i in range(len(words)) for j in range(i + 1, min(i + 5, len(words)) + 1)}
    found = [(a, *f) for a in sorted(spans) for f in by_answer.get(a, [])
             if f[0].passage.id != second.passage.id]
    if not found:
      continue
    answer, first, description = random.choice(found)
    text = second.text.replace(answer, description, 1)
    text = text[0].upper() + text[1:]
    right, other = random.choice([(first, second), (second, first)])
    yield Query("bridge", text, right.passage.id, second.answers, also=[other.passage.id])


COMPARISONS = [
    "Does the text about {t0} say that {s0}, while the one about {t1} says that {s1}?",
    "Is it true that {s0} and that {s1}?",
    "Between the account of {t0}, where {s0}, and that of {t1}, where {s1}: do they agree?",
    "After it was said that {s0}, was it also said, of {t1}, that {s1}?",
    "Which of the two, {t0} or {t1}, is the one of which it is said that {s0}, and not "
    "that {s1}?",
]


def comparisons(asked):
  """Two claims in a question; a single sentence that holds one is right."""
  for first in asked:
    second = random.choice(asked)
    if first.passage.id == second.passage.id:
      continue
    sentences = [sentence_with(q.passage, q.answers) for q in (first, second)]
    if not all(s and 6 <= len(s.split()) <= 30 for s in sentences):
      continue
    said = [lower_first(thinned(s, 0.15)) for s in sentences]
    text = random.choice(COMPARISONS).format(
        t0=first.passage.title, t1=second.passage.title, s0=said[0], s1=said[1])
    which = random.randrange(2)
    right, other = (first, second) if which == 0 else (second, first)
    yield Query("comparison", text, right.passage.id,
                [s.lower() for s in sentences], also=[other.passage.id],
                passage=right.passage.head + sentences[which], one_sentence=True)


def sentence_answers(asked):
  """A question whose passages are single sentences."""
  for question in asked:
    sentences = sentences_of(question.passage.text)
    fitting = [s for s in sentences if holds(s, question.answers)]
    others = [s for s in sentences if not holds(s, question.answers)]
    if fitting and others:
      yield Query("sentence", question.text, question.passage.id, question.answers,
                  passage=question.passage.head + fitting[0],
                  unanswering=question.passage.head + random.choice(others),
                  one_sentence=True)


NAME = re.compile(
    r"(?<![\w/.-])(?:[a-z]+(?:[A-Z][a-z0-9]+)+|[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]+)+|"
    r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+|[a-z]+(?:[.:-][a-z][A-Za-z0-9]*){1,3}|"
    r"[A-Z]{2,}[A-Z0-9]*\d[A-Z0-9]*)(?![\w/-])")
NAMED = ["{0}", "{0}", "what is {0}", "What is {0}?", "what does {0} do",
         "how do I use {0}", "{0} meaning", "explain {0}", "documentation of {0}",
         "how to set {0}", "What is {0} used for?", "{0} default value"]


def names(passages):
  """A name asks for the passage whose heading has it, or that says it most."""
  where = collections.defaultdict(list)
  for passage in passages:
    counts = collections.Counter(NAME.findall(passage.text))
    counts.update({n: 10 for n in set(NAME.findall(passage.heading))})
    for name, count in counts.items():
      where[name].append((count, passage))
  for name, found in sorted(where.items()):
    found.sort(key=lambda f: -f[0])
    if len(found) > 30 or found[0][0] < 2:
      continue
    if len(found) > 1 and found[0][0] < 2 * found[1][0]:
      continue
    best = found[0][1]
    yield Query("name", random.choice(NAMED).format(name), best.id, [],
                also=[p.id for c, p in found[1:] if c >= 4])


HEADED = ["{0}", "what is {0}", "What is {0}?", "how does {0} work", "How to use {0}?",
          "{0} explained", "Where can I read about {0}?"]


def headings(passages):
  """A heading asks for its passage, which half of the time stands without it."""
  seen = collections.Counter(p.heading.lower() for p in passages)
  for passage in passages:
    heading = re.sub(r"^[\d.\sA-Z]{0,2}[\d.]*\s+", "", passage.heading).strip()
    if seen[passage.heading.lower()] > 1 or not 2 <= len(heading.split()) <= 9:
      continue
    yield Query("heading", random.choice(HEADED).format(lower_first_word(heading)),
                passage.id, [],
                passage=passage.text if random.random() < 0.5 else "")


def rare_words(passages):
  """Two to five of a passage's rarest words."""
  documents = collections.Counter(
      w for p in passages for w in set(words_of(p.text.lower())))
  for passage in passages:
    words = sorted({w for w in words_of(passage.text.lower())
                    if documents[w] >= 2 and len(w) > 3})
    words.sort(key=lambda w: documents[w] + random.random())
    if len(words) < 12:
      continue
    chosen = random.sample(words[:12], random.randint(2, 5))
    yield Query("rare", " ".join(chosen), passage.id, [])


CODED = ["{0}", "error {0}", "what does {0} mean", "What is {0}?", "{0} meaning",
         "why do I get {0}", "ERROR {0}", "what is the description of code {0}",
         "code {0} in the log"]
ENTRIES = ["{0} | {1}", "{0}: {1}", "{1} ({0})", "{0} {1}", "Code {0}. {1}.",
           "{0} - {1}"]


def codes(passages, count):
  """Codes made up, with others that differ in a character or two."""
  vocabulary = sorted({w for p in passages for w in words_of(p.text.lower())
                       if w.isalpha() and 4 <= len(w) <= 10})
  letters, digits = "ABCDEFGHJKLMNPQRSTUVWXYZ", "0123456789"

  def code(shape):
    return "".join(random.choice(digits if c == "9" else letters if c == "A" else c)
                   for c in shape)

  def other(text):
    position = random.choice([i for i, c in enumerate(text) if c.isalnum()])
    choices = digits if text[position].isdigit() else letters
    return text[:position] + random.choice(choices) + text[position + 1:]

  shapes = ["99999", "9A999", "99A99", "AA999", "A-9999", "AAA-99999", "9999", "AA99A",
            "A99999", "E9999", "0x999A"]
  for _ in range(count):
    shape = random.choice(shapes)
    right = code(shape)
    form, title = random.choice(ENTRIES), random.choice(
        ["Error codes", "Messages", "Part numbers", "Return values", ""])

    def entry(text):
      name = "_".join(random.sample(vocabulary, random.randint(1, 3)))
      about = " ".join(random.sample(vocabulary, random.randint(0, 12)))
      head = f"{title} > {text}. " if title else ""
      return f"{head}{form.format(text, name)} {about}".strip()

    wrong = {other(other(right)) if random.random() < 0.3 else other(right)
             for _ in range(40)} | {code(shape) for _ in range(20)}
    wrong.discard(right)
    yield Query("code", random.choice(CODED).format(right), "", [], passage=entry(right),
                negatives=[entry(w) for w in sorted(wrong)])
