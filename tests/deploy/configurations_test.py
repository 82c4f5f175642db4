#!/usr/bin/env python3
"""Has the program read the configurations that are shipped, and those that the
Helm chart writes (where helm is installed).

Usage: configurations_test.py ROOT BRAID
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    import chart_test
except SystemExit:
    chart_test = None  # without YAML

ROOT = BRAID = ""


class Configurations(unittest.TestCase):

    def check(self, path, missing="/no/encoder"):
        # The configuration comes first, then the encoder, which is not there.
        result = subprocess.run(
            [BRAID, "serve", "--config", path, "--encoder", "/no/encoder"],
            capture_output=True, text=True, check=False, env={})
        self.assertIn(missing, result.stderr)
        self.assertEqual(result.returncode, 1, result.stderr)

    def test_that_are_shipped(self):
        for path in ("deploy/braid.toml", "deploy/container/braid.toml"):
            with self.subTest(path):
                self.check(os.path.join(ROOT, path))

    def test_of_the_chart(self):
        if chart_test is None or not shutil.which("helm"):
            self.skipTest("helm or python3-yaml is not installed")
        chart_test.ROOT = ROOT
        for name, values in chart_test.CASES.items():
            values = {**values, "config": {
                **values.get("config", {}), "log_level": "debug"}}
            manifests = chart_test.render(values)
            for file_name, text in chart_test.only(manifests, "ConfigMap")[
                    "data"].items():
                with self.subTest(f"{name}, {file_name}"), \
                        tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
                    file.write(text)
                    file.flush()
                    self.check(file.name, self.missing(file_name, values))

    @staticmethod
    def missing(file_name, values):
        """What a process with this file of the chart does not find first."""
        if file_name == "generation.toml":
            return values["config"].get("model_directory", "/no/encoder")
        if file_name == "gateway.toml":
            # It loads nothing: a Secret of the pod, or a rule who may call.
            return ("/etc/braid/upstream-ca/ca.crt" if "tls" in values
                    else "`auth.access_file`")
        return "/no/encoder"


if __name__ == "__main__":
    if len(sys.argv) < 3 or not os.path.isdir(sys.argv[1]):
        sys.exit(__doc__)
    BRAID = sys.argv.pop(2)
    ROOT = sys.argv.pop(1)
    unittest.main()
