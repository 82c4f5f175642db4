#!/usr/bin/env python3
"""Gathers and cleans the text to train on.

    corpus.py DATA PACKAGES OUT

DATA holds the evaluation sets (BEIR layout; see SETS), PACKAGES is where the Debian
packages of manuals are downloaded to (PACKAGED; what is there already is not
fetched again). OUT becomes a folder:

    text.jsonl.gz       {source, title, lines}: a document; a line is a paragraph
    questions.jsonl.gz  {question, answers, title, line}: SQuAD's training questions
    sources.json        for each source its licence, version, documents, bytes

Nothing that the model will be measured on gets in: of SQuAD only the training part
is read, and a paragraph of any source that shares twelve words in a row with a
paragraph of SQuAD's dev part is left out.
"""

import argparse
import collections
import glob
import gzip
import html.parser
import json
import os
import re
import subprocess

DUPLICATED_LINE = 12  # documents of one source; then it is navigation
SHINGLE = 12  # words
SETS = {
    "squad": ("squad", ["train_corpus.jsonl.gz"], "CC BY-SA 4.0"),
    "multihop": ("multihop", ["corpus.jsonl.gz", "extra_distractors.jsonl.gz"],
                 "CC BY-SA 4.0, CC BY 4.0, Apache-2.0"),
    "news": ("multihoprag_ev", ["corpus.jsonl.gz"], "ODC-BY 1.0"),
    "abstracts": ("scifact", ["corpus.jsonl.gz"], "ODC-BY 1.0"),
}
BOOKS = ("longtext", "public domain")
# Package, folders of its HTML or text, licence, most bytes of text to take.
PACKAGED = [
    ("postgresql-doc-15", ["usr/share/doc/postgresql-doc-15/html"],
     "PostgreSQL licence", 12e6),
    ("sqlite3-doc", ["usr/share/doc/sqlite3"], "public domain", 8e6),
    ("python3.11-doc", [
        f"usr/share/doc/python3.11/html/{part}"
        for part in ("tutorial", "howto", "faq", "reference", "library",
                     "using", "extending", "c-api")],
     "PSF-2.0", 12e6),
    ("python-django-doc", ["usr/share/doc/python-django-doc/html"],
     "BSD-3-Clause", 6e6),
    ("apache2-doc", ["usr/share/doc/apache2-doc/manual/en"], "Apache-2.0", 6e6),
    ("rust-doc", [
        f"usr/share/doc/rust-doc/html/{part}"
        for part in ("book", "reference", "nomicon", "rust-by-example", "cargo",
                     "rustc", "rustdoc", "edition-guide", "embedded-book")],
     "MIT or Apache-2.0", 8e6),
    ("linux-doc-6.1", [
        f"usr/share/doc/linux-doc-6.1/html/{part}"
        for part in ("admin-guide", "process", "core-api", "driver-api",
                     "filesystems", "networking", "userspace-api", "virt",
                     "security", "scheduler", "mm", "dev-tools")],
     "GPL-2.0", 20e6),
    ("debian-handbook", ["usr/share/doc/debian-handbook/html/en-US"],
     "GPL-2.0+ or CC BY-SA 3.0", 4e6),
    ("libreoffice-help-en-us", ["usr/share/libreoffice/help/en-US/text"],
     "MPL-2.0", 6e6),
    ("dict-wn", ["usr/share/dictd"], "WordNet licence", 20e6),
]
BLOCKS = {"p", "li", "dd", "dt", "td", "th", "tr", "div", "section", "article", "h1",
          "h2", "h3", "h4", "h5", "h6", "pre", "table", "ul", "ol", "dl", "br", "main",
          "blockquote", "figcaption", "body"}
SKIPPED = {"script", "style", "nav", "header", "footer", "head", "form", "button",
           "svg", "noscript"}


class PageText(html.parser.HTMLParser):
  """Lines of a page: a block of running text is one, of a <pre> each is one."""

  def __init__(self):
    super().__init__(convert_charrefs=True)
    self.title, self.lines, self.line = "", [], []
    self.skipped, self.exact, self.in_title = 0, 0, False

  def end_line(self):
    text = "".join(self.line)
    self.line = []
    if not self.exact:
      text = " ".join(text.split())
    for line in text.split("\n"):
      if line.strip():
        self.lines.append(line.rstrip())

  def handle_starttag(self, tag, attributes):
    if tag == "title":
      self.in_title = True
    elif tag in SKIPPED:
      self.skipped += 1
    elif tag in BLOCKS:
      self.end_line()
      self.exact += tag == "pre"

  def handle_endtag(self, tag):
    if tag == "title":
      self.in_title = False
    elif tag in SKIPPED:
      self.skipped = max(0, self.skipped - 1)
    elif tag in BLOCKS:
      self.end_line()
      self.exact = max(0, self.exact - (tag == "pre"))

  def handle_data(self, data):
    if self.in_title:
      self.title += data
    elif not self.skipped:
      self.line.append(data)


def cleaned(line):
  line = re.sub("[\u00b6\u200b-\u200f\u202a-\u202e\u2060\ufeff\u00ad]", "", line)
  line = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]", " ", line)
  return line.replace("\u00a0", " ").rstrip()


def read_page(path):
  with open(path, encoding="utf-8", errors="replace") as file:
    page = PageText()
    page.feed(file.read())
    page.end_line()
  title = " ".join(page.title.split())
  return re.split(r" [\u2014\u2013|] | - ", title)[0], page.lines


def read_dictionary(path):
  """Entries of a dictd file: the word, and a line for each paragraph."""
  with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
    text = file.read()
  # Pronunciations and sources say nothing to a reader.
  text = re.sub(r" ?\\[^\\\n]*\\|\[(?:1913 Webster|PJC|WordNet [\d.]+|Webster 1913"
                r"[^\]]*)\]|[{}]", "", text)
  for entry in re.split(r"\n(?=\S)", text):
    word, _, rest = entry.partition("\n")
    lines = [" ".join(part.split()) for part in re.split(r"\n\s*\n", rest)]
    if not word.startswith("00-database"):
      yield re.split(r", | \[| \(", word)[0].strip(), [line for line in lines if line]


def read_json_lines(path):
  with gzip.open(path, "rt", encoding="utf-8") as file:
    for line in file:
      yield json.loads(line)


def read_set(data, folder, files):
  """Paragraphs with the same title are one document."""
  documents = {}
  for name in files:
    for row in read_json_lines(os.path.join(data, folder, name)):
      lines = documents.setdefault(row.get("title") or row["_id"], [])
      text = " ".join(row["text"].split())
      if text not in lines:
        lines.append(text)
  for title, lines in documents.items():
    yield title, lines


def read_book(path):
  with gzip.open(path, "rt", encoding="utf-8") as file:
    text = file.read().replace("\r", "")
  name = os.path.basename(path).split(".")[0].replace("_", " ")
  name = re.sub(r"^pg\d+ ", "", name)
  paragraphs = [" ".join(p.split()) for p in re.split(r"\n\s*\n", text)]
  # Pieces of a few pages, so that they mix with the rest.
  piece, size = [], 0
  for paragraph in paragraphs:
    if paragraph:
      piece.append(paragraph)
      size += len(paragraph)
    if size > 200_000:
      yield name.title(), piece
      piece, size = [], 0
  if piece:
    yield name.title(), piece


def fetch(package, folder):
  """Downloads and unpacks a package; returns where, and its version."""
  os.makedirs(folder, exist_ok=True)
  found = glob.glob(os.path.join(folder, f"{package}_*.deb"))
  if not found:
    subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
    found = glob.glob(os.path.join(folder, f"{package}_*.deb"))
  root = os.path.join(folder, package)
  if not os.path.isdir(root):
    subprocess.run(["dpkg-deb", "--extract", found[0], root + ".part"], check=True)
    os.rename(root + ".part", root)
  return root, os.path.basename(found[0]).split("_")[1].replace("%3a", ":")


def read_package(root, folders, most):
  size = 0
  for folder in folders:
    for path in sorted(glob.glob(os.path.join(root, folder, "**"), recursive=True)):
      if path.endswith(".dict.dz"):
        documents = read_dictionary(path)
      elif path.endswith((".html", ".html.en")) and "/genindex" not in path:
        documents = [read_page(path)]
      else:
        continue
      for title, lines in documents:
        size += sum(map(len, lines))
        if size > most:
          return
        yield title, lines


def shingles(text):
  words = re.findall(r"\w+", text.lower())
  for i in range(len(words) - SHINGLE + 1):
    yield hash(tuple(words[i:i + SHINGLE]))


class Writer:
  """Drops duplicates, navigation and what the model is measured on."""

  def __init__(self, path, measured):
    self.file = gzip.open(path, "wt", encoding="utf-8")
    self.measured, self.seen = measured, set()
    self.report = []

  def add(self, source, licence, version, documents):
    documents = [(cleaned(title), [cleaned(line) for line in lines])
                 for title, lines in documents]
    repeated = collections.Counter(
        line for _, lines in documents for line in set(lines))
    count = size = dropped = 0
    for title, lines in documents:
      kept = []
      for line in lines:
        if not line or repeated[line] >= DUPLICATED_LINE or (
            len(line) > 60 and line in self.seen):
          continue
        if any(s in self.measured for s in shingles(line)):
          dropped += 1
          continue
        self.seen.add(line)
        kept.append(line)
      if sum(map(len, kept)) < 80:
        continue
      count += 1
      size += sum(map(len, kept))
      self.file.write(json.dumps({"source": source, "title": title, "lines": kept},
                                 ensure_ascii=False) + "\n")
    self.report.append({"source": source, "licence": licence, "version": version,
                        "documents": count, "characters": size,
                        "measured_paragraphs_dropped": dropped})
    print(json.dumps(self.report[-1]), flush=True)


def write_questions(data, path):
  folder = os.path.join(data, "squad")
  passages = {row["_id"]: row for row in
              read_json_lines(os.path.join(folder, "train_corpus.jsonl.gz"))}
  of_question = {}
  with open(os.path.join(folder, "train_qrels.tsv"), encoding="utf-8") as file:
    next(file)
    for line in file:
      question, passage, score = line.split()
      if int(score) > 0:
        of_question[question] = passage
  count = 0
  with gzip.open(path, "wt", encoding="utf-8") as file:
    for row in read_json_lines(os.path.join(folder, "train_queries.jsonl.gz")):
      passage = passages.get(of_question.get(row["_id"]))
      if passage is None:
        continue
      line = cleaned(" ".join(passage["text"].split()))
      answers = [a for a in row["metadata"]["answers"] if a.strip() and a in line]
      if answers:
        count += 1
        file.write(json.dumps({
            "question": " ".join(row["text"].split()), "answers": answers,
            "title": cleaned(passage["title"]), "line": line},
            ensure_ascii=False) + "\n")
  return count


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("data")
  parser.add_argument("packages")
  parser.add_argument("out")
  arguments = parser.parse_args()
  os.makedirs(arguments.out, exist_ok=True)
  data = arguments.data
  measured = set()
  for row in read_json_lines(os.path.join(data, "squad", "corpus.jsonl.gz")):
    measured.update(shingles(row["text"]))
  writer = Writer(os.path.join(arguments.out, "text.jsonl.gz"), measured)
  for source, (folder, files, licence) in SETS.items():
    writer.add(source, licence, None, read_set(data, folder, files))
  books = sorted(glob.glob(os.path.join(data, BOOKS[0], "*.txt.gz")))
  writer.add("books", BOOKS[1], None, (d for b in books for d in read_book(b)))
  for package, folders, licence, most in PACKAGED:
    root, version = fetch(package, arguments.packages)
    writer.add(package, licence, version, read_package(root, folders, most))
  writer.file.close()
  questions = write_questions(data, os.path.join(arguments.out, "questions.jsonl.gz"))
  with open(os.path.join(arguments.out, "sources.json"), "w") as file:
    json.dump({"sources": writer.report, "questions": questions}, file, indent=1)


if __name__ == "__main__":
  main()
