#!/usr/bin/env python3
"""A server whose disk runs full: a file system of 64 MB, in a mount namespace
of its own. Where the system gives no such namespace, the test is skipped.

Usage: full_disk_test.py BRAID
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

from clients_test import run

BRAID = ""
SKIPPED = 77
IN_NAMESPACE = "BRAID_TEST_IN_NAMESPACE"
MEGABYTE = 1 << 20


class FullDisk(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="braid_full_disk_")
        os.mkdir(self.path("disk"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs",
                        self.path("disk")], check=True)
        self.start()

    def tearDown(self):
        if self.server.poll() is None:
            self.server.kill()
            self.server.communicate()
        subprocess.run(["umount", self.path("disk")], check=True)
        shutil.rmtree(self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def start(self):
        with open(self.path("log"), "a") as log:
            self.server = subprocess.Popen(
                [BRAID, "serve", "--data", self.path("disk", "data"),
                 "--address", "127.0.0.1:0", "--json"],
                stdout=subprocess.PIPE, stderr=log, text=True)
        self.address = json.loads(self.server.stdout.readline())["address"]

    def stop(self):
        self.server.terminate()
        self.server.communicate(timeout=60)
        self.assertEqual(self.server.returncode, 0)

    def make_documents(self, name, count, size):
        """Files of `size` bytes that do not compress, each with a word of its
        own; the others are too long for the index."""
        os.mkdir(self.path(name))
        words = {}
        for number in range(count):
            word = f"{name}{number:04}"
            with open(self.path(name, word + ".txt"), "w") as file:
                file.write(f"{word} is here.\n")
                file.write(random.Random(word).randbytes(size // 2).hex(" ", 200))
            words[word + ".txt"] = word
        return words

    def ingest(self, name, code=0):
        """The report, a line for each document."""
        report = self.path(name + ".report")
        run(BRAID, "ingest", self.path(name), "--chunking", "whole",
            "--wait", "--report", report, "--address", self.address, code=code)
        with open(report) as file:
            return {os.path.basename(line["path"]): line
                    for line in map(json.loads, file)}

    def assert_found(self, words):
        for word in words:
            found = json.loads(run(BRAID, "search", word, "--top-k", "1",
                                   "--legs", "bm25", "--json", "--address",
                                   self.address).splitlines()[-1])
            self.assertEqual([passage["document_id"]
                              for passage in found["passages"]], [word + ".txt"])

    def fill_up_to(self, free):
        ballast = self.path("disk", "ballast")
        disk = os.statvfs(self.path("disk"))
        size = disk.f_bavail * disk.f_frsize - free
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        return ballast

    def test_writes_are_refused_until_there_is_room(self):
        kept = self.make_documents("kept", 5, 1000)
        self.ingest("kept")
        many = self.make_documents("many", 20, 800_000)
        ballast = self.fill_up_to(2 * MEGABYTE)

        report = self.ingest("many", code=3)
        refused = [name for name, line in report.items()
                   if line["outcome"] == "failed"]
        self.assertTrue(refused)
        for name in refused:
            self.assertIn("RESOURCE_EXHAUSTED", json.dumps(report[name]))
        # Nothing that was acknowledged is lost, and searches go on.
        self.assert_found(kept.values())
        stored = [many[name] for name in report if name not in refused]
        self.assert_found(stored)

        os.remove(ballast)
        report = self.ingest("many")
        self.assertEqual(set(report), set(many))
        self.assert_found([*kept.values(), *many.values()])
        self.stop()
        run(BRAID, "doctor", "--verify", "--data", self.path("disk", "data"))
        self.start()
        self.assert_found([*kept.values(), *many.values()])

    def test_a_server_that_finds_a_full_disk_says_so(self):
        kept = self.make_documents("kept", 5, 1000)
        self.ingest("kept")
        self.stop()
        ballast = self.fill_up_to(0)
        serve = subprocess.run(
            [BRAID, "serve", "--data", self.path("disk", "data"), "--address",
             "127.0.0.1:0"], capture_output=True, text=True, check=False,
            timeout=60)
        self.assertEqual(serve.returncode, 1)
        self.assertIn("No space left on device", serve.stderr)
        os.remove(ballast)
        self.start()
        self.assert_found(kept.values())


if __name__ == "__main__":
    if IN_NAMESPACE not in os.environ:
        unshare = ["unshare", "--user", "--map-root-user", "--mount"]
        if subprocess.run([*unshare, "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
                          capture_output=True, check=False).returncode != 0:
            print("skipped: no mount namespace to be had")
            sys.exit(SKIPPED)
        os.environ[IN_NAMESPACE] = "1"
        os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])
    BRAID = sys.argv.pop(1)
    unittest.main(verbosity=2)
