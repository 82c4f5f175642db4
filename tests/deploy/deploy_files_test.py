#!/usr/bin/env python3
"""Checks the files in deploy/ that no compiler reads: the alerts, the dashboard,
the runbook, the threat model and the chart's schema name only what there is.

Usage: deploy_files_test.py ROOT
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

import promql

try:
    import yaml
except ImportError:
    print("skipped: python3-yaml is not there (deploy/setup --dev)")
    sys.exit(77)

ROOT = ""

# What scraping adds, and what histograms have.
GENERAL_LABELS = {"job", "instance", "le"}
GENERAL_METRICS = {"up"}
COUNTER_FUNCTIONS = {"rate", "increase", "irate", "resets"}
CODES = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED",
         "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
         "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
         "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
         "UNAUTHENTICATED"}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def known_metrics():
    """name: (type, labels), histograms by the names of their series."""
    metrics = {}
    for line in read("tests/deploy/metrics.txt").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        name, kind, *labels = line.split()
        labels = set(labels[0].split(",")) if labels else set()
        if kind == "histogram":
            for suffix in ("_bucket", "_sum", "_count"):
                metrics[name + suffix] = ("counter", labels)
        else:
            metrics[name] = (kind, labels)
    return metrics


def enum_values(path, prefix):
    """`FINISH_REASON_STOP` as `stop`."""
    return {name.lower() for name in re.findall(
        rf"^\s*{prefix}_([A-Z_]+) = [1-9]", read(path), re.M)}


def rpc_names():
    names = set()
    for path in glob.glob(os.path.join(ROOT, "proto/braid/v1/*.proto")):
        service = None
        with open(path, encoding="utf-8") as file:
            for line in file:
                if match := re.match(r"service (\w+)", line):
                    service = match.group(1)
                elif match := re.match(r"\s+rpc (\w+)\(", line):
                    names.add(f"{service}/{match.group(1)}")
    return names


def label_values():
    return {
        "code": CODES,
        "rpc": rpc_names(),
        "finish_reason": enum_values("proto/braid/v1/generation_service.proto",
                                     "FINISH_REASON"),
        "outcome": enum_values("proto/braid/v1/document_service.proto",
                               "OUTCOME"),
    }


def problems(expression, metrics, values):
    """What is wrong with an expression, as a list of texts."""
    wrong = []
    used, labels, matches = promql.parse(expression)
    allowed = set(GENERAL_LABELS)
    for name, functions in used.items():
        if name in GENERAL_METRICS:
            continue
        if name not in metrics:
            wrong.append(f"no metric {name}")
            continue
        kind, own = metrics[name]
        allowed |= own
        if kind == "counter" and not functions <= COUNTER_FUNCTIONS:
            wrong.append(f"the counter {name} without rate or increase")
        if kind == "gauge" and functions & COUNTER_FUNCTIONS:
            wrong.append(f"rate or increase of the gauge {name}")
    if not used:
        wrong.append("no metric at all")
    wrong += [f"no label {label}" for label in sorted(labels - allowed)]
    for label, operator, value in matches:
        if label in values and "$" not in value:
            parts = value.split("|") if "~" in operator else [value]
            wrong += [f'no {label}="{part}"' for part in parts
                      if part not in values[label]]
    return wrong


def dashboard_expressions(dashboard):
    """(where, expression) for each query; variables of intervals are times."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield (panel["title"],
                   target["expr"].replace("$__rate_interval", "5m"))
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            inner = re.fullmatch(r"label_values\((.*), (\w+)\)",
                                 variable["definition"])
            yield variable["name"], inner.group(1)


def alerts():
    for group in yaml.safe_load(read("deploy/prometheus/alerts.yaml"))["groups"]:
        yield from group["rules"]


class Promql(unittest.TestCase):
    """The checks find what they are for."""

    METRICS = {"c_total": ("counter", {"code"}), "g": ("gauge", set())}

    def check(self, expression, *expected):
        self.assertEqual(
            problems(expression, self.METRICS, {"code": {"OK"}}),
            list(expected), expression)

    def test_good(self):
        self.check('sum by (code) (rate(c_total{code="OK"}[5m])) / on (job) '
                   'group_left sum by (job) (rate(c_total[5m])) > 1e3 and g')
        self.check("time() - g > 2 or absent(g)")

    def test_bad(self):
        self.check("rate(d_total[5m])", "no metric d_total")
        self.check("sum by (rpc) (rate(c_total[5m]))", "no label rpc")
        self.check('rate(c_total{cod="x"}[5m])', "no label cod")
        self.check('rate(c_total{code="ok"}[5m])', 'no code="ok"')
        self.check('rate(c_total{code=~"OK|BAD"}[5m])', 'no code="BAD"')
        self.check("c_total > 3", "the counter c_total without rate or increase")
        self.check("rate(g[5m])", "rate or increase of the gauge g")
        self.check("time() > 3", "no metric at all")
        with self.assertRaises(ValueError):
            promql.parse("sum(rate(c_total[5m])")


class Metrics(unittest.TestCase):

    def test_alerts_and_dashboard_use_what_there_is(self):
        metrics, values = known_metrics(), label_values()
        dashboard = json.loads(read("deploy/grafana/braid.json"))
        expressions = [(rule["alert"], rule["expr"]) for rule in alerts()]
        expressions += dashboard_expressions(dashboard)
        self.assertGreater(len(expressions), 30)
        for where, expression in expressions:
            with self.subTest(where):
                self.assertEqual(problems(expression, metrics, values), [])

    def test_the_list_is_that_of_the_sources(self):
        sources = [path for folder in ("server", "telemetry") for path in
                   glob.glob(os.path.join(ROOT, "services", folder, "*.cc"))]
        written = set()
        for path in sources:
            with open(path, encoding="utf-8") as file:
                written |= set(re.findall(r'"((?:braid|process)_[a-z_]+)"',
                                          file.read()))
        listed = {line.split()[0] for line in
                  read("tests/deploy/metrics.txt").splitlines()
                  if line and not line.startswith("#")}
        self.assertEqual(listed, written)

    def test_every_metric_is_looked_at(self):
        dashboard = json.loads(read("deploy/grafana/braid.json"))
        used = set()
        for _, expression in dashboard_expressions(dashboard):
            used |= set(promql.parse(expression)[0])
        for name in known_metrics():
            if not name.endswith(("_sum", "_count")):
                self.assertIn(name, used)


class Alerts(unittest.TestCase):

    def test_fire_when_they_should(self):
        cases = read("tests/deploy/alerts_test.yaml")
        for rule in alerts():
            self.assertIn(f'alertname="{rule["alert"]}"', cases)
        if not shutil.which("promtool"):
            self.skipTest("promtool (Debian: prometheus) is not installed")
        result = subprocess.run(
            ["promtool", "test", "rules", "alerts_test.yaml"],
            cwd=os.path.join(ROOT, "tests/deploy"), capture_output=True,
            text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


class Dashboard(unittest.TestCase):

    def test_panels_do_not_overlap(self):
        dashboard = json.loads(read("deploy/grafana/braid.json"))
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        taken = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells


class Runbook(unittest.TestCase):

    def test_every_alert_has_its_paragraph(self):
        sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)",
                                   read("deploy/RUNBOOK.md"), re.M | re.S))
        names = [rule["alert"] for rule in alerts()]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(sorted(sections), sorted(names))
        for rule in alerts():
            name = rule["alert"]
            self.assertGreater(len(sections[name].split()), 10, name)
            self.assertTrue(rule["annotations"]["summary"], name)
            self.assertEqual(rule["annotations"]["runbook"],
                             f"deploy/RUNBOOK.md#{name.lower()}")
            self.assertIn(rule["labels"]["severity"],
                          ("critical", "warning", "info"), name)


class Threats(unittest.TestCase):

    def test_tests_that_are_named_exist(self):
        tests, fuzzers, scripts = set(), set(), set()
        for path in glob.glob(os.path.join(ROOT, "tests/**/*.cc"),
                              recursive=True):
            with open(path, encoding="utf-8") as file:
                tests |= {".".join(pair) for pair in re.findall(
                    r"^ *TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", file.read(),
                    re.M)}
        for path in glob.glob(os.path.join(ROOT, "tests/fuzz/*_fuzz.cc")):
            fuzzers.add(os.path.basename(path)[:-3])
        for path in glob.glob(os.path.join(ROOT, "tests/**/CMakeLists.txt"),
                              recursive=True):
            with open(path, encoding="utf-8") as file:
                scripts |= set(re.findall(r"add_test\(NAME (\w+)", file.read()))
        rows = [line for line in read("deploy/THREATS.md").splitlines()
                if line.count("|") == 4 and not line.startswith("|--")]
        self.assertGreater(len(rows), 30)
        for row in rows:
            checked_by = row.split("|")[3].strip()
            if checked_by == "test":
                continue
            names = re.findall(r"`([^`]+)`", checked_by)
            with self.subTest(row):
                self.assertTrue(names or re.search(
                    "no test yet|not promised|not Braid's to test", checked_by))
                for name in names:
                    if name.endswith(".*"):
                        self.assertTrue(any(
                            test.startswith(name[:-1]) for test in tests), name)
                    else:
                        self.assertTrue(name in tests | fuzzers | scripts, name)


class ChartSchema(unittest.TestCase):
    """`config` in the chart's values takes the keys of the configuration file,
    with their types, but those that the chart sets itself."""

    OWN = {("", "roles"), ("", "address"), ("", "data_directory"), ("", "health_address"),
           ("", "metrics_address"), ("", "http_address"),
           ("", "http_hosts"), ("", "otlp_endpoint"), ("", "otlp_headers_file"),
           ("", "trace_sample_ratio"), ("limits", "shutdown_grace")}

    TYPES = {"double": "number", "std::string": "string",
             "absl::Duration": "string"}  # others are integers

    def test_has_the_keys_of_the_configuration(self):
        expected = {"": {}, "limits": {}}
        fields = {"": read("services/config/config.h"),
                  "limits": read("services/limits.h")}
        table = ""
        for line in read("deploy/braid.toml").splitlines():
            if match := re.match(r"#?\[(\w+)\]$", line):
                table = match.group(1)
            elif match := re.match(r"#?([a-z_]+) = ", line):
                key = match.group(1)
                if table in expected and (table, key) not in self.OWN:
                    field = re.search(rf"^  (\S+) {key}\b", fields[table], re.M)
                    expected[table][key] = self.TYPES.get(field.group(1),
                                                          "integer")
        schema = json.loads(read("deploy/helm/braid/values.schema.json"))
        config = schema["properties"]["config"]
        limits = config["properties"].pop("limits")
        for name, properties in (("", config["properties"]),
                                 ("limits", limits["properties"])):
            types = {key: value["type"] for key, value in properties.items()}
            self.assertEqual(types, expected[name])


if __name__ == "__main__":
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(__doc__)
    ROOT = sys.argv.pop(1)
    unittest.main()
