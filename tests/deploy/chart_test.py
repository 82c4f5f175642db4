#!/usr/bin/env python3
"""Renders the Helm chart in several ways and looks at what comes out. Exits with
77 (skipped) where helm is not installed.

Usage: chart_test.py ROOT

With kubeconform on the path, and the schemas of Kubernetes reachable (on the
network, or in the folder $KUBECONFORM_SCHEMAS), every manifest is also validated
by `kubeconform -strict`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest

try:
    import yaml
except ImportError:
    print("skipped: python3-yaml is not there (deploy/setup --dev)")
    sys.exit(77)

ROOT = ""
KUBERNETES = "1.32.0"

# Everything that can be switched on.
FULL = {
    "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": [{"name": "pull"}]},
    "config": {"log_level": 'a"b\\c', "threads": 3, "model_directory": "/models/m",
               "limits": {"max_leg_weight": 2.5,
                          "max_transport_bytes": 2147483648}},
    "drain": {"graceSeconds": 45, "closeSeconds": 15},
    "tls": {"secretName": "certificate", "clientCaSecretName": "ca",
            "clientCertificates": "optional"},
    "auth": {"accessSecretName": "access", "jwksConfigMapName": "jwks",
             "jwtIssuer": "https://issuer", "jwtAudience": "braid",
             "anonymous": "none"},
    "models": {"existingClaim": "models"},
    "persistence": {"storageClassName": "fast", "annotations": {"a": "b"}},
    "http": {"enabled": True, "hosts": ["braid", "braid.example"]},
    "metrics": {"serviceMonitor": {"enabled": True, "labels": {"r": "p"}}},
    "tracing": {"otlpEndpoint": "http://collector:4318", "sampleRatio": 0.00001},
    "networkPolicy": {"egress": [{"ports": [{"port": 4318}]}]},
    "podLabels": {"team": "search"}, "podAnnotations": {"note": "x"},
    "nodeSelector": {"disk": "fast"}, "priorityClassName": "high",
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
# The least.
BARE = {
    "metrics": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
    "topologySpread": {"enabled": False},
}
CASES = {"default": {}, "full": FULL, "bare": BARE,
         "closed": {"networkPolicy": {"clients": [], "monitoring": []}}}


def helm(command, values, release="release"):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        arguments = ["helm", command]
        if command == "template":
            arguments += [release, "--kube-version", KUBERNETES]
        if command == "lint":
            arguments += ["--strict"]
        return subprocess.run(
            arguments + [os.path.join(ROOT, "deploy/helm/braid"),
                         "--values", file.name],
            capture_output=True, text=True, check=False)


def render(values, release="release"):
    """The manifests, as {kind/name: manifest}."""
    result = helm("template", values, release)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    manifests = [m for m in yaml.safe_load_all(result.stdout) if m]
    return {f"{m['kind']}/{m['metadata']['name']}": m for m in manifests}


def only(manifests, kind):
    found = [m for name, m in manifests.items() if name.startswith(kind + "/")]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} {kind}")
    return found[0]


def configuration(manifests):
    return tomllib.loads(only(manifests, "ConfigMap")["data"]["braid.toml"])


class Chart(unittest.TestCase):

    def test_lint(self):
        for name, values in CASES.items():
            with self.subTest(name):
                result = helm("lint", values)
                self.assertEqual(result.returncode, 0, result.stdout)

    def test_wrong_values_are_refused_by_name(self):
        cases = [
            ({"replicas": 2}, "replicas"),
            ({"config": {"thread": 1}}, "thread"),
            ({"config": {"threads": "three"}}, "threads"),
            ({"config": {"limits": {"max_topk": 5}}}, "max_topk"),
            ({"config": {"address": "0.0.0.0:1"}}, "address"),
            ({"config": {"data_directory": "/"}}, "data_directory"),
            ({"tls": {"key": "PEM"}}, "key"),
            ({"auth": {"token": "secret"}}, "token"),
            ({"auth": {"jwksUrl": "http://plain"}}, "jwksUrl"),
            ({"image": {"digest": "latest"}}, "digest"),
            ({"http": {"hosts": ["a b"]}}, "hosts"),
            ({"persistence": {"size": "much"}}, "size"),
            ({"persistence": {"accessModes": ["ReadWriteMany"]}}, "accessModes"),
            ({"podDisruptionBudget": {"maxUnavailable": 2}}, "maxUnavailable"),
            ({"auth": {"accessSecretName": "a"}}, "auth needs tls.secretName"),
            ({"tls": {"clientCaSecretName": "a"}}, "tls.clientCaSecretName needs"),
            ({"tls": {"secretName": "a"}, "auth": {"jwksConfigMapName": "a"}},
             "auth.jwtIssuer and auth.jwtAudience"),
            ({"metrics": {"enabled": False, "serviceMonitor": {"enabled": True}}},
             "metrics.serviceMonitor.enabled needs"),
        ]
        for values, says in cases:
            with self.subTest(says):
                result = helm("template", values)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(says, result.stderr)

    def test_configuration(self):
        config = configuration(render({}))
        self.assertEqual(config["data_directory"], "/var/lib/braid")
        self.assertEqual(config["limits"]["shutdown_grace"], "30s")
        self.assertNotIn("tls", config)
        self.assertNotIn("auth", config)
        config = configuration(render(FULL))
        self.assertEqual(config["log_level"], 'a"b\\c')
        # Integers stay integers: Braid does not take 3.0 for 3.
        self.assertIs(type(config["threads"]), int)
        self.assertEqual(config["limits"]["max_transport_bytes"], 2147483648)
        self.assertEqual(config["limits"]["max_leg_weight"], 2.5)
        self.assertEqual(config["trace_sample_ratio"], 0.00001)
        self.assertEqual(config["tls"]["client_certificates"], "optional")
        self.assertEqual(config["auth"]["anonymous"], "none")
        self.assertEqual(config["http_hosts"], "braid,braid.example")
        self.assertNotIn("metrics_address", configuration(render(BARE)))

    def test_a_changed_configuration_restarts_the_pod(self):
        def checksum(values):
            pod = only(render(values), "StatefulSet")["spec"]["template"]
            return pod["metadata"]["annotations"]["checksum/config"]
        self.assertEqual(checksum({}), checksum({"service": {"type": "NodePort"}}))
        self.assertNotEqual(checksum({}), checksum({"config": {"threads": 2}}))

    def test_the_pod_has_no_privileges(self):
        for name, values in CASES.items():
            with self.subTest(name):
                manifests = render(values)
                pod = only(manifests, "StatefulSet")["spec"]["template"]["spec"]
                container, = pod["containers"]
                security = container["securityContext"]
                self.assertTrue(security["readOnlyRootFilesystem"])
                self.assertFalse(security["allowPrivilegeEscalation"])
                self.assertEqual(security["capabilities"], {"drop": ["ALL"]})
                security = pod["securityContext"]
                self.assertTrue(security["runAsNonRoot"])
                self.assertGreater(security["runAsUser"], 0)
                self.assertEqual(security["seccompProfile"]["type"],
                                 "RuntimeDefault")
                self.assertFalse(pod["automountServiceAccountToken"])
                self.assertFalse(only(manifests, "ServiceAccount")[
                    "automountServiceAccountToken"])
                self.assertNotIn("hostNetwork", pod)
                # Secrets are files: no variables at all.
                self.assertNotIn("env", container)
                self.assertNotIn("envFrom", container)
                self.assertIn("memory", container["resources"]["limits"])

    def test_files_of_the_configuration_are_mounted(self):
        manifests = render(FULL)
        spec = only(manifests, "StatefulSet")["spec"]
        pod = spec["template"]["spec"]
        mounts = {m["mountPath"]: m for m in pod["containers"][0]["volumeMounts"]}
        volumes = {v["name"]: v for v in pod["volumes"]}
        claims = {c["metadata"]["name"] for c in spec["volumeClaimTemplates"]}
        for mount in mounts.values():
            self.assertTrue(mount["name"] in volumes or mount["name"] in claims)
            # A subPath would never see a Secret that changes.
            self.assertNotIn("subPath", mount)
        self.assertEqual({v["name"] for v in volumes.values()} | claims,
                         {m["name"] for m in mounts.values()})
        writable = {path for path, m in mounts.items() if not m.get("readOnly")}
        self.assertEqual(writable, {"/var/lib/braid", "/tmp"})
        config = configuration(manifests)
        paths = [value for table in ("tls", "auth")
                 for value in config[table].values() if value.startswith("/")]
        self.assertEqual(len(paths), 5)
        for path in paths:
            volume = volumes[mounts[os.path.dirname(path)]["name"]]
            source = volume.get("secret") or volume["configMap"]
            items = source.get("items")
            if items is not None:
                self.assertIn(os.path.basename(path),
                              [item["path"] for item in items])
            if "secret" in volume:
                self.assertEqual(source["defaultMode"], 0o440)

    def test_probes_and_ends(self):
        manifests = render(FULL)
        pod = only(manifests, "StatefulSet")["spec"]["template"]["spec"]
        container = pod["containers"][0]
        health = int(configuration(manifests)["health_address"].split(":")[1])
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertEqual(container[probe]["grpc"]["port"], health)
        self.assertEqual(
            configuration(manifests)["limits"]["shutdown_grace"], "45s")
        self.assertEqual(pod["terminationGracePeriodSeconds"], 60)

    def test_the_network_is_closed(self):
        policy = only(render({}), "NetworkPolicy")["spec"]
        self.assertEqual(sorted(policy["policyTypes"]), ["Egress", "Ingress"])
        self.assertNotIn("egress", policy)
        for rule in policy["ingress"]:
            # No rule without peers or ports: it would open to everybody.
            self.assertTrue(rule["from"] and all(rule["from"]))
            self.assertEqual(len(rule["ports"]), 1)
        # The API over HTTP is for those who may call the API, and off by default.
        def ports(values):
            return {port["port"]: rule["from"]
                    for rule in only(render(values), "NetworkPolicy")["spec"][
                        "ingress"] for port in rule["ports"]}
        self.assertNotIn("http", ports({}))
        self.assertNotIn("http_address", configuration(render({})))
        opened = ports({"http": {"enabled": True}})
        self.assertEqual(opened["http"], opened["grpc"])
        self.assertNotEqual(opened["http"], opened["metrics"])
        closed = only(render(CASES["closed"]), "NetworkPolicy")["spec"]
        self.assertNotIn("ingress", closed)

    def test_selectors_find_the_pod(self):
        manifests = render(FULL)
        labels = only(manifests, "StatefulSet")["spec"]["template"]["metadata"][
            "labels"]
        ports = {p["name"]: p["containerPort"] for p in only(
            manifests, "StatefulSet")["spec"]["template"]["spec"]["containers"][
                0]["ports"]}
        services = [m for m in manifests.values() if m["kind"] == "Service"]
        self.assertEqual(len(services), 2)
        selectors = [s["spec"]["selector"] for s in services]
        for kind in ("NetworkPolicy", "PodDisruptionBudget"):
            spec = only(manifests, kind)["spec"]
            selectors.append(
                spec.get("podSelector", spec.get("selector"))["matchLabels"])
        for selector in selectors:
            self.assertLessEqual(selector.items(), labels.items())
        for service in services:
            for port in service["spec"]["ports"]:
                self.assertEqual(port["port"], ports[port["targetPort"]])
        monitor = only(manifests, "ServiceMonitor")["spec"]
        seen = [s for s in services if monitor["selector"]["matchLabels"].items()
                <= s["metadata"]["labels"].items()]
        self.assertEqual(len(seen), 1)
        self.assertIn(monitor["endpoints"][0]["port"],
                      [p["name"] for p in seen[0]["spec"]["ports"]])
        # Two releases in one namespace do not see each other's pods.
        other = only(render({}, "other"), "StatefulSet")["spec"]["selector"]
        self.assertFalse(other["matchLabels"].items() <= labels.items())

    def test_names_stay_within_their_limit(self):
        for manifest in render({}, "r" * 53).values():
            self.assertLessEqual(len(manifest["metadata"]["name"]), 63)

    def test_kubeconform(self):
        if not shutil.which("kubeconform"):
            self.skipTest("kubeconform is not installed")
        schemas = os.environ.get("KUBECONFORM_SCHEMAS")
        arguments = ["kubeconform", "-strict", "-summary",
                     "-kubernetes-version", KUBERNETES,
                     "-skip", "ServiceMonitor"]
        if schemas:
            arguments += ["-schema-location",
                          schemas + "/{{.ResourceKind}}{{.KindSuffix}}.json"]
        # One call: without a network each waits a while.
        everything = "".join(
            helm("template", values).stdout for values in CASES.values())
        result = subprocess.run(arguments, input=everything, text=True,
                                capture_output=True, check=False)
        if "failed downloading schema" in result.stdout:
            self.skipTest("the schemas of Kubernetes cannot be fetched")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("Invalid: 0, Errors: 0", result.stdout)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(__doc__)
    ROOT = sys.argv.pop(1)
    if not shutil.which("helm"):
        print("skipped: helm is not installed")
        sys.exit(77)
    unittest.main()
