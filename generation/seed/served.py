"""A model in Braid's service, asked over HTTP: what ships, measured.

`braid serve` runs on a data directory of its own for as long as the context lasts.
"""

import concurrent.futures
import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from tokens import ASSISTANT, END, USER

STARTING_SECONDS = 120
CALL_SECONDS = 600
AT_ONCE = 2


def free_port():
  with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    return listener.getsockname()[1]


class ServedModel:
  """The same as evaluate.py's TorchModel, through the service's chat template."""

  def __init__(self, url, tokenizer):
    self.url, self.tokenizer = url, tokenizer

  def generate(self, tokens, most):
    """What it writes behind a prompt, as text; `most` in tokens."""
    begin, end = tokens.index(USER), tokens.index(ASSISTANT)
    content = self.tokenizer.decode(tokens[begin + 1:end]).removeprefix(" ")
    body = {"chat": {"messages": [{"role": "user", "content": content}]},
            "maxTokens": most}
    request = urllib.request.Request(
        self.url + "/v1/generate", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Accept": "application/x-ndjson"})
    text, ended = "", False
    with urllib.request.urlopen(request, timeout=CALL_SECONDS) as reply:
      for line in reply:
        event = json.loads(line)
        text += event.get("delta", "")
        ended = ended or "final" in event
        if "error" in event:
          raise RuntimeError(line)
    if not ended:
      raise RuntimeError(f"an answer broke off: {text}")
    return text

  def answer(self, prompts, most):
    """The most likely text behind each prompt, up to its end or `most` tokens."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
      return list(pool.map(lambda prompt: self.generate(prompt, most), prompts))

  def says(self, tokens, begin):
    """Whether it writes tokens[begin:] behind tokens[:begin]."""
    wanted = [token for token in tokens[begin:] if token != END]
    answer = self.generate(tokens[:begin], len(wanted) + 1)
    return answer.strip() == self.tokenizer.decode(wanted).strip()


@contextlib.contextmanager
def serve(braid, model, tokenizer):
  """Yields a ServedModel of the Hugging Face directory `model`."""
  with tempfile.TemporaryDirectory() as folder:
    port, http = free_port(), free_port()
    log = os.path.join(folder, "log")
    with open(log, "wb") as errors:
      process = subprocess.Popen(
          [braid, "serve", "--data", os.path.join(folder, "data"), "--model", model,
           "--address", f"127.0.0.1:{port}"], stdout=errors, stderr=errors,
          env=os.environ | {"BRAID_HTTP_ADDRESS": f"127.0.0.1:{http}"})
    try:
      url = f"http://127.0.0.1:{http}"
      for _ in range(10 * STARTING_SECONDS):
        try:
          urllib.request.urlopen(url + "/v1/server", timeout=5).close()
          break
        except (urllib.error.URLError, OSError):
          if process.poll() is not None:
            break
          time.sleep(.1)
      else:
        raise RuntimeError(f"{braid} does not answer at {url}")
      if process.poll() is not None:
        with open(log, encoding="utf-8") as text:
          raise RuntimeError(f"{braid} ended:\n{text.read()}")
      yield ServedModel(url, tokenizer)
    finally:
      process.terminate()
      process.wait()
