#!/usr/bin/env python3
"""TLS of the HTTP address: certificates that are renewed, and certificates of
clients, which are asked for but are nobody.

Usage: https_test.py BRAID
"""

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
import warnings

from clients_test import make_certificates, run

BRAID = ""


class Server:

    def __init__(self, settings=""):
        self.folder = tempfile.mkdtemp(prefix="braid_https_")
        make_certificates(self.folder)
        self.key = json.loads(run(
            BRAID, "keys", "create", "root", "--file", self.path("access.toml"),
            "--role", "admin", "--collection", "*", "--json"))["key"]
        with open(self.path("access.toml"), "a") as file:
            file.write('\n[[certificate]]\nname = "server"\n'
                       'grants = [{ role = "admin", collections = ["*"] }]\n')
        with open(self.path("server.toml"), "w") as file:
            settings = settings.replace("FOLDER", self.folder)
            file.write(f'http_address = "127.0.0.1:0"\n[tls]\n'
                       f'certificate_file = "{self.path("server.pem")}"\n'
                       f'key_file = "{self.path("server.key")}"\n{settings}\n'
                       f'[auth]\naccess_file = "{self.path("access.toml")}"\n')
        self.log = open(self.path("log"), "w+")
        self.process = subprocess.Popen(
            [BRAID, "serve", "--data", self.path("data"), "--config",
             self.path("server.toml"), "--address", "127.0.0.1:0", "--json"],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        ready = json.loads(self.process.stdout.readline())
        host, port = ready["http_address"].split(":")
        self.address = host, int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        code = self.process.wait(60)
        self.process.stdout.close()
        self.log.close()
        shutil.rmtree(self.folder)
        assert code == 0, code

    def path(self, name):
        return os.path.join(self.folder, name)

    def trust(self, certificate=False):
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        if certificate:
            context.load_cert_chain(self.path("server.pem"),
                                    self.path("server.key"))
        return context

    def status(self, key="", certificate=False):
        request = urllib.request.Request(
            "https://%s:%d/v1/collections" % self.address)
        if key:
            request.add_header("Authorization", "Bearer " + key)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=self.trust(certificate)))
        try:
            with opener.open(request, timeout=60) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def certificate(self, context):
        with socket.create_connection(self.address, timeout=60) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
                return tls.getpeercert(binary_form=True), tls.version()

    def logged(self):
        with open(self.path("log")) as file:
            return file.read()


class Https(unittest.TestCase):

    def test_certificates_are_renewed(self):
        with Server() as server:
            first, version = server.certificate(server.trust())
            self.assertEqual(version, "TLSv1.3")
            self.assertEqual(server.status(server.key), 200)
            # One that cannot be used is not.
            with open(server.path("server.pem"), "r+") as file:
                good = file.read()
                file.seek(0)
                file.write("broken")
                file.truncate()
            deadline = time.time() + 20
            while "not_reloaded" not in server.logged():
                self.assertLess(time.time(), deadline)
                time.sleep(0.1)
            self.assertEqual(server.certificate(server.trust())[0], first)
            with open(server.path("server.pem"), "w") as file:
                file.write(good)
            make_certificates(server.folder)  # another authority, too
            while True:
                try:
                    if server.certificate(server.trust())[0] != first:
                        break
                except ssl.SSLError:
                    pass  # still the old one
                self.assertLess(time.time(), deadline + 20)
                time.sleep(0.1)
            self.assertEqual(server.status(server.key), 200)

    def test_old_protocols_are_refused(self):
        with Server() as server:
            old = server.trust()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                old.maximum_version = ssl.TLSVersion.TLSv1_1
                old.minimum_version = ssl.TLSVersion.TLSv1
            old.set_ciphers("ALL:@SECLEVEL=0")
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                server.certificate(old)
            with socket.create_connection(server.address, timeout=60) as plain:
                plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertNotIn(b"200", plain.recv(1000))

    def test_a_client_certificate_is_nobody(self):
        for needed in ("required", "optional"):
            with self.subTest(needed):
                settings = ('client_ca_file = "FOLDER/ca.pem"\n'
                            'client_certificates = "%s"')
                with Server(settings % needed) as server:
                    # Over gRPC it would be an administrator.
                    self.assertEqual(server.status(certificate=True), 401)
                    self.assertEqual(
                        server.status(server.key, certificate=True), 200)
                    if needed == "required":
                        with self.assertRaises(OSError):
                            server.status(server.key)
                    else:
                        self.assertEqual(server.status(server.key), 200)
                        self.assertEqual(server.status(), 401)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BRAID = sys.argv.pop(1)
    unittest.main()
