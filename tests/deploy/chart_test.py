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
    "tracing": {"otlpEndpoint": "http://collector:4318", "sampleRatio": 0.00001,
                "headersSecretName": "otlp"},
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
# A pod for each role.
SPLIT = {"split": {"enabled": True}}
SPLIT_FULL = {
    **FULL,
    "split": {
        "enabled": True,
        "tls": {"secretName": "inner", "caSecretName": "inner-ca"},
        "generation": {
            "maxSurge": 0,
            "resources": {"limits": {"memory": "64Gi", "nvidia.com/gpu": 1}},
            "autoscaling": {"enabled": True, "maxReplicas": 3},
            "nodeSelector": {"gpu": "yes"}, "affinity": {"nodeAffinity": {}},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
        "gateway": {"autoscaling": {"enabled": True, "callsPerPod": 20},
                    "nodeSelector": {"edge": "yes"}}},
}
CASES = {"default": {}, "full": FULL, "bare": BARE,
         "closed": {"networkPolicy": {"clients": [], "monitoring": []}},
         "split": SPLIT, "split-full": SPLIT_FULL,
         "split-bare": {**BARE, **SPLIT}}
ROLES = ("retrieval", "generation", "gateway")


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


def configurations(manifests):
    """{role: configuration}; the role `braid` is all of them in one process."""
    data = only(manifests, "ConfigMap")["data"]
    return {name.removesuffix(".toml"): tomllib.loads(text)
            for name, text in data.items()}


def configuration(manifests):
    return configurations(manifests)["braid"]


def workloads(manifests):
    """{role: StatefulSet or Deployment}, by the configuration that it reads."""
    found = {}
    for manifest in manifests.values():
        if manifest["kind"] not in ("StatefulSet", "Deployment"):
            continue
        pod = manifest["spec"]["template"]["spec"]
        volume, = [v for v in pod["volumes"] if v["name"] == "config"]
        item, = volume["configMap"]["items"]
        if item["path"] != "braid.toml":
            raise AssertionError(item["path"])
        found[item["key"].removesuffix(".toml")] = manifest
    return found


def matches(selector, labels):
    return selector.items() <= labels.items()


def policies_of(manifests, labels):
    """The network policies of the pod with these labels."""
    return [m["spec"] for m in manifests.values() if m["kind"] == "NetworkPolicy"
            and matches(m["spec"]["podSelector"]["matchLabels"], labels)]


def labels_of(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


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
            ({"config": {"roles": "gateway"}}, "roles"),
            ({"split": {"retrieval": {"replicas": 2}}}, "retrieval"),
            ({"split": {"gateway": {"replicas": 0}}}, "replicas"),
            ({"split": {**SPLIT["split"], "tls": {"caSecretName": "a"}}},
             "split.tls needs tls.secretName"),
            ({**SPLIT, "tls": {"byNetwork": True},
              "auth": {"accessSecretName": "a"}}, "in plain text"),
            ({"split": {**SPLIT["split"], "gateway": {
                "autoscaling": {"minReplicas": 9}}}},
             "split.gateway.autoscaling: minReplicas"),
            ({"split": {**SPLIT["split"], "generation": {
                "autoscaling": {"enabled": True}}}, "metrics": {"enabled": False}},
             "split.generation.autoscaling needs metrics.enabled"),
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

    def test_each_role_has_its_configuration(self):
        manifests = render(SPLIT)
        roles = configurations(manifests)
        self.assertEqual(sorted(roles), sorted(ROLES))
        self.assertNotIn("roles", configuration(render({})))
        for role, config in roles.items():
            self.assertEqual(config["roles"], role)
            self.assertEqual("data_directory" in config, role == "retrieval")
            self.assertEqual("upstream" in config, role == "gateway")
            self.assertNotIn("tls", config)
        services = {m["metadata"]["name"]: m["spec"] for m in manifests.values()
                    if m["kind"] == "Service"}
        for role in ("retrieval", "generation"):
            host, port = roles["gateway"]["upstream"][role].split(":")
            name, namespace, kind = host.split(".")
            self.assertEqual((namespace, kind), ("default", "svc"))
            self.assertEqual([p["port"] for p in services[name]["ports"]],
                             [int(port)])
            self.assertTrue(matches(services[name]["selector"],
                                    labels_of(workloads(manifests)[role])))
        # gRPC spreads calls over the addresses of a name: it needs them all.
        self.assertEqual(services["release-braid-generation"]["clusterIP"], "None")
        roles = configurations(render(SPLIT_FULL))
        self.assertEqual(roles["gateway"]["upstream"], {
            "retrieval": "release-braid-retrieval.default.svc:7410",
            "generation": "release-braid-generation.default.svc:7410",
            "tls": "on", "ca_file": "/etc/braid/upstream-ca/ca.crt",
            "certificate_file": "/etc/braid/tls/tls.crt",
            "key_file": "/etc/braid/tls/tls.key"})
        for config in roles.values():
            self.assertEqual(config["auth"], roles["gateway"]["auth"])
            self.assertEqual(config["limits"], roles["gateway"]["limits"])
            self.assertEqual("http_address" in config,
                             config["roles"] == "gateway")

    def test_a_changed_configuration_restarts_its_pods(self):
        def checksums(values):
            return {role: workload["spec"]["template"]["metadata"]["annotations"][
                "checksum/config"] for role, workload in
                    workloads(render(values)).items()}
        self.assertEqual(checksums({}), checksums({"service": {"type": "NodePort"}}))
        before = checksums(SPLIT)
        after = checksums({**SPLIT, "config": {"threads": 2}})
        self.assertEqual(len(before), 3)
        for role in ROLES:
            self.assertNotEqual(before[role], after[role])
        # HTTP is the gateway's.
        after = checksums({**SPLIT, "http": {"enabled": True}})
        self.assertEqual([role for role in ROLES if before[role] != after[role]],
                         ["gateway"])

    def test_splitting_keeps_the_disk(self):
        whole = only(render({}), "StatefulSet")
        split = only(render(SPLIT), "StatefulSet")
        self.assertEqual(whole["metadata"]["name"], split["metadata"]["name"])
        # What the API of Kubernetes does not let change.
        for field in ("selector", "serviceName", "volumeClaimTemplates"):
            self.assertEqual(whole["spec"][field], split["spec"][field])
        self.assertEqual(split["spec"]["replicas"], 1)
        self.assertEqual(only(render({}), "ConfigMap")["metadata"]["name"],
                         only(render(SPLIT), "ConfigMap")["metadata"]["name"])

    def test_pods_without_a_disk_come_in_numbers(self):
        deployments = workloads(render(SPLIT))
        self.assertEqual(deployments["generation"]["spec"]["replicas"], 1)
        self.assertEqual(deployments["gateway"]["spec"]["replicas"], 2)
        for role in ("generation", "gateway"):
            # Never fewer than wanted while they are replaced.
            self.assertEqual(
                deployments[role]["spec"]["strategy"]["rollingUpdate"],
                {"maxSurge": 1, "maxUnavailable": 0})
        manifests = render(SPLIT_FULL)
        deployments = workloads(manifests)
        self.assertEqual(
            deployments["generation"]["spec"]["strategy"]["rollingUpdate"],
            {"maxSurge": 0, "maxUnavailable": 1})
        pod = deployments["generation"]["spec"]["template"]["spec"]
        self.assertEqual(
            pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"], 1)
        self.assertEqual(pod["nodeSelector"], {"gpu": "yes"})
        self.assertEqual(pod["tolerations"][0]["key"], "nvidia.com/gpu")
        scalers = {m["spec"]["scaleTargetRef"]["name"]: m["spec"]
                   for m in manifests.values()
                   if m["kind"] == "HorizontalPodAutoscaler"}
        with open(os.path.join(ROOT, "tests/deploy/metrics.txt"),
                  encoding="utf-8") as file:
            gauges = {line.split()[0] for line in file
                      if line.split()[1:2] == ["gauge"]}
        for role, most, calls in (("generation", 3, "8"), ("gateway", 8, "20")):
            # Two that count would undo each other's work.
            self.assertNotIn("replicas", deployments[role]["spec"])
            scaler = scalers.pop(deployments[role]["metadata"]["name"])
            self.assertEqual(scaler["maxReplicas"], most)
            metric, = scaler["metrics"]
            self.assertIn(metric["pods"]["metric"]["name"], gauges)
            self.assertEqual(metric["pods"]["target"]["averageValue"], calls)
        self.assertEqual(scalers, {})

    def test_pods_have_no_privileges(self):
        for name, values in CASES.items():
            manifests = render(values)
            self.assertFalse(only(manifests, "ServiceAccount")[
                "automountServiceAccountToken"])
            for role, workload in workloads(manifests).items():
                with self.subTest(f"{name}, {role}"):
                    self.check_privileges(workload["spec"]["template"]["spec"])

    def check_privileges(self, pod):
        container, = pod["containers"]
        security = container["securityContext"]
        self.assertTrue(security["readOnlyRootFilesystem"])
        self.assertFalse(security["allowPrivilegeEscalation"])
        self.assertEqual(security["capabilities"], {"drop": ["ALL"]})
        security = pod["securityContext"]
        self.assertTrue(security["runAsNonRoot"])
        self.assertGreater(security["runAsUser"], 0)
        self.assertEqual(security["seccompProfile"]["type"], "RuntimeDefault")
        self.assertFalse(pod["automountServiceAccountToken"])
        self.assertNotIn("hostNetwork", pod)
        # Secrets are files: no variables at all.
        self.assertNotIn("env", container)
        self.assertNotIn("envFrom", container)
        self.assertIn("memory", container["resources"]["limits"])

    def test_files_of_the_configuration_are_mounted(self):
        for values, count in ((FULL, {"braid": 5}), (SPLIT_FULL, {
                "retrieval": 5, "generation": 5, "gateway": 8})):
            manifests = render(values)
            for role, workload in workloads(manifests).items():
                with self.subTest(role):
                    self.check_files(workload, configurations(manifests)[role],
                                     count[role])

    def check_files(self, workload, config, count):
        spec = workload["spec"]
        pod = spec["template"]["spec"]
        mounts = {m["mountPath"]: m for m in pod["containers"][0]["volumeMounts"]}
        volumes = {v["name"]: v for v in pod["volumes"]}
        claims = {c["metadata"]["name"]
                  for c in spec.get("volumeClaimTemplates", [])}
        for mount in mounts.values():
            self.assertTrue(mount["name"] in volumes or mount["name"] in claims)
            # A subPath would never see a Secret that changes.
            self.assertNotIn("subPath", mount)
        self.assertEqual({v["name"] for v in volumes.values()} | claims,
                         {m["name"] for m in mounts.values()})
        writable = {path for path, m in mounts.items() if not m.get("readOnly")}
        stores = {config["data_directory"]} if "data_directory" in config else set()
        self.assertEqual(writable, {"/tmp"} | stores)
        self.assertEqual(bool(claims), bool(stores))
        paths = [value for table in ("tls", "auth", "upstream")
                 for value in config.get(table, {}).values()
                 if value.startswith("/")]
        self.assertEqual(len(paths), count)
        paths.append(config["otlp_headers_file"])
        for path in paths:
            volume = volumes[mounts[os.path.dirname(path)]["name"]]
            source = volume.get("secret") or volume["configMap"]
            items = source.get("items")
            if items is not None:
                self.assertIn(os.path.basename(path),
                              [item["path"] for item in items])
            if "secret" in volume:
                self.assertEqual(source["defaultMode"], 0o440)
        # What is called from within serves with the certificate for within.
        self.assertEqual(
            volumes["tls"]["secret"]["secretName"],
            "inner" if config.get("roles") in ("retrieval", "generation")
            else "certificate")
        self.assertEqual("models" in volumes, config.get("roles") != "gateway")

    def test_probes_and_ends(self):
        for values in (FULL, SPLIT_FULL):
            manifests = render(values)
            for role, workload in workloads(manifests).items():
                config = configurations(manifests)[role]
                pod = workload["spec"]["template"]["spec"]
                container = pod["containers"][0]
                health = int(config["health_address"].split(":")[1])
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    self.assertEqual(container[probe]["grpc"]["port"], health)
                self.assertEqual(config["limits"]["shutdown_grace"], "45s")
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

    def test_the_network_between_roles(self):
        """Every way between pods that the policies leave open, by their labels:
        as the documentation of NetworkPolicy has it."""
        manifests = render({**SPLIT, "http": {"enabled": True}})
        labels = {role: labels_of(workload)
                  for role, workload in workloads(manifests).items()}
        labels["client"] = {"braid/client": "true"}
        labels["stranger"] = {}
        ways = set()
        for target in ROLES:
            policy, = policies_of(manifests, labels[target])
            self.assertEqual(sorted(policy["policyTypes"]), ["Egress", "Ingress"])
            for rule in policy["ingress"]:
                self.assertTrue(rule["from"] and rule["ports"])
                for peer in rule["from"]:
                    if "namespaceSelector" in peer:  # that of the monitoring
                        self.assertEqual([p["port"] for p in rule["ports"]],
                                         ["metrics"])
                        continue
                    ways |= {(source, target, port["port"])
                             for source in labels for port in rule["ports"]
                             if matches(peer["podSelector"]["matchLabels"],
                                        labels[source])}
        self.assertEqual(ways, {
            ("client", "gateway", "grpc"), ("client", "gateway", "http"),
            ("gateway", "retrieval", "grpc"), ("gateway", "generation", "grpc")})
        ways = set()
        for source in ROLES:
            policy, = policies_of(manifests, labels[source])
            for rule in policy.get("egress", []):
                self.assertTrue(rule["to"] and rule["ports"])
                for peer in rule["to"]:
                    if "namespaceSelector" in peer:  # that of the names
                        self.assertEqual({p["port"] for p in rule["ports"]}, {53})
                        ways.add((source, "names"))
                        continue
                    ways |= {(source, target) for target in labels
                             if matches(peer["podSelector"]["matchLabels"],
                                        labels[target])}
        self.assertEqual(ways, {("gateway", "retrieval"), ("gateway", "generation"),
                                ("gateway", "names")})
        # Another release in the namespace is a stranger.
        other = labels_of(workloads(render(SPLIT, "other"))["gateway"])
        policy, = policies_of(manifests, labels["retrieval"])
        self.assertFalse(any(
            matches(peer["podSelector"]["matchLabels"], other)
            for rule in policy["ingress"] for peer in rule["from"]
            if "podSelector" in peer))

    def test_selectors_find_their_pods(self):
        for values, edge in ((FULL, "braid"), (SPLIT_FULL, "gateway")):
            manifests = render(values)
            found = workloads(manifests)
            labels = {role: labels_of(workload) for role, workload in found.items()}
            ports = {role: {p["name"]: p["containerPort"] for p in workload["spec"][
                "template"]["spec"]["containers"][0]["ports"]}
                     for role, workload in found.items()}
            def selected(selector, labels=labels):
                return {role for role in labels if matches(selector, labels[role])}
            # Each workload finds its own pods, and budgets and policies one kind.
            for role, workload in found.items():
                self.assertEqual(
                    selected(workload["spec"]["selector"]["matchLabels"]), {role})
            for kind in ("NetworkPolicy", "PodDisruptionBudget"):
                covered = []
                for manifest in manifests.values():
                    if manifest["kind"] == kind:
                        spec = manifest["spec"]
                        covered += selected(spec.get(
                            "podSelector", spec.get("selector"))["matchLabels"])
                self.assertEqual(sorted(covered), sorted(found))
            services = {m["metadata"]["name"]: m for m in manifests.values()
                        if m["kind"] == "Service"}
            for name, service in services.items():
                roles = selected(service["spec"]["selector"])
                suffix = name.removeprefix("release-braid").removeprefix("-")
                self.assertEqual(roles, {"": {edge}, "pod": set(found)}.get(
                    suffix, {suffix}))
                for role in roles:
                    for port in service["spec"]["ports"]:
                        self.assertEqual(port["port"], ports[role][port["targetPort"]])
            self.assertEqual(len(services), 2 if edge == "braid" else 4)
            monitor = only(manifests, "ServiceMonitor")["spec"]
            seen = [s for s in services.values() if matches(
                monitor["selector"]["matchLabels"], s["metadata"]["labels"])]
            self.assertEqual(len(seen), 1)
            self.assertEqual(selected(seen[0]["spec"]["selector"]), set(found))
            self.assertIn(monitor["endpoints"][0]["port"],
                          [p["name"] for p in seen[0]["spec"]["ports"]])
            self.assertLessEqual(set(monitor["podTargetLabels"]),
                                 set(labels[edge]))
            # Two releases in one namespace do not see each other's pods.
            for other in workloads(render(values, "other")).values():
                self.assertEqual(
                    selected(other["spec"]["selector"]["matchLabels"]), set())

    def test_names_stay_within_their_limit(self):
        for values in ({}, SPLIT_FULL):
            for manifest in render(values, "r" * 53).values():
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
