#!/usr/bin/env python3
"""Has clients that others wrote ask a server with TLS and keys: plain JSON over
HTTP, gRPC with what reflection says (buf curl, which is in Go), OpenAI's libraries
for Python and JavaScript, the MCP library for Python, and headless Chromium. Each has to get a streamed answer with a citation.

Usage: clients_test.py BRAID CLIENTS DOCS

CLIENTS is where deploy/setup --dev has put the libraries; buf lies beside it. A
client that is not there is skipped.
"""

import glob
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

BRAID = CLIENTS = DOCS = ""
QUESTION = "What does E4417 mean?"
HERE = os.path.dirname(os.path.abspath(__file__))


def run(*arguments, code=0, **more):
    result = subprocess.run(arguments, capture_output=True, text=True,
                            check=False, timeout=120, **more)
    if result.returncode != code:
        raise AssertionError(f"{arguments}: exit code {result.returncode}: "
                             f"{result.stdout} {result.stderr}")
    return result.stdout


def make_certificates(folder):
    """An authority, and a certificate for 127.0.0.1 that it has signed."""
    path = lambda name: os.path.join(folder, name)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
        "/CN=authority", "-keyout", path("ca.key"), "-out", path("ca.pem"),
        "-addext", "keyUsage=critical,keyCertSign")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=server",
        "-keyout", path("server.key"), "-out", path("server.csr"))
    with open(path("extensions"), "w") as file:
        file.write("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
                   "authorityKeyIdentifier=keyid\n")
    run("openssl", "x509", "-req", "-in", path("server.csr"), "-CA",
        path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial", "-days",
        "2", "-extfile", path("extensions"), "-out", path("server.pem"))


class Clients(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="braid_clients_")
        path = lambda name: os.path.join(cls.folder, name)
        make_certificates(cls.folder)
        key = lambda name, role: json.loads(run(
            BRAID, "keys", "create", name, "--file", path("access.toml"),
            "--role", role, "--collection", "docs", "--json"))["key"]
        cls.reader, cls.writer = key("reader", "reader"), key("writer", "writer")
        with open(path("server.toml"), "w") as file:
            file.write(f'http_address = "127.0.0.1:0"\n[tls]\n'
                       f'certificate_file = "{path("server.pem")}"\n'
                       f'key_file = "{path("server.key")}"\n'
                       f'[auth]\naccess_file = "{path("access.toml")}"\n')
        cls.log = open(path("log"), "w")
        cls.server = subprocess.Popen(
            [BRAID, "serve", "--data", path("data"), "--config",
             path("server.toml"), "--address", "127.0.0.1:0", "--json"],
            stdout=subprocess.PIPE, stderr=cls.log, text=True)
        ready = json.loads(cls.server.stdout.readline())
        cls.url = "https://" + ready["http_address"]
        cls.grpc = "https://" + ready["address"]
        cls.ca = path("ca.pem")
        cls.trust = ssl.create_default_context(cafile=cls.ca)
        # With its documents.
        sequence = 0
        for name in sorted(os.listdir(DOCS)):
            if name.endswith(".jsonl"):
                continue
            with open(os.path.join(DOCS, name), "rb") as file:
                body = file.read()
            outcome = json.load(cls.request(
                f"/v1/collections/docs/documents:upload?document_id={name}",
                body, "application/octet-stream", cls.writer))
            sequence = max(sequence, int(outcome["sequence"]))
        json.load(cls.request("/v1/collections/docs:search", {
            "query": "E4417", "waitForSequence": str(sequence)}))

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        code = cls.server.wait(60)
        cls.server.stdout.close()
        cls.log.close()
        shutil.rmtree(cls.folder)
        assert code == 0, code

    @classmethod
    def request(cls, path, body=None, content_type="application/json",
                key=None, headers=None):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        request = urllib.request.Request(cls.url + path, body)
        request.add_header("Content-Type", content_type)
        if key != "":
            request.add_header("Authorization", "Bearer " + (key or cls.reader))
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=cls.trust))
        return opener.open(request, timeout=60)

    def environment(self):
        """For the libraries: trust in the authority, and no proxy."""
        kept = {name: value for name, value in os.environ.items()
                if "proxy" not in name.lower()}
        return {**kept, "SSL_CERT_FILE": self.ca, "NODE_EXTRA_CA_CERTS": self.ca,
                "OPENAI_API_KEY": self.reader, "NO_PROXY": "*"}

    def check_citation(self, quotes, text):
        self.assertIn("E4417", text)
        self.assertTrue(quotes)
        for quote in quotes:
            self.assertIn(quote.strip(), text)

    def test_json(self):
        text, quotes, last = "", [], None
        with self.request("/v1/collections/docs:answer",
                          {"question": QUESTION}) as reply:
            self.assertEqual(reply.headers["content-type"], "text/event-stream")
            for line in reply:
                if line.startswith(b"data: "):
                    last = json.loads(line[6:])
                    text += last.get("delta", "")
                    if "citation" in last:
                        quotes.append(last["citation"]["quote"])
        self.check_citation(quotes, text)
        self.assertEqual(last["final"]["finishReason"], "FINISH_REASON_STOP")

    def test_curl(self):
        if not shutil.which("curl"):
            self.skipTest("curl is not installed")
        lines = run("curl", "-sS", "-N", "--noproxy", "*", "--cacert", self.ca,
                    "-H", "Authorization: Bearer " + self.reader,
                    "-H", "Content-Type: application/json",
                    "-H", "Accept: application/x-ndjson",
                    "-d", json.dumps({"question": QUESTION}),
                    self.url + "/v1/collections/docs:answer").splitlines()
        events = [json.loads(line) for line in lines]
        self.check_citation(
            [e["citation"]["quote"] for e in events if "citation" in e],
            "".join(e.get("delta", "") for e in events))

    def test_grpc(self):
        buf = sorted(glob.glob(os.path.join(os.path.dirname(CLIENTS),
                                            "buf-*/bin/buf")))
        if not buf:
            self.skipTest("buf is not installed (deploy/setup --dev)")
        # It knows no messages of ours but what the server's reflection tells.
        call = lambda method, body, *flags: subprocess.run(
            [buf[-1], "curl", "--protocol", "grpc", "--cacert", self.ca, *flags,
             "-d", json.dumps(body), f"{self.grpc}/braid.v1.{method}"],
            capture_output=True, text=True, check=False, timeout=60,
            cwd=self.folder, env=self.environment())
        key = ("-H", "Authorization: Bearer " + self.reader)
        question = {"collection": "collections/docs", "question": QUESTION}
        answered = call("AnswerService/Answer", question, *key)
        self.assertEqual(answered.returncode, 0, answered.stderr)
        decoder, events, rest = json.JSONDecoder(), [], answered.stdout.strip()
        while rest:
            event, end = decoder.raw_decode(rest)
            events.append(event)
            rest = rest[end:].lstrip()
        self.check_citation(
            [e["citation"]["quote"] for e in events if "citation" in e],
            "".join(e.get("delta", "") for e in events))
        self.assertEqual(events[-1]["final"]["finishReason"],
                         "FINISH_REASON_STOP")
        found = call("RetrievalService/Search",
                     {"collection": "collections/docs", "query": "E4417"}, *key)
        self.assertIn("E4417", json.loads(found.stdout)["passages"][0]["text"])
        for refused, code in (
                (call("AnswerService/Answer", question), "unauthenticated"),
                (call("AnswerService/Answer",
                      {**question, "collection": "collections/other"}, *key),
                 "permission_denied")):
            self.assertNotEqual(refused.returncode, 0)
            self.assertEqual(json.loads(refused.stderr)["code"], code)

    def test_strangers(self):
        for path, body in (("/v1/collections", None), ("/v1/models", None),
                           ("/v1/collections/docs:answer", {"question": "x"}),
                           ("/v1/chat/completions",
                            {"model": "braid/docs", "messages": [
                                {"role": "user", "content": "x"}]}),
                           ("/v1/embeddings", {"model": "m", "input": "x"}),
                           ("/mcp", {"jsonrpc": "2.0", "id": 1,
                                     "method": "tools/list"})):
            for key in ("", "braid_guess"):
                with self.assertRaises(urllib.error.HTTPError) as refused:
                    self.request(path, body, key=key)
                self.assertEqual(refused.exception.code, 401, path)
                refused.exception.close()
            with self.assertRaises(urllib.error.HTTPError) as refused:
                self.request(path, body,
                             headers={"Origin": "https://evil.example"})
            self.assertEqual(refused.exception.code, 403, path)
            refused.exception.close()

    def python(self, code, *arguments):
        libraries = os.path.join(CLIENTS, "python")
        if not os.path.isdir(libraries):
            self.skipTest("the Python libraries are not installed "
                          "(deploy/setup --dev)")
        return json.loads(run(
            sys.executable, "-c", code, *arguments,
            env={**self.environment(), "PYTHONPATH": libraries}))

    def test_openai_python(self):
        seen = self.python("""
import json, sys, openai
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", max_retries=0)
messages = [{"role": "user", "content": sys.argv[2]}]
text, deltas, quotes, finish, usage = "", 0, [], None, None
for chunk in client.chat.completions.create(
        model="braid/docs", messages=messages, stream=True,
        stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    if not chunk.choices:
        continue
    choice = chunk.choices[0]
    if choice.delta.content:
        text += choice.delta.content
        deltas += 1
    for citation in (chunk.model_extra or {}).get("braid", {}).get("citations", []):
        quotes.append(citation["quote"])
    finish = choice.finish_reason or finish
whole = client.chat.completions.create(
    model="anything", messages=messages, extra_body={"collection": "docs"})
message = whole.choices[0].message
cited = message.annotations[0].url_citation
vector = client.embeddings.create(model="any", input="one")
plain = client.embeddings.create(model="any", input=["one"],
                                 encoding_format="float")
refused = client.chat.completions.create(model="braid/docs", messages=[
    {"role": "user", "content": "Who won the chess match in Reykjavik?"}])
try:
    client.chat.completions.create(model="braid/other", messages=messages)
    denied = ""
except openai.PermissionDeniedError as error:
    denied = error.message
print(json.dumps({
    "text": text, "deltas": deltas, "quotes": quotes, "finish": finish,
    "usage": usage is not None, "whole": message.content,
    "cited": message.content[cited.start_index:cited.end_index],
    "url": cited.url,
    "quote": whole.model_extra["braid"]["citations"][0]["quote"],
    "models": [m.id for m in client.models.list()],
    "model": client.models.retrieve("braid/docs").id,
    "differs": max(abs(a - b) for a, b in zip(
        vector.data[0].embedding, plain.data[0].embedding)),
    "dimension": len(vector.data[0].embedding),
    "refusal": refused.choices[0].message.refusal, "denied": denied}))
""", self.url, QUESTION)
        self.check_citation(seen["quotes"], seen["text"])
        self.assertGreater(seen["deltas"], 0)
        self.assertEqual(seen["finish"], "stop")
        self.assertTrue(seen["usage"])
        self.assertEqual(seen["whole"], seen["text"])
        self.assertEqual(seen["cited"].strip(), seen["quote"].strip())
        self.assertEqual(seen["models"], ["braid/docs"])
        self.assertEqual(seen["model"], "braid/docs")
        self.assertEqual(seen["dimension"], 384)
        self.assertLess(seen["differs"], 1e-6)
        self.assertTrue(seen["refusal"])
        self.assertIn("reader", seen["denied"])
        # The citation's URL is the document, as it was cited.
        document = json.load(self.request(seen["url"]))["document"]
        self.assertIn(seen["quote"], document["text"])

    def test_openai_javascript(self):
        modules = os.path.join(CLIENTS, "javascript/node_modules")
        if not shutil.which("node") or not os.path.isdir(modules):
            self.skipTest("node or its library is not installed "
                          "(deploy/setup --dev)")
        # A module is looked for beside the script.
        script = os.path.join(self.folder, "client.mjs")
        shutil.copy(os.path.join(HERE, "openai_client.mjs"), script)
        if not os.path.exists(os.path.join(self.folder, "node_modules")):
            os.symlink(modules, os.path.join(self.folder, "node_modules"))
        seen = json.loads(run("node", script, self.url + "/v1", "docs", QUESTION,
                              env=self.environment()))
        self.check_citation(seen["quotes"], seen["text"])
        self.assertGreater(seen["deltas"], 0)
        self.assertEqual(seen["finish"], "stop")
        self.assertEqual(seen["whole"], seen["text"])
        self.assertTrue(seen["annotations"])
        self.assertEqual(seen["dimensions"], [384, 384])
        self.assertEqual(seen["models"], ["braid/docs"])

    def test_mcp(self):
        for mode in ("auto", "legacy"):
            with self.subTest(mode):
                self.check_mcp(mode)

    def check_mcp(self, mode):
        seen = self.python("""
import asyncio, json, os, ssl, sys
import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

async def main(url, question, mode):
    http = httpx2.AsyncClient(
        headers={"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
        verify=ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]))
    progress = []
    async def heard(done, total, message):
        progress.append(message)
    async with http, Client(streamable_http_client(url, http_client=http),
                            mode=mode) as client:
        tools = await client.list_tools()
        found = await client.call_tool(
            "search", {"query": question, "collection": "docs", "top_k": 2})
        answer = await client.call_tool(
            "answer", {"question": question, "collection": "docs"},
            progress_callback=heard)
        denied = await client.call_tool(
            "answer", {"question": question, "collection": "other"})
        print(json.dumps({
            "version": client.protocol_version,
            "tools": [tool.name for tool in tools.tools],
            "passages": found.structured_content["passages"],
            "answer": answer.structured_content, "text": answer.content[0].text,
            "progress": progress, "denied": denied.is_error,
            "why": denied.content[0].text}))

asyncio.run(main(*sys.argv[1:]))
""", self.url + "/mcp", QUESTION, mode)
        self.assertEqual(seen["version"],
                         "2026-07-28" if mode == "auto" else "2025-11-25")
        self.assertEqual(seen["tools"], ["search", "answer"])
        self.assertEqual(len(seen["passages"]), 2)
        answer = seen["answer"]
        self.check_citation([c["quote"] for c in answer["citations"]],
                            answer["answer"])
        # It came in pieces.
        self.assertEqual("".join(seen["progress"]), answer["answer"])
        self.assertIn(answer["citations"][0]["document"], seen["text"])
        self.assertTrue(seen["denied"])
        self.assertIn("PERMISSION_DENIED", seen["why"])

    def test_browser(self):
        if not shutil.which("chromium") or not shutil.which("chromedriver"):
            self.skipTest("chromium or chromedriver is not installed "
                          "(deploy/setup --dev)")
        with Browser(self.folder) as browser:
            browser.open(self.url + "/")
            browser.type("key", self.writer + "\n")
            browser.wait("return document.getElementById('collection').value === 'docs'")
            self.assertIn("up", browser.text("health"))
            browser.type("question", QUESTION + "\n")
            browser.wait("return document.getElementById('end').textContent !== ''")
            self.assertIn("E4417", browser.text("answer"))
            self.assertEqual(browser.text("end"), "stop")
            self.assertIn("generate", browser.text("stages"))
            # Ranks and scores of each leg.
            self.assertRegex(browser.text("passages"), r"\d+ \(\d+\.\d+\)")
            browser.click("#citations button")
            browser.wait("return document.querySelector('#source mark') !== null")
            marked = browser.run("return document.querySelector('#source mark').textContent")
            self.assertIn(marked.strip(), browser.text("citations"))
            # What a document says is text, whatever it looks like.
            hostile = os.path.join(self.folder, "hostile.txt")
            with open(hostile, "w") as file:
                file.write("The <img src=x onerror=\"document.title='pwned'\">"
                           "<script>document.title='pwned'</script> zyxgate "
                           "has the number 99.")
            browser.type("file", hostile)
            browser.click("#ingest button")
            browser.wait("return document.getElementById('ingested').textContent.includes('created')")
            deadline = time.time() + 20
            while "zyxgate" not in browser.text("passages"):
                self.assertLess(time.time(), deadline)
                browser.run("document.getElementById('question').value = arguments[0];"
                            "document.getElementById('ask').requestSubmit();",
                            "What number has the zyxgate?")
                browser.wait("return document.getElementById('end').textContent !== ''")
            self.assertIn("<script>", browser.text("passages"))
            self.assertEqual(browser.run("return document.title"), "Braid")
            self.assertEqual(
                browser.run("return document.images.length"), 0)
            # Nothing was kept, and nothing but this server asked.
            self.assertEqual(
                browser.run("return localStorage.length + sessionStorage.length"
                            " + document.cookie.length"), 0)
            origins = browser.run(
                "return [...new Set(performance.getEntriesByType('resource')"
                ".map((entry) => new URL(entry.name).origin))]")
            self.assertEqual(origins, [self.url])


class Browser:
    """Headless Chromium, over the WebDriver protocol of chromedriver."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.base = f"http://127.0.0.1:{port}"
        self.session = ""
        deadline = time.time() + 30
        while True:
            try:
                if self.call("GET", "/status")["ready"]:
                    break
            except OSError:
                if time.time() > deadline:
                    raise
            time.sleep(0.1)
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            # The authority of this test is not among the browser's.
            "acceptInsecureCerts": True,
            "goog:chromeOptions": {"args": [
                "--headless=new", "--no-sandbox", "--disable-gpu",
                "--disable-dev-shm-usage", "--no-proxy-server",
                f"--user-data-dir={folder}/chromium"]}}}})
        self.session = "/session/" + made["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait(30)

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            self.base + path, None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def open(self, url):
        self.call("POST", self.session + "/url", {"url": url})

    def run(self, script, *arguments):
        return self.call("POST", self.session + "/execute/sync",
                         {"script": script, "args": list(arguments)})

    def wait(self, condition):
        deadline = time.time() + 30
        while not self.run(condition):
            if time.time() > deadline:
                raise AssertionError(
                    condition + ": " + self.run("return document.body.innerText"))
            time.sleep(0.05)

    def element(self, selector):
        found = self.call("POST", self.session + "/element",
                          {"using": "css selector", "value": selector})
        return self.session + "/element/" + next(iter(found.values()))

    def click(self, selector):
        self.call("POST", self.element(selector) + "/click", {})

    def type(self, name, text):
        self.call("POST", self.element("#" + name) + "/value", {"text": text})

    def text(self, name):
        return self.run(
            "return document.getElementById(arguments[0]).textContent", name)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    DOCS = sys.argv.pop(3)
    CLIENTS = sys.argv.pop(2)
    BRAID = sys.argv.pop(1)
    unittest.main()
