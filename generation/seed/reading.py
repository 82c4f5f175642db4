"""Examples to learn from: text, and reading tasks made of it.

An example is a list of (tokens, kind); its prompt has exactly the form that Braid's
generator gives it (generation/answer/generative_answerer.cc, through the chat
template): the question, numbered passages, the question again, then the answer with
the number of the passage that holds it. Everything is made from tokens, at the moment it is
needed: the same text gives other questions each time.

The self-supervised tasks:
  cloze      a sentence, or a clause of it, asks for a span that was taken out and
             replaced by a question word (Lewis et al., "Unsupervised Question
             Answering by Cloze Translation", 2019); salient spans more often than
             others (REALM, 2020); words dropped and moved, so that finding the
             sentence takes more than equality
  recurring  the same of a span that another passage of the document holds as
             well, and only that one is shown (Splinter, 2021)
  follow     the beginning of a sentence asks for what follows it: an exact copy
  copy       the same up to the end of the line: many tokens to copy, and with one
             passage in two made of words at random, nothing else to go by. What
             reading begins with: finding where the last tokens stood before
  recall     made-up facts, far apart, between passages of text
And SQuAD's training questions as `question`. Any of them comes now and then without
the passage that answers it; then the answer is ABSTENTION. The same passages are asked
several times in a row, as turns of a conversation of which the first turn's question
stands before them: an answer is 1 % of an example otherwise.
"""

import numpy

from prompt import ABSTENTION, ANSWER, NOTHING, QUESTION, TEXT, Prompts
from store import contains
from tokens import END, USER

MIN_EXAMPLE = 200  # tokens: less room than this is filled with text
TRIES = 6  # of a task that does not suit a passage
TURN = 48  # tokens of a question and its answer, on average
FRAME = 6  # tokens around a question that is asked before the passages
UNANSWERED, UNANSWERED_QUESTIONS = 0.12, 0.25  # shares
JOINERS = [" of", " the", " de", " von", " van", " al"]
ATTRIBUTES = ["code", "number", "name", "colour", "password", "city", "key", "price",
              "address", "owner", "value", "weight"]
WORDS_FOR = {
    "year": ["When", "What year", "In what year"],
    "number": ["How many", "How much", "What", "What number"],
    "name": ["Who", "What", "Which", "Where", "What"],
    "other": ["What", "Which", "How", "Why", "What"],
}


def words_of(vocabulary, tokens):
  """Edges of words: a word begins at a token with a space in front."""
  starts = numpy.flatnonzero(vocabulary.spaced[tokens])
  if len(starts) == 0 or starts[0] != 0:
    starts = numpy.concatenate([[0], starts])
  return numpy.concatenate([starts, [len(tokens)]])


class Sentence:
  """Words of one sentence in a line of tokens."""

  def __init__(self, vocabulary, tokens, edges):
    self.vocabulary, self.tokens, self.edges = vocabulary, tokens, edges
    self.count = len(edges) - 1
    first = tokens[edges[:-1]]
    last = tokens[edges[1:] - 1]
    # Spans begin with a letter or digit behind a space, as answers do.
    self.begins = vocabulary.word[first] & vocabulary.spaced[first]
    self.breaks = ~vocabulary.word[last]  # punctuation behind the word
    self.capital = vocabulary.capital[first] & self.begins
    self.digit = vocabulary.digit[first] & self.begins

  def word(self, i):
    return self.tokens[self.edges[i]:self.edges[i + 1]]

  def core(self, begin, end):
    """Tokens of words, without punctuation at the end."""
    tokens = self.tokens[self.edges[begin]:self.edges[end]]
    known = numpy.flatnonzero(self.vocabulary.word[tokens])
    return tokens[:known[-1] + 1] if len(known) else tokens[:0]

  def salient(self):
    """Runs of names and numbers, (begin, end)."""
    joiner = {int(self.vocabulary.piece(j)[0]) for j in JOINERS
              if len(self.vocabulary.piece(j)) == 1}
    runs, i = [], 0
    strong = self.capital | self.digit
    while i < self.count:
      if not strong[i]:
        i += 1
        continue
      end = i + 1
      while end < self.count and not self.breaks[end - 1]:
        if strong[end]:
          end += 1
        elif (end + 1 < self.count and strong[end + 1] and not self.breaks[end] and
              int(self.tokens[self.edges[end]]) in joiner):
          end += 2
        else:
          break
      # The first word of a sentence has a capital anyway.
      if i > 0 or end - i > 1 or self.digit[i]:
        runs.append((i, end))
      i = end
    return runs

  def anything(self, random):
    begin = int(random.integers(self.count))
    length = 1 + min(int(random.geometric(0.4)) - 1, 7)
    for end in range(begin + 1, min(begin + length, self.count)):
      if self.breaks[end - 1]:
        return begin, end
    return begin, min(begin + length, self.count)

  def kind(self, begin, end):
    if self.digit[begin]:
      core = self.core(begin, end)
      return "year" if len(core) == 1 and self.vocabulary.year[core[0]] else "number"
    return "name" if self.capital[begin] else "other"


def sentences_of(vocabulary, tokens):
  """The sentences of a line that are neither very short nor very long."""
  edges = words_of(vocabulary, tokens)
  count = len(edges) - 1
  ends = vocabulary.stop[tokens[edges[1:] - 1]]
  capital = vocabulary.capital[tokens[edges[:-1]]]
  cuts = [0] + [i + 1 for i in range(count - 1) if ends[i] and capital[i + 1]]
  return [Sentence(vocabulary, tokens, edges[a:b + 1])
          for a, b in zip(cuts, cuts[1:] + [count]) if 6 <= b - a <= 70]


class Reader:

  def __init__(self, store):
    self.store = store
    self.vocabulary = store.vocabulary
    self.prompts = Prompts(self.vocabulary)
    self.tasks = {"text": self.text,
                  "cloze": lambda *place: self.sentences(*place, self.cloze),
                  "follow": lambda *place: self.sentences(*place, self.follow),
                  "copy": self.copy,
                  "recurring": self.recurring,
                  "recall": self.recall, "question": self.question}

  def dialogue(self, passages, turns):
    """`turns`: [(question, reply)]"""
    parts = self.prompts.passages(passages, turns[0][0])
    for i, (question, reply) in enumerate(turns):
      if i > 0:
        parts.append(([USER], NOTHING))
      parts += [*self.prompts.question(question), (reply, ANSWER), ([END], ANSWER)]
    return parts

  def reply(self, answer, place):
    """An answer out of passage number `place` from 0; None: out of none."""
    piece = self.vocabulary.piece
    if place is None:
      return piece(" " + ABSTENTION)
    return numpy.concatenate([answer, piece(f" [{place + 1}]")])

  def count_turns(self, random, budget):
    if random.random() < 0.4:
      return 1
    return 1 + int(random.integers(min(8, 1 + budget // 150)))

  # Passages

  def size(self, passage):
    return 6 + len(passage[0]) + sum(3 + len(line) for line in passage[1])

  def others(self, random, number, budget, without):
    """Numbers of passages beside `number`, up to `budget` tokens together.

    About half are its neighbours, and none holds the tokens `without`.
    """
    store = self.store
    begin, end = store.of_document[store.passages[number][0]]
    chosen, taken, left = [], {number}, budget
    for _ in range(4 + max(0, budget) // 60):
      if random.random() < 0.5 and end - begin > 1:
        candidate = int(random.integers(begin, end))
      else:
        candidate = store.draw(random)
      if candidate in taken:
        continue
      taken.add(candidate)
      passage = store.passage(candidate)
      if self.size(passage) > left:
        break
      if without is not None and self.holders([passage], without):
        continue
      left -= self.size(passage)
      chosen.append(candidate)
    return chosen

  def holders(self, passages, tokens):
    return [i for i, (_, lines) in enumerate(passages)
            if any(contains(line, tokens) for line in lines)]

  # Tasks: (random, budget in tokens) -> example, or None where it did not work out

  def text(self, random, budget):
    """Passages of one document, in their order, with a cut at the end."""
    store = self.store
    number = store.draw(random)
    end = store.of_document[store.passages[number][0]][1]
    parts, left, index = [([USER], NOTHING)], budget - 1, 1
    while left > 0 and number < end:
      block = self.prompts.block(index, *store.passage(number))[:left]
      parts.append((block, TEXT))
      left -= len(block)
      index, number = index + 1, number + 1
    return parts

  def sentence(self, random, number):
    """A sentence of a passage, or None."""
    _, lines = self.store.passage(number)
    found = sentences_of(self.vocabulary, lines[int(random.integers(len(lines)))])
    return found[int(random.integers(len(found)))] if found else None

  def span(self, random, sentence):
    runs = sentence.salient()
    if runs and random.random() < 0.7:
      begin, end = runs[int(random.integers(len(runs)))]
    else:
      begin, end = sentence.anything(random)
    core = sentence.core(begin, end)
    if not sentence.begins[begin] or not 1 <= len(core) <= 16:
      return None
    return begin, end, core

  def ask(self, random, sentence, begin, end):
    """A question for the words [begin, end) of a sentence."""
    vocabulary = self.vocabulary
    first, last = 0, sentence.count
    if random.random() < 0.5:  # the clause alone
      before = numpy.flatnonzero(sentence.breaks[:begin])
      behind = numpy.flatnonzero(sentence.breaks[end - 1:])
      left = int(before[-1]) + 1 if len(before) else 0
      right = end + int(behind[0]) if len(behind) else last
      if right - left - (end - begin) >= 3:
        first, last = left, right
    left = [sentence.word(i) for i in range(first, begin)]
    right = [sentence.word(i) for i in range(end, last)]
    dropped = random.choice([0, 0, 0.15, 0.3, 0.5])
    if dropped:
      left, right = ([w for w in side if random.random() >= dropped]
                     for side in (left, right))
    if left:
      left[0] = numpy.where(numpy.arange(len(left[0])) == 0,
                            vocabulary.lower[left[0]], left[0])
    words = WORDS_FOR[sentence.kind(begin, end)]
    asking = vocabulary.piece(" " + words[int(random.integers(len(words)))])
    style = random.random()
    if style < 0.25:
      parts = [*left, vocabulary.lower[asking], *right]
    elif style < 0.8:
      parts = [asking, *left, *right]
    else:
      bag = left + right
      order = numpy.argsort(numpy.arange(len(bag)) + random.random(len(bag)) * 4)
      parts = [asking, *(bag[i] for i in order)]
    question = numpy.concatenate(parts)
    known = numpy.flatnonzero(vocabulary.word[question])
    return numpy.concatenate([question[:known[-1] + 1], vocabulary.piece("?")])

  def cloze(self, random, number):
    """(question, answer, what the passage has to hold), or None."""
    sentence = self.sentence(random, number)
    span = sentence and self.span(random, sentence)
    if not span:
      return None
    begin, end, core = span
    return self.ask(random, sentence, begin, end), core, core

  def follow(self, random, number):
    """The same for what comes behind the beginning of a sentence."""
    sentence = self.sentence(random, number)
    if not sentence:
      return None
    shown = int(random.integers(3, 7))
    end = min(shown + int(random.integers(2, 17)), sentence.count)
    if end <= shown or not sentence.begins[shown]:
      return None
    beginning = sentence.tokens[sentence.edges[0]:sentence.edges[shown]]
    question = numpy.concatenate([self.vocabulary.piece(" What follows:"), beginning,
                                  self.vocabulary.piece("?")])
    return question, sentence.core(shown, end), beginning

  def copy(self, random, budget):
    """Lines to go on with, each of one passage."""
    store, vocabulary = self.store, self.vocabulary
    passages, turns, left = [], [], budget - 2
    for _ in range(1 + int(random.integers(4))):
      title, lines = store.passage(store.draw(random))
      line = lines[int(random.integers(len(lines)))][:int(random.integers(16, 80))]
      if random.random() < 0.5:
        line = random.choice(vocabulary.names, len(line))
      shown = int(random.integers(1, 5))
      size = 6 + len(title) + 3 + len(line) + shown + len(line) + 8
      if size + FRAME + shown > left or len(line) < 8:
        continue
      left -= size
      passages.append((title, [line]))
      turns.append((numpy.concatenate([vocabulary.piece(" What follows:"),
                                       line[:shown], vocabulary.piece("?")]),
                    self.reply(line[shown:], len(passages) - 1)))
    turns = [turns[i] for i in random.permutation(len(turns))]
    return self.dialogue(passages, turns) if turns else None

  def sentences(self, random, budget, make):
    """Questions that `make` makes of sentences, about some passages."""
    store = self.store
    wanted = self.count_turns(random, budget)
    left = budget - 2 - wanted * TURN - TURN // 2
    number = store.draw(random)
    numbers = [number] if self.size(store.passage(number)) <= left else []
    left -= sum(self.size(store.passage(n)) for n in numbers)
    numbers += self.others(random, number, left, None)
    numbers = [numbers[i] for i in random.permutation(len(numbers))]
    passages = [store.passage(n) for n in numbers]
    left = budget - 2 - sum(map(self.size, passages))
    if not passages:
      return None
    turns = []
    for _ in range(3 * wanted):
      there = random.random() >= UNANSWERED
      if there:
        asked = numbers[int(random.integers(len(numbers)))]
      else:  # of a neighbour that is not shown, if there is one
        begin, end = store.of_document[store.passages[numbers[0]][0]]
        asked = int(random.integers(begin, end))
        if asked in numbers:
          asked = store.draw(random)
      made = make(random, asked)
      if made is None:
        continue
      question, answer, held = made
      holders = self.holders(passages, held)
      if len(holders) != int(there):
        continue
      reply = self.reply(answer, holders[0] if there else None)
      size = len(question) + len(reply) + 4
      if not turns:
        size += len(question) + FRAME
      if size > left:
        continue
      left -= size
      turns.append((question, reply))
      if len(turns) == wanted:
        break
    return self.dialogue(passages, turns) if turns else None

  def recurring(self, random, budget):
    store = self.store
    asked = store.draw(random)
    begin_passage, end_passage = store.of_document[store.passages[asked][0]]
    if end_passage - begin_passage < 2:
      return None
    sentence = self.sentence(random, asked)
    runs = sentence and sentence.salient()
    if not runs:
      return None
    begin, end = runs[int(random.integers(len(runs)))]
    core = sentence.core(begin, end)
    if not sentence.begins[begin] or not 1 <= len(core) <= 12:
      return None
    near = [n for n in range(max(begin_passage, asked - 12),
                             min(end_passage, asked + 13)) if n != asked]
    for number in random.permutation(near):
      gold = store.passage(int(number))
      if self.holders([gold], core):
        break
    else:
      return None
    question = self.ask(random, sentence, begin, end)
    left = budget - 2 * len(question) - len(core) - FRAME - 12 - self.size(gold)
    if left < 0:
      return None
    passages = [store.passage(n) for n in
                self.others(random, int(number), left, core) if n != asked]
    place = int(random.integers(len(passages) + 1))
    passages.insert(place, gold)
    return self.dialogue(passages, [(question, self.reply(core, place))])

  def made_up(self, random, facts):
    """[(key, attribute, value)], no key twice."""
    vocabulary = self.vocabulary
    names = random.choice(vocabulary.names, (facts, 2), replace=False)
    result = []
    for pair in names:
      key = pair[:1 + int(random.random() < 0.5)]
      attribute = ATTRIBUTES[int(random.integers(len(ATTRIBUTES)))]
      if random.random() < 0.6:
        digits = "".join(str(d) for d in random.integers(
            0, 10, int(random.integers(3, 8))))
        value = vocabulary.encode(" " + digits)
      else:
        value = random.choice(vocabulary.names, int(random.integers(1, 4)))
      result.append((key, attribute, value))
    return result

  def stated(self, form, key, attribute, value):
    piece = self.vocabulary.piece
    if form == 0:
      return numpy.concatenate([piece(f" The {attribute} of"), key, piece(" is"),
                                value, piece(".")])
    if form == 1:
      return numpy.concatenate([key, piece(":"), value])
    return numpy.concatenate([key, piece(" has the"), piece(f" {attribute}"), value,
                              piece(".")])

  def recall(self, random, budget, facts=None, asked=None):
    """Made-up facts in lines of their own among the passages' lines.

    `facts`: how many; `asked`: for how many that are there, and no other, to ask.
    """
    piece = self.vocabulary.piece
    if facts is None:
      facts = int(min(2 ** random.integers(0, 7), max(1, budget // 60)))
    unanswered = UNANSWERED if asked is None else 0
    if asked is None:
      asked = min(facts, self.count_turns(random, budget))
    made = self.made_up(random, facts + asked)
    form = int(random.integers(3))
    lines = [self.stated(form, *fact) for fact in made[:facts]]
    chosen = [int(i) if random.random() >= unanswered else facts + place
              for place, i in enumerate(random.permutation(facts)[:asked])]
    questions = [
        numpy.concatenate([piece(" What is"), key, piece("?")]) if form == 1 else
        numpy.concatenate([piece(f" What is the {attribute} of"), key, piece("?")])
        for key, attribute, _ in (made[i] for i in chosen)]
    left = budget - 20 - sum(len(line) + 4 for line in lines) - sum(
        len(q) + len(made[i][2]) + 12 for q, i in zip(questions, chosen)) - (
            len(questions[0]) + FRAME)
    if left < 0:
      return None
    passages = [(title, list(texts)) for title, texts in
                map(self.store.passage,
                    self.others(random, self.store.draw(random), left, None))]
    if random.random() < 0.3 or not passages:  # all in one list
      place = int(random.integers(len(passages) + 1))
      passages.insert(place, (piece(" List"), lines))
      places = [place] * facts
    else:
      places = numpy.sort(random.integers(0, len(passages), facts)).tolist()
      for fact, place in enumerate(places):
        texts = passages[place][1]
        texts.insert(int(random.integers(len(texts) + 1)), lines[fact])
    return self.dialogue(passages, [
        (question, self.reply(made[i][2], places[i] if i < facts else None))
        for question, i in zip(questions, chosen)])

  def question(self, random, budget):
    """SQuAD's about one paragraph, beside others of its article and elsewhere."""
    store = self.store
    _, _, document, line = store.questions[int(random.integers(len(store.questions)))]
    gold = (store.title(document), [store.tokens[line[0]:line[1]]])
    there = random.random() >= UNANSWERED_QUESTIONS
    numbers = store.about[line]
    wanted = self.count_turns(random, budget) if there else 1
    chosen = [store.questions[numbers[i]]
              for i in random.permutation(len(numbers))[:wanted]]
    left = budget - 2 - sum(len(q) + len(a) + 12 for q, a, _, _ in chosen) - (
        len(chosen[0][0]) + FRAME) - (self.size(gold) if there else 0)
    if left < 0:
      return None
    # As often as not the paragraph alone, or a few; else as many as there is room.
    if random.random() < 0.6:
      left = min(left, int(random.choice([0, 0, 300, 600]) if there else
                           random.choice([300, 300, 600])))
    first, last = store.of_document[document]
    passages = [store.passage(n) for n in self.others(
        random, int(random.integers(first, last)), left, None)]
    passages = [p for p in passages if not contains(gold[1][0], p[1][0])
                and not any(self.holders([p], a) for _, a, _, _ in chosen)]
    place = None
    if there:
      place = int(random.integers(len(passages) + 1))
      passages.insert(place, gold)
    if not passages:
      return None
    return self.dialogue(passages, [(question, self.reply(answer, place))
                                    for question, answer, _, _ in chosen])


def sources(tokens, kinds, citation):
  """[(place that an answer begins behind, place in a passage where it stands)]

  Of one example's tokens. `citation` is the token that ends an answer's words; one
  without it is an abstention.
  """
  pairs = []
  answer = numpy.concatenate([[False], kinds == ANSWER, [False]])
  edges = numpy.flatnonzero(answer[1:] != answer[:-1])
  for begin, end in zip(edges[::2], edges[1::2]):
    cited = numpy.flatnonzero(tokens[begin:end] == citation)
    if len(cited) == 0:
      continue
    places = numpy.flatnonzero((tokens[:begin] == tokens[begin]) &
                               (kinds[:begin] == TEXT))
    for step in range(1, int(cited[-1])):
      places = places[tokens[places + step] == tokens[begin + step]]
    pairs += [(begin - 1, place) for place in places]
  return pairs


class Rows:
  """Rows of training: examples one behind the other, as many as there is room for.

  A row is a function of the seed and its place alone.
  """

  def __init__(self, reader, seed):
    self.reader, self.seed = reader, seed

  def row(self, phase, step, index, length, mixture):
    """tokens [length + 1], kinds and segments like it; sources."""
    random = numpy.random.default_rng([self.seed, phase, step, index])
    names = list(mixture)
    shares = numpy.cumsum([mixture[n] for n in names])
    tokens, kinds, segments, pairs = [], [], [], []
    citation = self.reader.vocabulary.piece(" [")[0]
    left, segment = length + 1, 0
    while left > 0:
      example = None
      if left >= MIN_EXAMPLE:
        size = int(min(left, MIN_EXAMPLE * (length / MIN_EXAMPLE) ** random.random()))
        name = names[int(numpy.searchsorted(shares, random.random() * shares[-1]))]
        for _ in range(TRIES):
          example = self.reader.tasks[name](random, size)
          if example is not None:
            break
      if example is None:
        example = self.reader.text(random, min(left, MIN_EXAMPLE))
      tokens.append(numpy.concatenate([part for part, _ in example]))
      kinds.append(numpy.concatenate(
          [numpy.full(len(part), kind, numpy.int64) for part, kind in example]))
      segments.append(numpy.full(len(tokens[-1]), segment, numpy.int64))
      begin = length + 1 - left
      pairs += [(begin + behind, begin + place) for behind, place in
                sources(tokens[-1], kinds[-1], citation) if begin + behind < length]
      left -= len(tokens[-1])
      segment += 1
    return (*(numpy.concatenate(parts)[:length + 1]
              for parts in (tokens, kinds, segments)), pairs)
